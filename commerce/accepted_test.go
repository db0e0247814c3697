package commerce_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/balance"
	"holdfast/ent/order"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// acceptingShop answers when Redis has admitted a change, and waits for a commit for no longer than the given time.
func acceptingShop(t *testing.T, databaseURL string, persistWait time.Duration) *shop {
	t.Helper()
	return openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.Lua}, databaseURL, clients.EmbeddedRedis,
		func(cfg *config.Config) {
			for _, lock := range cfg.Locks {
				lock.Settings.Ack = lockprovider.AckAccepted
			}
			cfg.Pipeline.PersistWait = persistWait
		})
}

// stall keeps the persister from committing until resume is called: a transaction of the test has the rows of all balances,
// or is the one writer of SQLite.
func (s *shop) stall(t *testing.T) (resume func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	tx, err := s.db.Ent.Tx(ctx)
	must(t, err)
	if s.db.Dialect != dialect.SQLite {
		_, err = tx.Balance.Query().Order(balance.ByID()).ForUpdate().All(ctx)
		must(t, err)
	}
	resume = sync.OnceFunc(func() { must(t, tx.Rollback()) })
	t.Cleanup(resume)
	return resume
}

// impatient is a bound on the wait for a commit that is soon reached.
const impatient = time.Millisecond

// While the database is behind, what needs an accepted change is told to come again, and what needs none is served.
func TestWhatFollowsAnAcceptedChange(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := acceptingShop(t, url, impatient)
		a, gone := s.product(t, 1000, 100), s.product(t, 1000, 100)
		s.points(t, alice, 50_000)
		from, to := s.account(t, alice, 1000), s.account(t, alice, 0)
		couponID := s.coupon(t, commerce.CreateCoupon{Quota: 5, PerUserLimit: 5})
		order1 := func(productID string) commerce.PlaceOrder {
			return commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: 1}}}
		}
		s.settle(t)

		resume := s.stall(t)
		place := func(in commerce.PlaceOrder) string {
			placed, err := s.Orders.Place(t.Context(), alice, in)
			must(t, err)
			wantStatus(t, placed.Order, order.StatusPENDING)
			if placed.Persistence != commerce.PersistAccepted {
				t.Fatalf("the order is %s, want it accepted", placed.Persistence)
			}
			return placed.Order.ID
		}
		again, archived := order1(a), order1(gone)
		placed, paid, cancelled, repriced := place(again), place(order1(a)), place(order1(a)), place(archived)
		moved, err := s.Accounts.Transfer(t.Context(), alice, commerce.Transfer{
			Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 5, Currency: "USD"},
		})
		must(t, err)
		issued, err := s.Coupons.Issue(t.Context(), alice, commerce.IssueCoupon{Key: uuid.New(), CouponID: couponID})
		must(t, err)
		spend := order1(a)
		spend.CouponIssueID = issued.Issue.ID

		pay := commerce.PayOrder{Key: uuid.New(), OrderID: paid, Payment: *byPoints()}
		cancel := commerce.CancelOrder{Key: uuid.New(), OrderID: cancelled}
		later := map[string]func() error{
			"payOrder":    func() error { _, err := s.Orders.Pay(t.Context(), alice, pay); return err },
			"cancelOrder": func() error { _, err := s.Orders.Cancel(t.Context(), alice, cancel); return err },
			"placeOrder with the coupon": func() error {
				_, err := s.Orders.Place(t.Context(), alice, spend)
				return err
			},
			"the transfer": func() error {
				row, err := s.Accounts.GetTransfer(t.Context(), alice, moved.Transfer.ID)
				if err == nil && row == nil {
					t.Error("a transfer that was accepted is said not to exist")
				}
				return err
			},
			"the coupon": func() error {
				row, err := s.Coupons.GetIssue(t.Context(), alice, issued.Issue.ID)
				if err == nil && row == nil {
					t.Error("a coupon that was accepted is said not to exist")
				}
				return err
			},
		}
		if s.db.Dialect != dialect.SQLite { // whose one writer stands still
			_, err := s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{ID: gone})
			must(t, err)
			later["the repeat of an order that would be refused by now"] = func() error {
				result, err := s.Orders.Place(t.Context(), alice, archived)
				if err == nil && (result.Order.ID != repriced || !result.Meta.Replayed) {
					t.Errorf("the repeat is told of %+v", result)
				}
				return err
			}
		}
		for name, do := range later {
			errs, ok := commerce.UserErrors(do())
			if !ok || errs[0].Code != commerce.Unavailable || !errs[0].Retryable {
				t.Errorf("%s, before the commit: %v", name, do())
			}
		}
		for range 2 { // the repeat of an accepted order is told so again, and the order itself is there
			result, err := s.Orders.Place(t.Context(), alice, again)
			must(t, err)
			if result.Order.ID != placed || !result.Meta.Replayed || result.Persistence != commerce.PersistAccepted {
				t.Errorf("the repeat is told %+v", result)
			}
			row, persistence, err := s.Orders.Find(t.Context(), alice, placed)
			must(t, err)
			if row == nil || persistence != commerce.PersistAccepted {
				t.Errorf("the order is %v, %s", row, persistence)
			}
		}

		resume()
		for name, do := range later {
			if _, err := untilSettled(t, func() (struct{}, error) { return struct{}{}, do() }); err != nil {
				t.Errorf("%s, after the commit: %v", name, err)
			}
		}
		s.wantOrder(t, paid, order.StatusPAID, true)
		s.wantOrder(t, cancelled, order.StatusCANCELLED, true)
		s.wantOrder(t, placed, order.StatusPENDING, false)
		s.wantCoupon(t, alice, issued.Issue.ID, "USED")
		s.wantPoints(t, alice, 49_000)
		s.wantMoney(t, to, 5)
		s.settle(t)
		s.audit(t)
	})
}

// A commit that comes in time is waited for: its customer is not told to come again.
func TestPayOrderWaitsForItsOrder(t *testing.T) {
	for name, follow := range map[string]func(s *shop, id string) (commerce.OrderResult, error){
		"payOrder": func(s *shop, id string) (commerce.OrderResult, error) {
			return s.Orders.Pay(context.Background(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		},
		"cancelOrder": func(s *shop, id string) (commerce.OrderResult, error) {
			return s.Orders.Cancel(context.Background(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := acceptingShop(t, "sqlite://:memory:", time.Minute)
			a := s.product(t, 1000, 100)
			s.points(t, alice, 50_000)
			s.settle(t)
			resume := s.stall(t)
			placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
			})
			must(t, err)
			looked := make(chan struct{}, 1)
			s.redis.AddHook(onLook{looked})
			followed := make(chan error, 1)
			go func() {
				_, err := follow(s, placed.Order.ID)
				followed <- err
			}()
			select {
			case <-looked: // it waits
			case err := <-followed:
				t.Fatalf("it did not wait for the commit: %v", err)
			case <-time.After(testenv.Patience):
				t.Fatal("it neither looks at the accepted order nor ends")
			}
			resume()
			must(t, testenv.Receive(t, followed, name))
			s.audit(t)
		})
	}
}

// An order that was accepted, and that the database then refused, cannot be paid or cancelled, and its customer is told so.
func TestWhatFollowsAnOrderThatTheDatabaseRefused(t *testing.T) {
	s := acceptingShop(t, "sqlite://:memory:", time.Minute)
	a := s.product(t, 1000, 1)
	s.settle(t)
	_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}})
	must(t, err)
	_, err = s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: a, Delta: 1})
	must(t, err)
	s.settle(t)
	_, err = s.db.Ent.ExecContext(t.Context(), "UPDATE balances SET amount = 0, opening = opening - 1 WHERE id = ?", lockprovider.StockKey(a))
	must(t, err) // behind the back of Redis
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}})
	must(t, err)
	result, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: placed.Order.ID, Payment: *byCard()})
	wantCodes(t, err, "INVALID_STATE:input.orderId")
	if result.Persistence != commerce.FailedCompensated {
		t.Errorf("the order is %s", result.Persistence)
	}
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
	wantCodes(t, err, "INVALID_STATE:input.orderId")
	s.audit(t)
}

// onLook tells of a look at what Redis knows of a change.
type onLook struct{ looked chan<- struct{} }

func (h onLook) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (h onLook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (h onLook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if strings.EqualFold(cmd.Name(), "hmget") {
			select {
			case h.looked <- struct{}{}:
			default:
			}
		}
		return err
	}
}
