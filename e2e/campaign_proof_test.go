package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/experiment/claims"
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

// prove compares the shop at rest with what its customers were told: all of it, once, and nothing else. Customers who do not know what
// was done ask again before that.
func (c *campaign) prove(t *testing.T, phase string, l losses, allowed ...string) {
	t.Helper()
	c.worst = max(c.worst, l)
	db := c.open(t)
	c.drained(t, db)
	c.look(readBooks(t, db))
	c.askAgain(t)
	c.drained(t, db)
	c.compare(t, db, l)
	c.audit(t)
	b := readBooks(t, db)
	c.look(b)
	c.reportCodes(t, phase, allowed...)
	c.reportFalse(t, phase)
	for _, a := range c.asked {
		c.check(t, a, b)
	}
	c.checkTotals(t, c.asked, b, l)
	if t.Failed() {
		t.FailNow() // the next fault would only say the same again
	}
}

// reportCodes fails on answers that customers must not get in a phase.
func (c *campaign) reportCodes(t *testing.T, phase string, allowed ...string) {
	t.Helper()
	c.mu.Lock()
	codes, samples := c.codes, c.samples
	c.codes, c.samples = map[string]int{}, map[string]string{}
	// A payment that was cut off before it reached the gateway is ended by the job sweep: nothing was taken, and its key is told so.
	allowed = append(slices.Clone(allowed), "PAYMENT_DECLINED")
	if c.slow {
		allowed = append(slices.Clone(allowed), slowCodes...)
	}
	c.mu.Unlock()
	allowed = slices.Concat(allowed, refusalsForGood, []string{claims.NoAnswer})
	if slices.Contains(c.settings, "ack="+string(lockprovider.AckAccepted)) {
		allowed = append(allowed, accepted)
		if c.worst == lossy || c.redisFails {
			// Of an order that was accepted and lost before its commit, or that the database has refused at the end of its epoch: what Redis
			// remembered of it ended with the epoch.
			allowed = append(allowed, "NOT_FOUND")
		}
	}
	t.Logf("%s: %d requests, other answers than success: %v", phase, len(c.asked), codes)
	for code := range codes {
		if !slices.Contains(allowed, code) {
			t.Errorf("%s: clients were told %s: %s", phase, code, samples[code])
			for _, p := range c.instances() {
				if line, found, _ := p.stderr.line("internal error"); found {
					t.Logf("the first internal error of a server: %s", line)
				}
			}
		}
	}
}

// untrue are the answers that were false up to now, by request.
func (c *campaign) untrue() map[*ask][]claims.False {
	found := map[*ask][]claims.False{}
	for _, a := range c.asked {
		// Where Redis is behind, what it has accepted is refused by the database if others were served with the last one.
		lost := claims.Allowed{AcceptedLost: c.worst == lossy || c.worst == drifting && a.scarce, Retried: c.redisFails || c.slow && c.info().Needs.Redis}
		if untrue := a.told.Check(a.request(), lost); untrue != nil {
			found[a] = untrue
		}
	}
	return found
}

// reportFalse fails if any answer was false.
func (c *campaign) reportFalse(t *testing.T, phase string) {
	t.Helper()
	answers, untrue := int64(0), 0
	for _, a := range c.asked {
		answers += a.told.Answers()
	}
	for a, all := range c.untrue() {
		untrue += len(all)
		for _, f := range all {
			t.Errorf("%s: %s: %s: %s", phase, a, f.Kind, f.Text)
		}
	}
	t.Logf("%s: %d of %d answers were false", phase, untrue, answers)
}

// look keeps what the database has of each request.
func (c *campaign) look(b books) {
	for _, a := range c.asked {
		a.told.Found(b.found(a))
	}
}

// askAgain lets the customers ask who do not know what was done, each until the answer is definite. The look before has found what
// the answer has to agree with. Who was told that something is accepted, and does not find it, asks too.
func (c *campaign) askAgain(t *testing.T) {
	t.Helper()
	byShopper := make([][]*ask, shoppers)
	for _, a := range c.asked {
		if a.told.Open(a.request()) || a.told.Lost() {
			byShopper[a.by] = append(byShopper[a.by], a)
		}
	}
	c.loads++
	ctx := bounded(t)
	asking := errgroup.Group{}
	n := 0
	for i, all := range byShopper {
		dice := rand.New(rand.NewPCG(c.seed, c.loads*shoppers+uint64(i)))
		n += len(all)
		asking.Go(func() error {
			for _, a := range all {
				err := c.repeat(ctx, dice, a, func(reply claims.Reply) bool {
					return reply.Change() > claims.NotStarted && !a.told.Open(a.request())
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, asking.Wait())
	t.Logf("%d customers asked again", n)
}

// drained waits until everything that was under way has come to its end.
func (c *campaign) drained(t *testing.T, db *clients.Database) {
	t.Helper()
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(c.redis)})
	must(t, err)
	defer redis.Close()
	ctx := bounded(t)
	name, err := lockprovider.DatabaseName(ctx, db.Ent)
	must(t, err)
	eventually(t, "all balances are free", func() bool { // those that the dead have locked, when their leases end
		locks, err := redis.Client.Keys(ctx, "lock:*").Result()
		must(t, err)
		return !slices.ContainsFunc(locks, func(lock string) bool { // jobs have locks too
			kind, _, _ := strings.Cut(strings.TrimPrefix(lock, "lock:"), ":")
			return slices.Contains([]string{"product", "coupon", "user", "account"}, kind)
		})
	})
	for _, family := range lockprovider.Families {
		eventually(t, "redis serves "+string(family), func() bool {
			row, err := db.Ent.FamilyStrategy.Get(ctx, string(family))
			must(t, err)
			return !row.Fallback
		})
		for e := c.epoch(t, db, family); e > 0; e-- {
			store := redisfirst.NewStore(redis.Client, family, e, "campaign", redisfirst.StoreSettings{Database: name})
			queue := redisfirst.NewQueue(redis.Client, family, e, "campaign", redisfirst.QueueSettings{Database: name})
			eventually(t, fmt.Sprintf("stream and queue of %s in epoch %d are empty", family, e), func() bool {
				backlog, err := store.Backlog(ctx)
				must(t, err)
				inFlight, err := store.InFlight(ctx)
				must(t, err)
				waiting, err := queue.Len(ctx)
				must(t, err)
				return backlog == 0 && len(inFlight) == 0 && waiting == 0
			})
		}
	}
}

func (c *campaign) epoch(t *testing.T, db *clients.Database, family lockprovider.Family) int64 {
	t.Helper()
	row, err := db.Ent.FamilyStrategy.Get(t.Context(), string(family))
	must(t, err)
	return row.Epoch
}

// compare compares Redis with the database, if Redis has balances.
func (c *campaign) compare(t *testing.T, db *clients.Database, l losses) {
	t.Helper()
	if !c.info().BalancesInRedis {
		return
	}
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(c.redis)})
	must(t, err)
	defer redis.Close()
	name, err := lockprovider.DatabaseName(t.Context(), db.Ent)
	must(t, err)
	dbLedger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 10})
	for _, family := range lockprovider.Families {
		store := redisfirst.NewStore(redis.Client, family, c.epoch(t, db, family), "campaign", redisfirst.StoreSettings{Database: name})
		c.compareFamily(t, bounded(t), db.Ent, dbLedger, store, l)
	}
}

// compareFamily asserts that what Redis holds is what the database holds. After some faults it may differ until the
// reconciliation has been there, which is then done here.
func (c *campaign) compareFamily(
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

// found is what the database has of a request.
func (b books) found(a *ask) claims.Found {
	f := claims.Found{Applied: b.applied[a.change] != ""}
	if a.operation == "cancelOrder" {
		return claims.Found{Applied: b.applied[stepID(a.request().Object, "end")] != ""}
	}
	if row := b.orders[a.request().Object]; row != nil {
		f.Order = &claims.Order{Status: row.Status.String(), FailureCode: row.FailureCode, Settled: row.Settled}
		f.Order.Captured = row.Edges.Payment != nil && row.Edges.Payment.Status == payment.StatusCAPTURED
	}
	return f
}

// stepID derives the ID of a step of an order as commerce does.
func stepID(order, step string) uuid.UUID {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast"))
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"step", order, step}, "\x00")))
}

// check looks whether what a request has made agrees with itself.
func (c *campaign) check(t *testing.T, a *ask, b books) {
	t.Helper()
	if a.follows != nil {
		return
	}
	applied, id := b.applied[a.change] != "", a.request().Object
	exists := applied
	switch a.operation {
	case "placeOrder":
		exists = b.orders[id] != nil
	case "issueCoupon":
		exists = b.issues[id] != nil
	case "transfer":
		exists = b.transfer[id] != nil
	}
	if exists != applied {
		t.Errorf("%s: in the change log %t, its row exists %t", a, applied, exists)
	}
	if row := b.orders[id]; row != nil && row.Status == order.StatusFAILED && row.FailureCode != "INSUFFICIENT_FUNDS" {
		t.Errorf("%s has failed: %s %s", a, row.FailureCode, row.FailureReason)
	}
}

// wants is the coupon or the product that a request is about, "" if it is about neither.
func (a *ask) wants() string {
	if coupon, ok := a.input["couponId"].(string); ok {
		return coupon
	}
	if lines, ok := a.input["lines"].([]object); ok {
		return lines[0]["productId"].(string)
	}
	return ""
}

// checkTotals compares every balance with what the customers asked for, and fails on a change that no customer
// asked for.
func (c *campaign) checkTotals(t *testing.T, asked []*ask, b books, l losses) {
	t.Helper()
	want := map[string]int64{
		lockprovider.StockKey(c.plenty): plentyOfStock, lockprovider.CouponKey(c.rare): 0, lockprovider.CouponKey(c.common): 0,
	}
	for _, product := range c.scarce {
		want[lockprovider.StockKey(product)] = scarceStock
	}
	for _, account := range c.accounts {
		want[lockprovider.AccountKey(account)] = openingSaving
	}
	known, late := map[uuid.UUID]bool{}, map[string]bool{}
	for _, a := range asked {
		known[a.change] = true
		if last, _ := a.told.Last(); last.Change() == claims.Refused {
			late[fmt.Sprint(last.Code, " ", a.by, " ", a.wants())] = true
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
	for _, product := range c.scarce {
		if left := b.amounts[lockprovider.StockKey(product)]; left < 0 {
			t.Errorf("%d more sold than there were", -left)
		}
	}
	if issued := b.amounts[lockprovider.CouponKey(c.rare)]; issued > rareQuota {
		t.Errorf("%d of %d issued", issued, rareQuota)
	}
	if l == lossy {
		return // a customer may have been refused because of another one's change that was then lost before its commit
	}
	// None of these units is ever given back: a customer who was refused was refused because the last one was gone.
	for refusal := range late {
		var code, object string
		var by int
		_, _ = fmt.Sscan(refusal, &code, &by, &object)
		switch code {
		case "OUT_OF_STOCK":
			wantEqual(t, "stock, where somebody was told that there is none", b.amounts[lockprovider.StockKey(object)], 0)
		case "COUPON_EXHAUSTED":
			wantEqual(t, "issued, where somebody was told that all are", b.amounts[lockprovider.CouponKey(c.rare)], rareQuota)
		case "COUPON_ALREADY_ISSUED":
			held := b.amounts[lockprovider.CouponUserKey(object, c.shoppers[by].id)]
			wantEqual(t, "coupons of somebody who was told to have them", held, perShopper)
		}
	}
}
