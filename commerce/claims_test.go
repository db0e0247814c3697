package commerce_test

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// contended is a provider of points that others are in the way of, while it is told so. Then nobody can read orders any more.
type contended struct {
	lockprovider.Provider
	on, unreadable *atomic.Bool
}

func (p *contended) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	if c.Family == lockprovider.Points && p.on.Load() {
		p.unreadable.Store(true)
		return lockprovider.Receipt{}, lockprovider.ErrLockTimeout
	}
	return p.Provider.Execute(ctx, c)
}

// TestStepsThatWereDoneAreNotDenied: a step of an order is done, others are in the way of the next one, and the order cannot be
// shown. LOCK_TIMEOUT would say that nothing was done.
func TestStepsThatWereDoneAreNotDenied(t *testing.T) {
	const strategy lockprovider.Strategy = "contended"
	right, _ := lockprovider.Lookup(lockprovider.RowLock)
	var on, unreadable atomic.Bool
	t.Cleanup(lockprovider.Register(lockprovider.Info{
		Name: strategy,
		New: func(d lockprovider.Deps) (lockprovider.Provider, error) {
			next, err := right.New(d)
			return &contended{next, &on, &unreadable}, err
		},
	}))
	s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, "sqlite://:memory:", clients.EmbeddedRedis)
	s.db.Ent.Order.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			if unreadable.Load() {
				return nil, driver.ErrBadConn
			}
			return next.Query(ctx, q)
		})
	}))
	product := s.product(t, 10, 5)
	s.points(t, alice, 100)
	byPoints := &commerce.Payment{Method: payment.MethodPOINTS}
	place := func(pay *commerce.Payment) (commerce.OrderResult, error) {
		return s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: pay,
		})
	}
	paid, err := place(byPoints)
	must(t, err)
	pending, err := place(nil)
	must(t, err)
	for name, mutation := range map[string]func() (commerce.OrderResult, error){
		"place": func() (commerce.OrderResult, error) { return place(byPoints) },
		"pay": func() (commerce.OrderResult, error) {
			return s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: pending.Order.ID, Payment: *byPoints})
		},
		"cancel": func() (commerce.OrderResult, error) {
			return s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: paid.Order.ID})
		},
	} {
		on.Store(true)
		result, err := mutation()
		on.Store(false)
		if !unreadable.Swap(false) {
			t.Fatalf("%s: nobody was in the way", name)
		}
		if result.Order != nil {
			t.Errorf("%s: order %+v, want none", name, result.Order)
		}
		wantCodes(t, err, string(commerce.Unavailable))
	}
	s.wantStock(t, product, 3) // two were placed, one was cancelled, and one more was placed
	cancelled, err := s.Orders.Get(t.Context(), alice, paid.Order.ID)
	must(t, err)
	if cancelled.Status != order.StatusCANCELLED {
		t.Errorf("the order is %s", cancelled.Status)
	}
}

// hindered is a shop in which one kind of change fails, while it is told so.
func hindered(t *testing.T, adjust ...func(*config.Config)) (s *shop, hinder func(kind string, err error)) {
	t.Helper()
	const strategy lockprovider.Strategy = "hindered"
	right, _ := lockprovider.Lookup(lockprovider.RowLock)
	var now atomic.Pointer[hindrance]
	t.Cleanup(lockprovider.Register(lockprovider.Info{
		Name: strategy,
		New: func(d lockprovider.Deps) (lockprovider.Provider, error) {
			next, err := right.New(d)
			return &hinderer{next, &now}, err
		},
	}))
	s = openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, "sqlite://:memory:", clients.EmbeddedRedis, adjust...)
	return s, func(kind string, err error) { now.Store(&hindrance{kind, err}) }
}

type hindrance struct {
	kind string
	err  error
}

type hinderer struct {
	lockprovider.Provider
	now *atomic.Pointer[hindrance]
}

func (p *hinderer) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	if h := p.now.Load(); h != nil && h.err != nil && h.kind == c.Record.Kind {
		return lockprovider.Receipt{}, h.err
	}
	return p.Provider.Execute(ctx, c)
}

// TestEndThatIsNotSettled: an order has ended, and others are in the way of what follows. LOCK_TIMEOUT would say that nothing was done.
func TestEndThatIsNotSettled(t *testing.T) {
	s, hinder := hindered(t, maxPending(2))
	product := s.product(t, 10, 5)
	s.points(t, alice, 100)
	for name, err := range map[string]error{
		"others are in the way": lockprovider.ErrLockTimeout,
		"it is refused": &lockprovider.Refused{Refusals: []lockprovider.Refusal{
			{Balance: lockprovider.PendingKey(alice.UserID), Delta: -1, Reason: lockprovider.ErrInsufficient},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			// That it does not wait any more is the shop's affair: the customer is told the end of the order.
			id := s.unpaid(t, product, 1, "").ID
			hinder(commerce.KindOrderReleased, err)
			_, cerr := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
			must(t, cerr)
			s.wantOrder(t, id, order.StatusCANCELLED, false)
			result, perr := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: byAccount(s.account(t, alice, 0)),
			})
			wantCodes(t, perr, "INSUFFICIENT_FUNDS:input.payment")
			s.wantOrder(t, result.Order.ID, order.StatusFAILED, false)
			s.nextAttempt()
			s.expireSome(t, expiryLimit, 0, 2)
			hinder("", nil)
			s.nextAttempt()
			s.expireSome(t, expiryLimit, 2, 0)
			s.wantOrder(t, id, order.StatusCANCELLED, true)
			s.wantPending(t, alice, 0)

			// What was paid is the customer's affair.
			paid := s.paid(t, &commerce.Payment{Method: payment.MethodPOINTS}, "", commerce.Line{ProductID: product, Quantity: 1}).ID
			hinder(commerce.KindOrderRefunded, err)
			in := commerce.CancelOrder{Key: uuid.New(), OrderID: paid}
			result, cerr = s.Orders.Cancel(t.Context(), alice, in)
			if errs := wantCodes(t, cerr, "UNAVAILABLE"); !errs[0].Retryable || result.Order.Status != order.StatusCANCELLED {
				t.Errorf("told %+v with the order %s", errs[0], result.Order.Status)
			}
			hinder("", nil)
			_, cerr = s.Orders.Cancel(t.Context(), alice, in)
			must(t, cerr)
			s.wantOrder(t, paid, order.StatusCANCELLED, true)
			s.wantPoints(t, alice, 100)
		})
	}
	s.audit(t)
}
