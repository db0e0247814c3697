package audit

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
	"holdfast/ent/payment"
	"holdfast/experiment/claims"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// books are what the database says of the customers' requests.
type books struct {
	balances     map[string]*ent.Balance
	low          map[string]int64 // the least and the most that a balance has ever been, by its journal
	high         map[string]int64
	applied      map[uuid.UUID]applied
	orders       map[string]*ent.Order
	captured     map[string]bool // orders whose payment was taken
	couponIssues map[string]bool
	transfers    map[string]bool
	refunds      map[string]bool
	points       map[string]int64            // what an order was paid with, in points, by the order
	restocked    map[string]map[string]int64 // by order and stock: units that came back into stock
	held         map[string]int64            // units of active holds, by the stock
}

type applied struct {
	kind string
	at   time.Time
}

// Auditor compares what customers were told with what the database holds. Set its exported fields, then call Run once.
type Auditor struct {
	DB       *ent.Client
	Requests []*load.Request
	Datasets []*load.Dataset
	// Shared tells that other clients use the shop as well. Then a change that no request asked for is no finding.
	Shared bool
	// Allowed is what may have happened to the answers.
	Allowed claims.Allowed

	books  books
	result Result
}

// Result is what an audit has found.
type Result struct {
	Findings []Finding
	// LostMoney is by how much accounts and wallets differ from what the moves of their owners make, LostUnits the same of
	// stock and coupons, Oversold how many units are promised that never were.
	LostMoney, LostUnits, Oversold, Missing int64
	// Answers are how many the customers got, and FalseAnswers how many of them were not true.
	Answers, FalseAnswers int64
	PersistedMs           []float64 // milliseconds from the intended start of a request until its row was written
}

func (a *Auditor) find(kind, subject string, units int64, format string, args ...any) {
	a.result.Findings = append(a.result.Findings, Finding{kind, subject, fmt.Sprintf(format, args...), units})
}

// Run audits the database. The servers of the shop must have stopped, unless Shared is set. It returns an error only if the
// database cannot be read; what is wrong with the data is in the findings.
func (a *Auditor) Run(ctx context.Context) (Result, error) {
	violations, err := ledger.Audit(ctx, a.DB)
	if err != nil {
		return Result{}, err
	}
	for _, v := range violations {
		a.find(Journal, v.Balance, 0, "%s", v.Problem)
	}
	if err := a.read(ctx); err != nil {
		return Result{}, fmt.Errorf("audit: %w", err)
	}
	for _, asked := range a.Requests {
		a.answers(asked)
	}
	if a.books.held, err = a.held(ctx); err != nil {
		return Result{}, fmt.Errorf("audit: %w", err)
	}
	a.totals()
	if err := a.refunds(ctx); err != nil {
		return Result{}, fmt.Errorf("audit: %w", err)
	}
	if !a.Shared {
		a.unasked()
	}
	return a.result, nil
}

func (a *Auditor) read(ctx context.Context) error {
	b := books{
		balances: map[string]*ent.Balance{}, low: map[string]int64{}, high: map[string]int64{},
		applied: map[uuid.UUID]applied{}, orders: map[string]*ent.Order{}, captured: map[string]bool{}, couponIssues: map[string]bool{},
		transfers: map[string]bool{}, refunds: map[string]bool{}, points: map[string]int64{},
	}
	balances, err := a.DB.Balance.Query().Where(balance.FamilyNEQ("")).All(ctx)
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
	err = a.DB.Entry.Query().GroupBy(entry.FieldBalance).
		Aggregate(ent.As(ent.Min(entry.FieldAmountAfter), "low"), ent.As(ent.Max(entry.FieldAmountAfter), "high")).
		Scan(ctx, &extremes)
	if err != nil {
		return err
	}
	for _, e := range extremes {
		b.low[e.Balance], b.high[e.Balance] = min(b.low[e.Balance], e.Low), max(b.high[e.Balance], e.High)
	}
	changes, err := a.DB.ChangeLog.Query().Where(changelog.KindNEQ(ledger.KindRefused)).
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
	orders, err := a.DB.Order.Query().Select(order.FieldStatus, order.FieldFailureCode, order.FieldSettled, order.FieldTotalMinor).All(ctx)
	if err != nil {
		return err
	}
	for _, row := range orders {
		b.orders[row.ID] = row
	}
	captured, err := a.DB.Payment.Query().Where(payment.StatusEQ(payment.StatusCAPTURED)).
		Select(payment.FieldOrderID, payment.FieldMethod, payment.FieldAmountMinor, payment.FieldRefundedMinor).All(ctx)
	if err != nil {
		return err
	}
	for _, p := range captured {
		b.captured[p.OrderID] = true
		if p.Method == payment.MethodPOINTS {
			b.points[p.OrderID] = p.AmountMinor - p.RefundedMinor
		}
	}
	refunds, err := a.DB.Refund.Query().IDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range refunds {
		b.refunds[id] = true
	}
	issues, err := a.DB.CouponIssue.Query().IDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range issues {
		b.couponIssues[id] = true
	}
	if b.restocked, err = a.restocked(ctx); err != nil {
		return err
	}
	transfers, err := a.DB.Transfer.Query().IDs(ctx)
	for _, id := range transfers {
		b.transfers[id] = true
	}
	a.books = b
	return err
}

// answers holds the answers to one request against the books.
func (a *Auditor) answers(asked *load.Request) {
	change, done := a.books.applied[asked.Change]
	exists := done
	switch asked.Operation {
	case load.PlaceOrder:
		exists = a.books.orders[asked.ID()] != nil
	case load.IssueCoupon:
		exists = a.books.couponIssues[asked.ID()]
	case load.Transfer:
		exists = a.books.transfers[asked.ID()]
	case load.PayOrder: // its step has a name of the order's, whoever pays
		done = a.books.captured[asked.ID()]
		exists = done
	case load.CancelOrder:
		row := a.books.orders[asked.ID()]
		done = row != nil && row.Status == order.StatusCANCELLED
		exists = done
	case load.RefundCreate:
		done = a.books.refunds[asked.ID()]
		exists = done
	}
	what := asked.Operation + " " + asked.Key.String()
	if exists != done {
		a.find(Missing, what, 0, "in the change log: %t, its row: %t", done, exists)
	}
	asked.Told.Found(a.found(asked, done))
	a.result.Answers += asked.Told.Answers()
	untrue := asked.Told.Check(asked.Claims(), a.Allowed)
	for _, f := range untrue {
		units := int64(0)
		if f.Kind == Missing && !done {
			units = 1
			a.result.Missing++
		}
		a.find(f.Kind, what, units, "%s was told what is not true: %s", asked.User, f.Text)
	}
	if asked.Outcome == load.Granted && done && !asked.Began.IsZero() {
		a.result.PersistedMs = append(a.result.PersistedMs, max(0, change.at.Sub(asked.Began).Seconds()*1000))
	}
	a.result.FalseAnswers += int64(len(untrue))
	if asked.Outcome == load.Refused && !a.refusal(asked, done) && len(untrue) == 0 {
		a.result.FalseAnswers++
	}
}

// found is what the database has of a request.
func (a *Auditor) found(asked *load.Request, done bool) claims.Found {
	out := claims.Found{Applied: done}
	if row := a.books.orders[asked.ID()]; row != nil {
		out.Order = &claims.Order{
			Status: row.Status.String(), FailureCode: row.FailureCode, Settled: row.Settled, Captured: a.books.captured[row.ID],
		}
	}
	return out
}

// refusal checks that there was a moment at which it was right: the journal knows the least that ever was there.
func (a *Auditor) refusal(asked *load.Request, done bool) bool {
	low, high := a.books.low, a.books.high
	right, why := false, ""
	switch asked.Code {
	case "OUT_OF_STOCK":
		for _, l := range asked.Lines {
			left := low[lockprovider.StockKey(l.Product)]
			right = right || left < l.Quantity
			why += fmt.Sprintf("%s never had fewer than %d left; ", l.Product, left)
		}
	case "COUPON_EXHAUSTED":
		key := lockprovider.CouponKey(asked.Coupon)
		quota := a.quota(key)
		right = high[key] >= quota
		why = fmt.Sprintf("%d of %d were taken at most", high[key], quota)
	case "COUPON_ALREADY_ISSUED":
		key := lockprovider.CouponUserKey(asked.Coupon, asked.User)
		limit := a.quota(key)
		right = limit > 0 && high[key] >= limit
		why = fmt.Sprintf("%d of %d were held at most", high[key], limit)
	case "INSUFFICIENT_FUNDS":
		if row := a.books.orders[asked.ID()]; row != nil { // paid with points
			left := low[lockprovider.PointsKey(asked.User)]
			right = left < row.TotalMinor
			why = fmt.Sprintf("the wallet never had less than %d, and the order costs %d", left, row.TotalMinor)
			break
		}
		left := low[lockprovider.AccountKey(asked.From)]
		right = asked.Operation == load.Transfer && left < asked.Amount
		why = fmt.Sprintf("the account never had less than %d, and %d was asked for", left, asked.Amount)
	case "TOO_MANY_PENDING_ORDERS":
		right = high[lockprovider.PendingKey(asked.User)] > 0 // the limit is a setting, and may have changed
		why = "none of the customer's orders ever waited"
	case "PURCHASE_LIMIT":
		right = true // not judged: the limit is a setting, and counts by periods
	case "INVALID_STATE":
		row := a.books.orders[asked.ID()]
		right = row != nil && row.Status != order.StatusPENDING || asked.Operation == load.RefundCreate
		why = "the order waits for payment"
	case "PAYMENT_DECLINED":
		right = done // as a failed order, which the check of the answers has looked at
		why = "there is no failed order"
	}
	if !right {
		a.find(WrongRefusal, asked.Operation+" "+asked.Key.String(), 0, "%s was told %s: %s",
			asked.User, asked.Code, strings.TrimSuffix(why, "; "))
	}
	return right
}

func (a *Auditor) quota(key string) int64 {
	if row := a.books.balances[key]; row != nil {
		return row.Ceiling
	}
	return 0
}

// totals adds up what customers were given, and compares it with what is left.
func (a *Auditor) totals() {
	want := map[string]int64{} // moves by balance
	sold := map[string]int64{}
	for _, w := range a.Datasets {
		for _, key := range w.BalanceKeys() {
			want[key] = 0 // those that nobody asked for must not have moved
		}
	}
	for _, asked := range a.Requests {
		if a.books.applied[asked.Change].kind == "" {
			continue
		}
		switch asked.Operation {
		case load.PlaceOrder:
			row := a.books.orders[asked.ID()]
			if row == nil || row.Status != order.StatusPENDING && row.Status != order.StatusPAID {
				continue
			}
			for _, l := range asked.Lines {
				want[lockprovider.StockKey(l.Product)] -= l.Quantity
				sold[lockprovider.StockKey(l.Product)] += l.Quantity
				want[lockprovider.StockKey(l.Product)] += a.books.restocked[row.ID][lockprovider.StockKey(l.Product)]
				sold[lockprovider.StockKey(l.Product)] -= a.books.restocked[row.ID][lockprovider.StockKey(l.Product)]
			}
			want[lockprovider.PointsKey(asked.User)] -= a.books.points[row.ID]
		case load.IssueCoupon:
			want[lockprovider.CouponKey(asked.Coupon)]++
			want[lockprovider.CouponUserKey(asked.Coupon, asked.User)]++
			sold[lockprovider.CouponKey(asked.Coupon)]++
			sold[lockprovider.CouponUserKey(asked.Coupon, asked.User)]++
		case load.ChargePoints:
			want[lockprovider.PointsKey(asked.User)] += asked.Amount
		case load.Transfer:
			want[lockprovider.AccountKey(asked.From)] -= asked.Amount
			want[lockprovider.AccountKey(asked.To)] += asked.Amount
		}
	}
	for key := range want { // of other products, nobody knows what was ordered
		want[key] -= a.books.held[key]
		sold[key] += a.books.held[key]
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
func (a *Auditor) together(want map[string]int64) {
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

func (a *Auditor) total(row *ent.Balance, moved, sold int64) {
	most := row.Ceiling
	if row.Family == string(lockprovider.Stock) {
		most = row.Opening
	}
	if over := sold - most; over > 0 {
		a.result.Oversold += over
		a.find(Oversold, row.ID, over, "%d were promised, and there were %d: %d too many", sold, most, over)
	}
	off := row.Amount - row.Opening - moved
	if off == 0 {
		return
	}
	kind := LostUnits
	if row.Family == string(lockprovider.Accounts) || row.Family == string(lockprovider.Points) {
		kind = LostMoney
		a.result.LostMoney += max(off, -off)
	} else {
		a.result.LostUnits += max(off, -off)
	}
	a.find(kind, row.ID, max(off, -off), "is %d, and has to be %d: %s", row.Amount, row.Opening+moved, lost(off))
}

// unasked looks for what customers have without having asked for it.
func (a *Auditor) unasked() {
	known := make(map[uuid.UUID]bool, len(a.Requests))
	for _, asked := range a.Requests {
		known[asked.Change] = true
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
