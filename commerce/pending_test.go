package commerce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

func maxPending(n int64) func(*config.Config) {
	return func(cfg *config.Config) { cfg.Shop.MaxPending = n }
}

// wantPending asserts how many orders of a customer count as waiting for payment.
func (s *shop) wantPending(t *testing.T, v commerce.Viewer, want int64) {
	t.Helper()
	s.settle(t)
	row, err := s.db.Ent.Balance.Get(t.Context(), lockprovider.PendingKey(v.UserID))
	must(t, err)
	if row.Amount != want {
		t.Errorf("%d orders of %s are counted, want %d", row.Amount, v.UserID, want)
	}
}

// TestPendingOrdersAreBounded: of 64 orders at once as many are placed as may wait. Each that is paid, cancelled or expires makes room for one.
func TestPendingOrdersAreBounded(t *testing.T) {
	const most = 4
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 1000)
		var placed, refused atomic.Int64
		ids := make(chan string, 64)
		together(64, func(int) {
			id, err := s.order(t, alice, a, 1)
			if err == nil {
				placed.Add(1)
				ids <- id
				return
			}
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.TooManyPending || !errs[0].Retryable {
				t.Errorf("refused with %v", err)
			}
			refused.Add(1)
		})
		if placed.Load() != most || refused.Load() != 64-most {
			t.Fatalf("%d orders placed and %d refused of 64, want %d placed", placed.Load(), refused.Load(), most)
		}
		s.wantStock(t, a, 1000-most)
		s.wantPending(t, alice, most)
		_, err := s.order(t, bob, a, 1)
		must(t, err)

		s.points(t, alice, 1000)
		paid := <-ids
		for range 2 { // the repeat frees no other place
			_, err = untilSettled(t, func() (commerce.OrderResult, error) {
				return s.Orders.Pay(t.Context(), alice, commerce.PayOrder{
					Key: uuid.NewSHA1(uuid.NameSpaceOID, []byte(paid)), OrderID: paid, Payment: commerce.Payment{Method: payment.MethodPOINTS},
				})
			})
			must(t, err)
		}
		s.wantOrder(t, paid, order.StatusPAID, true)
		s.wantPending(t, alice, most-1)
		cancel := func(id string) {
			t.Helper()
			_, err := untilSettled(t, func() (commerce.OrderResult, error) {
				return s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
			})
			must(t, err)
		}
		cancel(<-ids)
		cancel(paid) // it does not count any more
		s.wantPending(t, alice, most-2)
		for range 2 {
			_, err = s.order(t, alice, a, 1)
			must(t, err)
		}
		_, err = s.order(t, alice, a, 1)
		wantCodes(t, err, "TOO_MANY_PENDING_ORDERS")
		s.wantPending(t, alice, most) // the database has them all
		s.clock.advance(time.Hour)
		s.expire(t, most+1)
		s.wantPending(t, alice, 0)
		s.wantPending(t, bob, 0)
		s.wantStock(t, a, 1000)
		s.audit(t)
	}, maxPending(most))
}

// TestFirstOrdersAtOnce: the limit holds as well while the row that counts the orders is still to be created, on each database.
func TestFirstOrdersAtOnce(t *testing.T) {
	const most = 4
	everyDatabase(t, func(t *testing.T, url string) {
		for _, strategy := range []lockprovider.Strategy{
			lockprovider.RowLock, lockprovider.AtomicSQL, lockprovider.Optimistic, lockprovider.GroupCommit, lockprovider.Lua,
		} {
			t.Run(string(strategy), func(t *testing.T) {
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, clients.EmbeddedRedis, maxPending(most))
				customer := commerce.Viewer{UserID: "first-" + string(strategy), Name: "First"}
				a := s.product(t, 1000, 1000)
				var placed atomic.Int64
				together(64, func(int) {
					_, err := s.order(t, customer, a, 1)
					if errs, ok := commerce.UserErrors(err); err == nil {
						placed.Add(1)
					} else if !ok || errs[0].Code != commerce.TooManyPending {
						t.Errorf("refused with %v", err)
					}
				})
				if placed.Load() != most {
					t.Errorf("%d orders placed of 64, want %d", placed.Load(), most)
				}
				s.wantPending(t, customer, most)
				s.wantStock(t, a, 1000-most)
			})
		}
	})
}

// TestPaidOrderThatIsStillCounted: the job settles a paid order that nobody has released, because a crash has cut that off. Meanwhile, and at
// the same time, it may be cancelled: that releases it once.
func TestPaidOrderThatIsStillCounted(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua} {
			t.Run(string(strategy), func(t *testing.T) {
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, clients.EmbeddedRedis, maxPending(2))
				a := s.product(t, 1000, 10)
				var ids []string
				for range 2 {
					id := s.unpaid(t, a, 1, "").ID
					s.gateway.lose = "capture"
					_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
					wantCodes(t, err, "UNAVAILABLE")
					ids = append(ids, id)
				}
				s.sweep(t, 2, 0)
				for _, id := range ids {
					s.wantOrder(t, id, order.StatusPAID, false)
				}
				s.wantPending(t, alice, 2)
				_, err := s.order(t, alice, a, 1)
				wantCodes(t, err, "TOO_MANY_PENDING_ORDERS")
				together(2, func(i int) {
					var err error
					if i == 0 {
						_, _, err = s.Orders.ExpireOverdue(t.Context(), expiryLimit)
					} else {
						_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: ids[1]})
					}
					if err != nil {
						t.Error(err)
					}
				})
				s.nextAttempt()
				_, _, err = s.Orders.ExpireOverdue(t.Context(), expiryLimit)
				must(t, err)
				s.wantOrder(t, ids[0], order.StatusPAID, true)
				s.wantOrder(t, ids[1], order.StatusCANCELLED, true)
				s.wantPending(t, alice, 0)
				s.wantStock(t, a, 9)
				if got := s.gateway.taken(); got != 1000 {
					t.Errorf("the gateway keeps %d, want 1000", got)
				}
				s.audit(t)
			})
		}
	})
}

// TestPendingLimitOfATicket: the limit holds in the queue as well, and the ticket says so.
func TestPendingLimitOfATicket(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.Queue}, "sqlite://:memory:", clients.EmbeddedRedis, maxPending(1))
	a := s.product(t, 1000, 10)
	s.unpaid(t, a, 1, "")
	result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, NoWait: true,
	})
	for deadline := time.Now().Add(longEnough); err == nil && result.Ticket.Status != commerce.TicketFailed; {
		if time.Now().After(deadline) {
			t.Fatalf("the ticket is %+v after %s", result.Ticket, longEnough)
		}
		result, err = s.Orders.Ticket(t.Context(), alice, result.Ticket.ID)
	}
	wantCodes(t, err, "TOO_MANY_PENDING_ORDERS")
}

// TestNoLimitOfPendingOrders: by default, nothing is counted.
func TestNoLimitOfPendingOrders(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	s.unpaid(t, s.product(t, 1000, 10), 1, "")
	if found, err := s.db.Ent.Balance.Get(t.Context(), lockprovider.PendingKey(alice.UserID)); !ent.IsNotFound(err) {
		t.Errorf("there is a balance: %v, %v", found, err)
	}
}
