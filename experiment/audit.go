package experiment

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/ent/order"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Finding is something that must not be.
type Finding struct {
	// Kind is one of the kinds below.
	Kind string `json:"kind"`
	// Subject is the balance or the request that is concerned.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Units are how many units, points or minor units of money are concerned, where that can be said.
	Units int64 `json:"units,omitempty"`
}

// The kinds of findings.
const (
	LostMoney    = "money lost or invented"
	Oversold     = "oversold"
	LostUnits    = "units lost or invented"
	Journal      = "journal does not add up"
	Missing      = "confirmed and missing"
	Phantom      = "refused and done all the same"
	WrongRefusal = "refused without a reason"
	Unasked      = "nobody asked for it"
	Drift        = "redis and database differ"
	Stuck        = "never persisted"
)

// books are what the database says of the customers' requests.
type books struct {
	balances map[string]*ent.Balance
	low      map[string]int64 // the least and the most that a balance has ever been, by its journal
	high     map[string]int64
	applied  map[uuid.UUID]applied
	orders   map[string]*ent.Order
	issues   map[string]bool
	transfer map[string]bool
}

type applied struct {
	kind string
	at   time.Time
}

// auditor compares what customers were told with what the stores hold.
type auditor struct {
	db     *ent.Client
	asks   []*ask
	worlds []*world
	// shared tells that others use the shop as well: what nobody here asked for may be theirs.
	shared bool

	books    books
	findings []Finding
	// lostMoney is by how much accounts and wallets differ from what the moves of their owners make, lostUnits the same of
	// stock and coupons, oversold how many units are promised that never were.
	lostMoney, lostUnits, oversold, missing int64
	persisted                               []float64 // milliseconds from the intended start of a request until its row was written
}

func (a *auditor) find(kind, subject string, units int64, format string, args ...any) {
	a.findings = append(a.findings, Finding{kind, subject, fmt.Sprintf(format, args...), units})
}

// run audits a shop at rest.
func (a *auditor) run(ctx context.Context) error {
	violations, err := ledger.Audit(ctx, a.db)
	if err != nil {
		return err
	}
	for _, v := range violations {
		a.find(Journal, v.Balance, 0, "%s", v.Problem)
	}
	if err := a.read(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for _, asked := range a.asks {
		a.answer(asked)
	}
	a.totals()
	if !a.shared {
		a.unasked()
	}
	return nil
}

func (a *auditor) read(ctx context.Context) error {
	b := books{
		balances: map[string]*ent.Balance{}, low: map[string]int64{}, high: map[string]int64{},
		applied: map[uuid.UUID]applied{}, orders: map[string]*ent.Order{}, issues: map[string]bool{}, transfer: map[string]bool{},
	}
	balances, err := a.db.Balance.Query().Where(balance.FamilyNEQ("")).All(ctx)
	if err != nil {
		return err
	}
	for _, row := range balances {
		b.balances[row.ID] = row
		b.low[row.ID], b.high[row.ID] = min(row.Opening, row.Amount), max(row.Opening, row.Amount)
	}
	var extremes []struct {
		Balance   string
		Low, High int64
	}
	err = a.db.Entry.Query().GroupBy(entry.FieldBalance).
		Aggregate(ent.As(ent.Min(entry.FieldAmountAfter), "low"), ent.As(ent.Max(entry.FieldAmountAfter), "high")).
		Scan(ctx, &extremes)
	if err != nil {
		return err
	}
	for _, e := range extremes {
		b.low[e.Balance], b.high[e.Balance] = min(b.low[e.Balance], e.Low), max(b.high[e.Balance], e.High)
	}
	changes, err := a.db.ChangeLog.Query().
		Select(changelog.FieldChangeID, changelog.FieldKind, changelog.FieldCreatedAt).All(ctx)
	if err != nil {
		return err
	}
	for _, row := range changes {
		if b.applied[row.ChangeID].kind != "" {
			a.find(Phantom, row.ChangeID.String(), 0, "%s was applied twice", row.Kind)
		}
		b.applied[row.ChangeID] = applied{row.Kind, row.CreatedAt}
	}
	orders, err := a.db.Order.Query().Select(order.FieldStatus, order.FieldFailureCode).All(ctx)
	if err != nil {
		return err
	}
	for _, row := range orders {
		b.orders[row.ID] = row
	}
	issues, err := a.db.CouponIssue.Query().IDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range issues {
		b.issues[id] = true
	}
	transfers, err := a.db.Transfer.Query().IDs(ctx)
	for _, id := range transfers {
		b.transfer[id] = true
	}
	a.books = b
	return err
}

// answer holds one answer against the books.
func (a *auditor) answer(asked *ask) {
	change, done := a.books.applied[asked.change]
	exists := done
	switch asked.operation {
	case placeOrder:
		exists = a.books.orders[asked.object()] != nil
	case issueCoupon:
		exists = a.books.issues[asked.object()]
	case transfer:
		exists = a.books.transfer[asked.object()]
	}
	what := asked.operation + " " + asked.key.String()
	switch {
	case exists != done:
		a.find(Missing, what, 0, "in the change log: %t, its row: %t", done, exists)
	case asked.outcome == granted && !done:
		a.missing++
		a.find(Missing, what, 1, "was confirmed to %s and is not in the database", asked.user)
	case asked.outcome == granted && asked.operation != chargePoints && asked.answered != asked.object():
		a.find(Missing, what, 0, "was confirmed as %s, and is %s", asked.answered, asked.object())
	case asked.outcome == refused && asked.operation != placeOrder && done:
		a.find(Phantom, what, 0, "was refused (%s) and is in the database", asked.code)
	}
	if asked.operation == placeOrder && done && exists {
		a.orderState(asked, a.books.orders[asked.object()])
	}
	if asked.outcome == granted && done && !asked.began.IsZero() {
		a.persisted = append(a.persisted, max(0, change.at.Sub(asked.began).Seconds()*1000))
	}
	if asked.outcome == refused {
		a.refusal(asked, done)
	}
}

func (a *auditor) orderState(asked *ask, row *ent.Order) {
	alive := row.Status == order.StatusPENDING || row.Status == order.StatusPAID
	switch {
	case asked.outcome == granted && !alive:
		a.find(Missing, row.ID, 0, "was confirmed and is %s (%s)", row.Status, row.FailureCode)
	case asked.outcome == granted && asked.payment != "" && row.Status != order.StatusPAID:
		a.find(Missing, row.ID, 0, "was paid, and is %s", row.Status)
	case asked.outcome == refused && (row.Status != order.StatusFAILED || row.FailureCode != asked.code):
		a.find(Phantom, row.ID, 0, "was refused (%s), and is %s (%s)", asked.code, row.Status, row.FailureCode)
	}
}

// refusal checks that there was a moment at which it was right: the journal knows the least that ever was there.
func (a *auditor) refusal(asked *ask, done bool) {
	low, high := a.books.low, a.books.high
	right, why := false, ""
	switch asked.code {
	case "OUT_OF_STOCK":
		for _, l := range asked.lines {
			left := low[lockprovider.StockKey(l.product)]
			right = right || left < l.quantity
			why += fmt.Sprintf("%s never had fewer than %d left; ", l.product, left)
		}
	case "COUPON_EXHAUSTED":
		key := lockprovider.CouponKey(asked.coupon)
		quota := a.quota(key)
		right = high[key] >= quota
		why = fmt.Sprintf("%d of %d were taken at most", high[key], quota)
	case "COUPON_ALREADY_ISSUED":
		key := lockprovider.CouponUserKey(asked.coupon, asked.user)
		limit := a.quota(key)
		right = limit > 0 && high[key] >= limit
		why = fmt.Sprintf("%d of %d were held at most", high[key], limit)
	case "INSUFFICIENT_FUNDS":
		left := low[lockprovider.AccountKey(asked.from)]
		right = asked.operation == transfer && left < asked.amount
		why = fmt.Sprintf("the account never had less than %d, and %d was asked for", left, asked.amount)
	case "PAYMENT_DECLINED":
		right = done // as a failed order, which orderState has looked at
		why = "there is no failed order"
	}
	if !right {
		a.find(WrongRefusal, asked.operation+" "+asked.key.String(), 0, "%s was told %s: %s",
			asked.user, asked.code, strings.TrimSuffix(why, "; "))
	}
}

func (a *auditor) quota(key string) int64 {
	if row := a.books.balances[key]; row != nil {
		return row.Ceiling
	}
	return 0
}

// totals adds up what customers were given, and compares it with what is left.
func (a *auditor) totals() {
	want := map[string]int64{} // moves by balance
	sold := map[string]int64{}
	for _, w := range a.worlds {
		for _, key := range w.balances() {
			want[key] = 0 // those that nobody asked for must not have moved
		}
	}
	for _, asked := range a.asks {
		if a.books.applied[asked.change].kind == "" {
			continue
		}
		switch asked.operation {
		case placeOrder:
			row := a.books.orders[asked.object()]
			if row == nil || row.Status != order.StatusPENDING && row.Status != order.StatusPAID {
				continue
			}
			for _, l := range asked.lines {
				want[lockprovider.StockKey(l.product)] -= l.quantity
				sold[lockprovider.StockKey(l.product)] += l.quantity
			}
		case issueCoupon:
			want[lockprovider.CouponKey(asked.coupon)]++
			want[lockprovider.CouponUserKey(asked.coupon, asked.user)]++
			sold[lockprovider.CouponKey(asked.coupon)]++
			sold[lockprovider.CouponUserKey(asked.coupon, asked.user)]++
		case chargePoints:
			want[lockprovider.PointsKey(asked.user)] += asked.amount
		case transfer:
			want[lockprovider.AccountKey(asked.from)] -= asked.amount
			want[lockprovider.AccountKey(asked.to)] += asked.amount
		}
	}
	a.together(want)
	for key, moved := range want {
		row := a.books.balances[key]
		if row == nil {
			if moved != 0 {
				a.find(Missing, key, 0, "does not exist, though %+d was moved", moved)
			}
			continue
		}
		a.total(row, moved, sold[key])
	}
}

// together tells how much money there is in all: transfers only move it.
func (a *auditor) together(want map[string]int64) {
	var is, was, moved int64
	for key, m := range want {
		if row := a.books.balances[key]; row != nil && row.Family == string(lockprovider.Accounts) {
			is, was, moved = is+row.Amount, was+row.Opening, moved+m
		}
	}
	if off := is - was - moved; off != 0 {
		a.find(LostMoney, "all accounts together", max(off, -off), "hold %d, and have to hold %d: %s", is, was+moved, lost(off))
	}
}

// lost says what a difference means.
func lost(off int64) string {
	if off > 0 {
		return fmt.Sprintf("%d from nothing", off)
	}
	return fmt.Sprintf("%d lost", -off)
}

func (a *auditor) total(row *ent.Balance, moved, sold int64) {
	most := row.Ceiling
	if row.Family == string(lockprovider.Stock) {
		most = row.Opening
	}
	if over := sold - most; over > 0 {
		a.oversold += over
		a.find(Oversold, row.ID, over, "%d were promised, and there were %d: %d too many", sold, most, over)
	}
	off := row.Amount - row.Opening - moved
	if off == 0 {
		return
	}
	kind := LostUnits
	if row.Family == string(lockprovider.Accounts) || row.Family == string(lockprovider.Points) {
		kind = LostMoney
		a.lostMoney += max(off, -off)
	} else {
		a.lostUnits += max(off, -off)
	}
	a.find(kind, row.ID, max(off, -off), "is %d, and has to be %d: %s", row.Amount, row.Opening+moved, lost(off))
}

// balances are the keys of what a world fights over.
func (w *world) balances() []string {
	var keys []string
	for _, id := range w.objects {
		switch {
		case strings.HasPrefix(id, "prod_"):
			keys = append(keys, lockprovider.StockKey(id))
		case strings.HasPrefix(id, "coup_"):
			keys = append(keys, lockprovider.CouponKey(id))
		case strings.HasPrefix(id, "acct_"):
			keys = append(keys, lockprovider.AccountKey(id))
		}
	}
	return keys
}

// unasked looks for what customers have without having asked for it.
func (a *auditor) unasked() {
	known := make(map[uuid.UUID]bool, len(a.asks))
	for _, asked := range a.asks {
		known[asked.change] = true
	}
	for change, done := range a.books.applied {
		switch done.kind {
		case commerce.KindOrderPlaced, commerce.KindCouponIssued, commerce.KindPointsCharged, commerce.KindTransferCompleted:
			if !known[change] {
				a.find(Unasked, change.String(), 0, "%s: no customer has asked for it", done.kind)
			}
		}
	}
}
