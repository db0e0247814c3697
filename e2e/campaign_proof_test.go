package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// losses tells what a fault may do to Redis: never to what was acknowledged.
type losses int

const (
	lossless losses = iota
	drifting        // Redis may be behind the database until the reconciliation has been there
	lossy           // Redis forgot what it had admitted, too
)

// refusalsForGood are the honest answers to customers who come late.
var refusalsForGood = []string{"OUT_OF_STOCK", "COUPON_EXHAUSTED", "COUPON_ALREADY_ISSUED", "INSUFFICIENT_FUNDS"}

// prove compares the shop at rest with what its customers were told: all of it, once, and nothing else.
func (c *campaign) prove(t *testing.T, phase string, l losses, allowed ...string) {
	t.Helper()
	c.mu.Lock()
	codes, samples, asked := c.codes, c.samples, c.asked
	c.codes, c.samples = map[string]int{}, map[string]string{}
	if c.slow {
		allowed = append(slices.Clone(allowed), slowCodes...)
	}
	c.mu.Unlock()
	t.Logf("%s: %d requests, other answers than success: %v", phase, len(asked), codes)
	for code := range codes {
		if !slices.Contains(allowed, code) && !slices.Contains(refusalsForGood, code) {
			t.Errorf("%s: clients were told %s: %s", phase, code, samples[code])
			for _, p := range c.instances() {
				if line, found, _ := p.stderr.line("internal error"); found {
					t.Logf("the first internal error of a server: %s", line)
				}
			}
		}
	}
	db := c.open(t)
	c.settled(t, db, l)
	c.audit(t)
	b := readBooks(t, db)
	for _, a := range asked {
		c.check(t, a, b)
	}
	c.checkTotals(t, asked, b, l)
	if t.Failed() {
		t.FailNow() // the next fault would only say the same again
	}
}

// settled waits until nothing is in flight, and compares Redis with the database.
func (c *campaign) settled(t *testing.T, db *clients.Database, l losses) {
	t.Helper()
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: c.redis})
	must(t, err)
	defer redis.Close()
	if c.strategy != lockprovider.Lua {
		eventually(t, "all balances are free", func() bool { // those that the dead have locked, when their leases end
			locks, err := redis.Client.Keys(t.Context(), "lock:*").Result()
			must(t, err)
			return !slices.ContainsFunc(locks, func(lock string) bool { // jobs have locks too
				kind, _, _ := strings.Cut(strings.TrimPrefix(lock, "lock:"), ":")
				return slices.Contains([]string{"product", "coupon", "user", "account"}, kind)
			})
		})
		return
	}
	dbLedger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 10})
	ctx := bounded(t)
	for _, family := range lockprovider.Families {
		var epoch int64
		eventually(t, "redis serves "+string(family), func() bool {
			row, err := db.Ent.FamilyStrategy.Get(ctx, string(family))
			must(t, err)
			epoch = row.Epoch
			return !row.Fallback
		})
		var store *redisfirst.Store
		for e := int64(1); e <= epoch; e++ {
			store = redisfirst.NewStore(redis.Client, family, e, "campaign", redisfirst.StoreSettings{Backlog: 10_000})
			eventually(t, fmt.Sprintf("the stream of %s in epoch %d is empty", family, e), func() bool {
				backlog, err := store.Backlog(ctx)
				must(t, err)
				inFlight, err := store.InFlight(ctx)
				must(t, err)
				return backlog == 0 && len(inFlight) == 0
			})
		}
		c.compare(t, ctx, db.Ent, dbLedger, store, l)
	}
}

// compare asserts that what Redis holds is what the database holds. After some faults it may differ until the
// reconciliation has been there, which is then done here.
func (c *campaign) compare(
	t *testing.T, ctx context.Context, db *ent.Client, dbLedger *lockprovider.Ledger, store *redisfirst.Store, l losses,
) {
	t.Helper()
	rows, err := db.Balance.Query().All(ctx)
	must(t, err)
	var keys []string
	database := map[string]ledger.Level{}
	for _, row := range rows {
		if row.Family != string(store.Family()) {
			continue
		}
		keys = append(keys, row.ID)
		database[row.ID] = ledger.Level{Amount: row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Seq: row.Applied}
	}
	repaired := 0
	if l != lossless {
		for _, key := range keys {
			cmp, err := store.Reconcile(ctx, dbLedger, key)
			must(t, err)
			if cmp.Drifted() {
				repaired++
			}
		}
	}
	levels, err := store.Levels(ctx, keys)
	must(t, err)
	for key, level := range levels {
		if level != database[key] {
			t.Errorf("%s: Redis has %+v, the database %+v", key, level, database[key])
		}
	}
	t.Logf("%s: %d of %d balances are in Redis as in the database, %d had to be repaired", store.Family(), len(levels), len(keys), repaired)
}

// books are what the database says.
type books struct {
	amounts  map[string]int64
	applied  map[uuid.UUID]string // kinds by change
	orders   map[string]*ent.Order
	issues   map[string]*ent.CouponIssue
	transfer map[string]*ent.Transfer
}

func readBooks(t *testing.T, db *clients.Database) books {
	t.Helper()
	b := books{
		amounts: map[string]int64{}, applied: map[uuid.UUID]string{}, orders: map[string]*ent.Order{},
		issues: map[string]*ent.CouponIssue{}, transfer: map[string]*ent.Transfer{},
	}
	ctx := t.Context()
	balances, err := db.Ent.Balance.Query().All(ctx)
	must(t, err)
	for _, row := range balances {
		b.amounts[row.ID] = row.Amount
	}
	changes, err := db.Ent.ChangeLog.Query().Where(changelog.KindNEQ(ledger.KindRefused)).All(ctx)
	must(t, err)
	for _, row := range changes {
		if b.applied[row.ChangeID] != "" {
			t.Errorf("change %s was applied twice", row.ChangeID)
		}
		b.applied[row.ChangeID] = row.Kind
	}
	orders, err := db.Ent.Order.Query().WithPayment().WithLines().All(ctx)
	must(t, err)
	for _, row := range orders {
		b.orders[row.ID] = row
	}
	issues, err := db.Ent.CouponIssue.Query().All(ctx)
	must(t, err)
	for _, row := range issues {
		b.issues[row.ID] = row
	}
	transfers, err := db.Ent.Transfer.Query().All(ctx)
	must(t, err)
	for _, row := range transfers {
		b.transfer[row.ID] = row
	}
	return b
}

// check holds one answer against the books.
func (c *campaign) check(t *testing.T, a *ask, b books) {
	t.Helper()
	applied := b.applied[a.change] != ""
	var id string
	var exists bool
	switch a.operation {
	case "placeOrder":
		id = objectID("ord_", a.change)
		exists = b.orders[id] != nil
	case "issueCoupon":
		id = objectID("cpi_", a.change)
		exists = b.issues[id] != nil
	case "transfer":
		id = objectID("tr_", a.change)
		exists = b.transfer[id] != nil
	default:
		exists = applied
	}
	what := fmt.Sprintf("%s %s", a.operation, a.change)
	if exists != applied {
		t.Errorf("%s: in the change log %t, its row exists %t", what, applied, exists)
		return
	}
	switch a.state {
	case granted:
		if !applied {
			t.Errorf("%s was granted and is not in the database: %+v", what, a.answer)
		} else if a.answer.object() != id {
			t.Errorf("%s was granted as %q, want %q", what, a.answer.object(), id)
		}
	case refused:
		if applied && a.operation != "placeOrder" {
			t.Errorf("%s was refused (%s) and is in the database", what, a.code)
		}
	case open:
	}
	if a.operation == "placeOrder" && applied {
		c.checkOrder(t, what, a, b.orders[id])
	}
}

func (c *campaign) checkOrder(t *testing.T, what string, a *ask, row *ent.Order) {
	t.Helper()
	switch {
	case a.state == refused && (row.Status != order.StatusFAILED || !row.Settled || row.FailureCode != a.code):
		t.Errorf("%s was refused (%s), and is %s (%s), settled %t", what, a.code, row.Status, row.FailureCode, row.Settled)
	case a.state == granted && a.answer.Order.Status != row.Status.String():
		t.Errorf("%s was answered as %s, and is %s (%s)", what, a.answer.Order.Status, row.Status, row.FailureCode)
	case a.state == granted && a.input["payment"] == nil && row.Status != order.StatusPENDING:
		t.Errorf("%s was placed, and is %s", what, row.Status)
	case a.state == granted && a.input["payment"] != nil &&
		(row.Status != order.StatusPAID || row.Edges.Payment == nil || row.Edges.Payment.Status != payment.StatusCAPTURED):
		t.Errorf("%s was paid, and is %s: %v", what, row.Status, row.Edges.Payment)
	case row.Status == order.StatusFAILED && row.FailureCode != "INSUFFICIENT_FUNDS":
		t.Errorf("%s has failed: %s %s", what, row.FailureCode, row.FailureReason)
	}
}

// checkTotals compares every balance with what the customers asked for, and fails on a change that no customer
// asked for.
func (c *campaign) checkTotals(t *testing.T, asked []*ask, b books, l losses) {
	t.Helper()
	want := map[string]int64{
		lockprovider.StockKey(c.plenty): plentyOfStock, lockprovider.StockKey(c.scarce): scarceStock,
		lockprovider.CouponKey(c.rare): 0, lockprovider.CouponKey(c.common): 0,
	}
	for _, account := range c.accounts {
		want[lockprovider.AccountKey(account)] = openingSaving
	}
	known, late := map[uuid.UUID]bool{}, map[string]bool{}
	for _, a := range asked {
		known[a.change] = true
		if a.state == refused {
			late[fmt.Sprint(a.code, " ", a.by, " ", a.input["couponId"])] = true
		}
		if b.applied[a.change] == "" {
			continue
		}
		user := c.shoppers[a.by].id
		switch a.operation {
		case "placeOrder":
			row := b.orders[objectID("ord_", a.change)]
			if row.Status != order.StatusPENDING && row.Status != order.StatusPAID {
				continue
			}
			for _, line := range row.Edges.Lines {
				want[lockprovider.StockKey(line.ProductID)] -= line.Quantity
			}
			if p := row.Edges.Payment; p != nil && p.Method == payment.MethodPOINTS && p.Status == payment.StatusCAPTURED {
				want[lockprovider.PointsKey(user)] -= row.TotalMinor
			}
		case "issueCoupon":
			coupon := a.input["couponId"].(string)
			want[lockprovider.CouponKey(coupon)]++
			want[lockprovider.CouponUserKey(coupon, user)]++
		case "chargePoints":
			want[lockprovider.PointsKey(user)] += a.amount
		case "transfer":
			want[lockprovider.AccountKey(c.accounts[a.by])] -= a.amount
			want[lockprovider.AccountKey(c.accounts[a.to])] += a.amount
		}
	}
	var savings int64
	for key, amount := range want {
		wantEqual(t, key, b.amounts[key], amount)
		if strings.HasPrefix(key, "account:") {
			savings += b.amounts[key]
		}
	}
	wantEqual(t, "all accounts together", savings, shoppers*openingSaving)
	for change, kind := range b.applied {
		switch kind {
		case commerce.KindOrderPlaced, commerce.KindCouponIssued, commerce.KindPointsCharged, commerce.KindTransferCompleted:
			if !known[change] {
				t.Errorf("%s %s: nobody asked for it", kind, change)
			}
		}
	}
	if sold := scarceStock - b.amounts[lockprovider.StockKey(c.scarce)]; sold > scarceStock {
		t.Errorf("%d of %d sold", sold, scarceStock)
	}
	if issued := b.amounts[lockprovider.CouponKey(c.rare)]; issued > rareQuota {
		t.Errorf("%d of %d issued", issued, rareQuota)
	}
	if l == lossy {
		return // a customer may have been refused because of another one's change that was then lost before its commit
	}
	// None of these units is ever given back: a customer who was refused was refused because the last one was gone.
	for refusal := range late {
		var code, coupon string
		var by int
		_, _ = fmt.Sscan(refusal, &code, &by, &coupon)
		switch code {
		case "OUT_OF_STOCK":
			wantEqual(t, "stock, where somebody was told that there is none", b.amounts[lockprovider.StockKey(c.scarce)], 0)
		case "COUPON_EXHAUSTED":
			wantEqual(t, "issued, where somebody was told that all are", b.amounts[lockprovider.CouponKey(c.rare)], rareQuota)
		case "COUPON_ALREADY_ISSUED":
			held := b.amounts[lockprovider.CouponUserKey(coupon, c.shoppers[by].id)]
			wantEqual(t, "coupons of somebody who was told to have them", held, perShopper)
		}
	}
}
