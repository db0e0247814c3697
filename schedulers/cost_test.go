package schedulers

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/hold"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// history is how many orders there are of which nothing is to be done, and atMost how many rows and
// entries of indexes a run may read, whatever there is. Reading any table of the history takes
// more.
const (
	history = 6000
	atMost  = 2500
)

// TestJobsReadWhatIsDue: what a run of a job reads is bounded by what there is to do, however many
// orders, holds, payments, refunds, messages of the gateway and counts of ended periods there are. The
// database counts the rows.
func TestJobsReadWhatIsDue(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"postgres": testenv.Postgres, "mariadb": testenv.MariaDB} {
		t.Run(name, func(t *testing.T) {
			s := stores{db: openDatabase(t, url(t))}
			p, ctx := s.process(t, "one", lockprovider.AtomicSQL), t.Context()
			p.clock.Advance(p.clock.Now().Truncate(24 * time.Hour).Add(36 * time.Hour).Sub(p.clock.Now())) // noon: the day before can be compared
			const secret = "a secret of the gateway, 32 bytes or longer"
			gateway := payments.NewSimulated(payments.SimulatedSettings{WebhookSecret: secret})
			gateway.Now = p.clock.Now
			counting := commerce.New(commerce.Deps{
				Client: p.db.Ent, Ledger: p.ledger, Providers: p.providers, Gateway: gateway, Now: p.clock.Now,
				Shop:    commerce.ShopSettings{Currency: "USD", Reservation: 48 * time.Hour, MaxLines: 50, MaxQuantity: 1000, MaxPending: 100},
				Payment: commerce.PaymentSettings{Gateway: commerce.GatewaySimulated, Methods: "CARD", Timeout: longEnough},
			})
			limited, err := counting.Catalog.Create(ctx, admin, commerce.CreateProduct{
				SKU: "limited", Name: "Limited", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 1000,
				Limit: &commerce.PurchaseLimit{Quantity: 5, Hours: 24},
			})
			must(t, err)
			past := pastOrders(t, p, limited.ID)
			for i := range 10 { // what there is to compare, by customers who have ordered a lot
				_, err := counting.Orders.Place(ctx, commerce.Viewer{UserID: customer(i)}, commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: limited.ID, Quantity: 1}},
				})
				must(t, err)
			}
			reads := readsOf(t, p, name)
			d := p.deps(DefaultSettings())
			d.Orders, d.Holds, d.Attempts, d.Refunds, d.Drifts, d.Limits = counting.Orders, counting.Holds, counting.Attempts, counting.Refunds, counting.Drifts, counting.LimitDrifts
			r := p.runner(t, d)
			r.jobs[LimitDrift].(*limitDrift).most = 500 // balances: there are more
			run := func(job Job) {
				t.Helper()
				n := reads(func() {
					run, err := r.RunNow(ctx, job)
					must(t, err)
					if run.Error != "" {
						t.Errorf("%s: %s", job, run.Error)
					}
				})
				t.Logf("%s reads %d rows", job, n)
				if n > atMost {
					t.Errorf("%s reads %d rows, beside a history of %d orders of which nothing is to be done", job, n, history)
				}
			}
			for _, job := range []Job{Expire, Sweep, LimitDrift, LimitDrift} {
				run(job)
			}
			for what, f := range map[string]func() error{
				"the gauge of orders":        func() error { _, err := counting.Orders.CountFailed(ctx); return err },
				"the look for overdue holds": func() error { _, _, err := counting.Holds.ExpireOverdue(ctx, 200); return err },
				"the gauge of holds":         func() error { _, err := counting.Holds.CountStuck(ctx); return err },
				"the retention of holds":     func() error { _, err := r.jobs[Retention].(*retention).holds(ctx); return err },
				"the gauge of payments":      func() error { _, err := counting.Attempts.CountStuck(ctx); return err },
				"the gauge of refunds":       func() error { _, err := counting.Refunds.CountStuck(ctx); return err },
				"a message of the gateway": func() error {
					return message(ctx, counting, p, secret, payments.SimulatedMessage{ID: "new", Attempt: past, State: payments.StateCaptured, Captured: 100})
				},
			} {
				n := reads(func() { must(t, f()) })
				t.Logf("%s reads %d rows", what, n)
				if n > 200 {
					t.Errorf("%s reads %d rows", what, n)
				}
			}
			// A day has ended, before the shop has begun: its payments are compared by steps. Only
			// the orders that it reads are as many as there are.
			steps := 0
			for more := true; more; steps++ {
				n := reads(func() {
					done, err := counting.Drifts.Step(ctx, 20)
					must(t, err)
					more = done.More
				})
				if n > atMost {
					t.Errorf("step %d of the comparison of a day reads %d rows", steps, n)
				}
			}
			if steps < history/10/20 {
				t.Errorf("compared in %d steps only", steps)
			}
			run(PaymentDrift) // no day has ended since
		})
	}
}

// message sends a message of the simulated gateway.
func message(ctx context.Context, s *commerce.Services, p *process, secret string, m payments.SimulatedMessage) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	header := http.Header{}
	header.Set(payments.SimulatedSignature, payments.SignSimulated(secret, body, p.clock.Now()))
	_, err = s.Orders.ReceiveWebhook(ctx, commerce.GatewaySimulated, header, body)
	return err
}

func customer(i int) string { return fmt.Sprintf("customer_%03d", i%100) }

// pastOrders writes orders of the weeks before, all paid, some refunded, of 100 customers, a
// product with a limit in each. It returns a payment attempt.
func pastOrders(t *testing.T, p *process, product string) string {
	t.Helper()
	ctx, now := t.Context(), p.clock.Now().UTC().Truncate(time.Microsecond)
	begin := now.Add(-50 * 24 * time.Hour)
	var users []*ent.UserCreate
	balances := []*ent.BalanceCreate{}
	for i := range 100 {
		users = append(users, p.db.Ent.User.Create().SetID(customer(i)).SetName("Customer").SetCreatedAt(begin))
		balances = append(balances, p.db.Ent.Balance.Create().SetID(lockprovider.PendingKey(customer(i))).SetFamily(string(lockprovider.Stock)).
			SetAmount(0).SetFloor(0).SetCeiling(lockprovider.MaxAmount).SetOpening(0))
	}
	must(t, p.db.Ent.User.CreateBulk(users...).Exec(ctx))
	must(t, p.db.Ent.Balance.CreateBulk(balances...).Exec(ctx))
	for from := 0; from < history; from += 500 {
		var orders []*ent.OrderCreate
		var lines []*ent.OrderLineCreate
		var paid []*ent.PaymentCreate
		var attempts []*ent.PaymentAttemptCreate
		var refunds []*ent.RefundCreate
		var messages []*ent.WebhookEventCreate
		var counts []*ent.BalanceCreate
		var holds []*ent.HoldCreate
		for i := from; i < from+500; i++ {
			id, at := fmt.Sprintf("%s%026d", "ord_", i), begin.Add(time.Duration(i)*48*24*time.Hour/history)
			attempt, key := fmt.Sprintf("pat_%026d", i), lockprovider.BuyerKey(product, customer(i), fmt.Sprintf("24h%d", i/100))
			orders = append(orders, p.db.Ent.Order.Create().SetID(id).SetUserID(customer(i)).SetStatus(order.StatusPAID).SetSettled(true).
				SetSubtotalMinor(100).SetDiscountMinor(0).SetTotalMinor(100).SetCurrency("USD").SetExpiresAt(at.Add(time.Hour)).
				SetNextAttemptAt(at).SetCreatedAt(at).SetUpdatedAt(at))
			lines = append(lines, p.db.Ent.OrderLine.Create().SetOrderID(id).SetProductID(product).SetVariantID(lockprovider.FirstVariantID(product)).SetPosition(0).SetQuantity(1).
				SetUnitPriceMinor(100).SetLimitBalance(key))
			counts = append(counts, p.db.Ent.Balance.Create().SetID(key).SetFamily(string(lockprovider.Stock)).
				SetAmount(1).SetFloor(0).SetCeiling(lockprovider.MaxAmount).SetOpening(1))
			ended := []hold.Status{hold.StatusCONSUMED, hold.StatusRELEASED, hold.StatusEXPIRED}[i%3]
			holds = append(holds, p.db.Ent.Hold.Create().SetID(fmt.Sprintf("hold_%026d", i)).SetUserID(customer(i)).SetStatus(ended).
				SetExpiresAt(at.Add(time.Hour)).SetNextAttemptAt(at.Add(time.Hour)).SetCreatedAt(at).SetUpdatedAt(now))
			attempts = append(attempts, p.db.Ent.PaymentAttempt.Create().SetID(attempt).SetOrderID(id).SetGateway(commerce.GatewaySimulated).
				SetStatus(paymentattempt.StatusCAPTURED).SetAmountMinor(100).SetCurrency("USD").SetReference("sim_"+attempt).
				SetCreatedAt(at).SetUpdatedAt(at))
			paid = append(paid, p.db.Ent.Payment.Create().SetID(fmt.Sprintf("pay_%026d", i)).SetOrderID(id).SetMethod(payment.MethodCARD).
				SetStatus(payment.StatusCAPTURED).SetAmountMinor(100).SetCurrency("USD").SetAttemptID(attempt).SetCreatedAt(at).SetUpdatedAt(at))
			refunds = append(refunds, p.db.Ent.Refund.Create().SetID(fmt.Sprintf("ref_%026d", i)).SetOrderID(id).SetMethod(refund.MethodCARD).
				SetStatus(refund.StatusREFUNDED).SetAmountMinor(1).SetCurrency("USD").SetAttemptID(attempt).SetRestock(false).SetReason("past").
				SetAdministrator("root").SetCreatedAt(at).SetUpdatedAt(at))
			messages = append(messages, p.db.Ent.WebhookEvent.Create().SetID(fmt.Sprintf("simulated:past_%d", i)).SetReceivedAt(at))
		}
		must(t, p.db.Ent.Hold.CreateBulk(holds...).Exec(ctx))
		must(t, p.db.Ent.Order.CreateBulk(orders...).Exec(ctx))
		must(t, p.db.Ent.OrderLine.CreateBulk(lines...).Exec(ctx))
		must(t, p.db.Ent.Balance.CreateBulk(counts...).Exec(ctx))
		must(t, p.db.Ent.PaymentAttempt.CreateBulk(attempts...).Exec(ctx))
		must(t, p.db.Ent.Payment.CreateBulk(paid...).Exec(ctx))
		must(t, p.db.Ent.Refund.CreateBulk(refunds...).Exec(ctx))
		must(t, p.db.Ent.WebhookEvent.CreateBulk(messages...).Exec(ctx))
	}
	return fmt.Sprintf("pat_%026d", history/2)
}

// readsOf returns a function that counts the rows and entries of indexes that the database reads
// while f runs.
func readsOf(t *testing.T, p *process, database string) func(f func()) int64 {
	t.Helper()
	pool := p.db.Pools()["main"]
	pool.SetMaxIdleConns(0) // so that PostgreSQL, which counts by connections, has counted all when there is none
	watch, err := pool.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, watch.Close()) })
	number := func(query string) (n int64) {
		t.Helper()
		must(t, watch.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	analyze := "ANALYZE"
	if database == "mariadb" {
		analyze = "ANALYZE TABLE orders, order_lines, balances, payments, payment_attempts, refunds, webhook_events, holds"
	}
	_, err = watch.ExecContext(t.Context(), analyze)
	must(t, err)
	count := func() int64 {
		if database == "mariadb" {
			rows, err := watch.QueryContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Handler_read%'")
			must(t, err)
			return total(t, rows)
		}
		until(t, "the connections to be closed", func() bool {
			return number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'") == 0
		})
		_, err := watch.ExecContext(t.Context(), "SELECT pg_stat_clear_snapshot()")
		must(t, err)
		return number("SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)")
	}
	return func(f func()) int64 {
		before := count()
		f()
		return count() - before
	}
}

// total adds up values that have names.
func total(t *testing.T, rows *sql.Rows) (sum int64) {
	t.Helper()
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		must(t, rows.Scan(&name, &n))
		if !strings.Contains(name, "tmp") {
			sum += n
		}
	}
	must(t, rows.Err())
	return sum
}
