package commerce_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
)

// attempts are those of an order, the first one first.
func (s *shop) attempts(t *testing.T, orderID string) []*ent.PaymentAttempt {
	t.Helper()
	rows, err := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.OrderID(orderID)).
		Order(ent.Asc(paymentattempt.FieldCreatedAt, paymentattempt.FieldID)).All(t.Context())
	must(t, err)
	return rows
}

// wantAttempts asserts the statuses of an order's attempts, in any order.
func (s *shop) wantAttempts(t *testing.T, orderID string, want ...paymentattempt.Status) {
	t.Helper()
	var got []paymentattempt.Status
	for _, a := range s.attempts(t, orderID) {
		got = append(got, a.Status)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the attempts are %v, want %v", got, want)
	}
}

// TestAttemptsComeBeforeCalls: whenever the gateway is asked, the database says so already. What is cut off can be found.
func TestAttemptsComeBeforeCalls(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 3)
		var seen []string
		s.gateway.fail = func(call, subject string) error {
			row, err := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.OrderID(subject)).Only(t.Context())
			if err != nil {
				t.Errorf("%s: the attempt is not in the database: %v", call, err)
				return nil
			}
			seen = append(seen, call+" "+string(row.Status))
			return nil
		}
		placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard(),
		})
		must(t, err)
		wantStatus(t, placed.Order, order.StatusPAID)
		s.wantAttempts(t, placed.Order.ID, paymentattempt.StatusCAPTURED)
		attempt := s.attempts(t, placed.Order.ID)[0]
		if attempt.Reference == "" || placed.Order.Edges.Payment.Reference != attempt.Reference {
			t.Errorf("the gateway's reference is %q, and of the payment %q", attempt.Reference, placed.Order.Edges.Payment.Reference)
		}
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
		must(t, err)
		s.wantAttempts(t, placed.Order.ID, paymentattempt.StatusREFUNDED)
		if want := []string{"authorize AUTHORIZING", "capture CAPTURING", "cancel REFUNDING"}; !slices.Equal(seen, want) {
			t.Errorf("the gateway was asked: %v, want %v", seen, want)
		}
		if got := s.gateway.taken(); got != 0 {
			t.Errorf("the gateway keeps %d", got)
		}
		s.audit(t)
	})
}

// TestDeclinedCardIsFollowedByAnother: an order whose card was declined waits for another one, and its stock with it. The request that was
// declined stays declined.
func TestDeclinedCardIsFollowedByAnother(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 3)
		id := s.unpaid(t, a, 1, "").ID
		s.gateway.fail = func(string, string) error { return errDeclined }
		first := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: commerce.Payment{Method: payment.MethodCARD}}
		for range 2 {
			result, err := s.Orders.Pay(t.Context(), alice, first)
			wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
			wantStatus(t, result.Order, order.StatusPENDING)
		}
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED)
		s.wantStock(t, a, 2)

		s.gateway.fail = nil
		_, err := s.Orders.Pay(t.Context(), alice, first)
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		second := first
		second.Key = uuid.New()
		for range 2 {
			result, err := s.Orders.Pay(t.Context(), alice, second)
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
		}
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestOneAttemptAtATime: of many cards at once one pays, once.
func TestOneAttemptAtATime(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		together(8, func(int) {
			in := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: commerce.Payment{Method: payment.MethodCARD}}
			result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Pay(t.Context(), alice, in) })
			if failures, ok := commerce.UserErrors(err); err != nil && (!ok || failures[0].Code != commerce.InvalidState) {
				t.Errorf("told %v", err)
			}
			if result.Order == nil || result.Order.Status != order.StatusPAID {
				t.Errorf("the order is %v", result.Order)
			}
		})
		s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestTheDatabaseHasOneOpenAttempt: the referee of it is a constraint.
func TestTheDatabaseHasOneOpenAttempt(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
	open := func(attempt string) error {
		return s.db.Ent.PaymentAttempt.Create().SetID(attempt).SetOrderID(id).SetOpenOrderID(id).SetGateway("test").
			SetStatus(paymentattempt.StatusAUTHORIZING).SetAmountMinor(1).SetCurrency("USD").Exec(t.Context())
	}
	must(t, open("pat_1"))
	if err := open("pat_2"); !ent.IsConstraintError(err) {
		t.Errorf("a second open attempt: %v", err)
	}
}

// TestLostAnswers: the gateway does what it is asked for, and its answer is lost, at each call of an order that is paid or cancelled. The
// repeat, or the job, takes the money once or gives it back.
func TestLostAnswers(t *testing.T) {
	for _, lost := range []string{"authorize", "capture", "cancel"} {
		for _, end := range []string{"repeat", "cancel", "expire"} {
			t.Run(lost+" then "+end, func(t *testing.T) {
				everyStrategy(t, func(t *testing.T, s *shop) {
					a := s.product(t, 1000, 3)
					in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard()}
					s.gateway.lose = lost
					placed, err := s.Orders.Place(t.Context(), alice, in)
					if lost != "cancel" {
						wantCodes(t, err, "UNAVAILABLE")
						s.wantAttempts(t, placed.Order.ID, paymentattempt.StatusUNKNOWN)
					}
					id, taken := placed.Order.ID, int64(0)
					switch end {
					case "repeat":
						result, err := s.Orders.Place(t.Context(), alice, in)
						must(t, err)
						wantStatus(t, result.Order, order.StatusPAID)
						taken = 1000
					case "cancel":
						cancel := commerce.CancelOrder{Key: uuid.New(), OrderID: id}
						if _, err = s.Orders.Cancel(t.Context(), alice, cancel); lost == "cancel" {
							wantCodes(t, err, "UNAVAILABLE")
							s.wantOrder(t, id, order.StatusCANCELLED, false)
							_, err = s.Orders.Cancel(t.Context(), alice, cancel)
						}
						must(t, err)
						s.wantOrder(t, id, order.StatusCANCELLED, true)
					case "expire":
						s.clock.advance(reservation)
						if lost == "cancel" {
							taken = 1000 // it was paid
							break
						}
						s.expire(t, 1)
						row, err := s.Orders.Get(t.Context(), alice, id)
						must(t, err)
						if row.Status == order.StatusPAID { // it was authorized in time
							taken = 1000
						}
						if !row.Settled {
							t.Error("not settled")
						}
					}
					if got := s.gateway.taken(); got != taken {
						t.Errorf("the gateway has taken %d, want %d", got, taken)
					}
					open, err := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.OpenOrderIDNotNil()).Count(t.Context())
					must(t, err)
					if open != 0 {
						t.Errorf("%d attempts are open", open)
					}
					for _, attempt := range s.attempts(t, id) {
						if s.gateway.stateOf(id) == "authorized" {
							t.Errorf("the gateway holds money for the attempt %s", attempt.Status)
						}
					}
					s.audit(t)
				})
			})
		}
	}
}

// TestNotSettledWhileTheGatewayIsAway: an order whose payment is unknown gives its stock back in time. It is settled when the gateway has
// said that it holds no money.
func TestNotSettledWhileTheGatewayIsAway(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 3)
		s.gateway.lose = "authorize" // it has the money, and the shop does not know
		placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard(),
		})
		wantCodes(t, err, "UNAVAILABLE")
		s.gateway.fail = func(string, string) error { return errGatewayDown }
		s.clock.advance(reservation)
		s.expireSome(t, expiryLimit, 0, 1)
		s.wantOrder(t, placed.Order.ID, order.StatusEXPIRED, false)
		s.wantStock(t, a, 3)
		if got := s.gateway.stateOf(placed.Order.ID); got != "authorized" {
			t.Errorf("the gateway has %q", got)
		}
		s.gateway.fail = nil
		s.nextAttempt()
		s.expire(t, 1)
		s.wantOrder(t, placed.Order.ID, order.StatusEXPIRED, true)
		s.wantAttempts(t, placed.Order.ID, paymentattempt.StatusVOIDED)
		if got := s.gateway.stateOf(placed.Order.ID); got != "cancelled" {
			t.Errorf("the gateway has %q", got)
		}
		s.audit(t)
	})
}

var errLost = errors.New("the answer was lost")

func payCard(orderID string) commerce.PayOrder {
	return commerce.PayOrder{Key: uuid.New(), OrderID: orderID, Payment: *byCard()}
}

// TestADeclinedCardDisturbsNoOther: the repeat of a request whose card was declined is declined, and does nothing to the payment by another
// card that is under way.
func TestADeclinedCardDisturbsNoOther(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 3)
		id := s.unpaid(t, a, 1, "").ID
		first, second := payCard(id), payCard(id)
		s.gateway.fail = func(string, string) error { return errDeclined }
		_, err := s.Orders.Pay(t.Context(), alice, first)
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		var down atomic.Value
		down.Store("capture")
		s.failing(errGatewayDown, &down)
		_, err = s.Orders.Pay(t.Context(), alice, second)
		wantCodes(t, err, "UNAVAILABLE")

		result, err := s.Orders.Pay(t.Context(), alice, first)
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		wantStatus(t, result.Order, order.StatusPENDING)
		s.wantStock(t, a, 2)

		down.Store("")
		result, err = s.Orders.Pay(t.Context(), alice, second)
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestAnOrderGoesOnWithTheCardThatPaysIt: the card of placeOrder was declined, and another one is paying. The repeat of placeOrder, and the
// job, go on with that one.
func TestAnOrderGoesOnWithTheCardThatPaysIt(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 3)
		place := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard()}
		s.gateway.fail, s.gateway.lose = func(string, string) error { return errDeclined }, "authorize"
		placed, err := s.Orders.Place(t.Context(), alice, place)
		wantCodes(t, err, "UNAVAILABLE")
		id := placed.Order.ID
		var down atomic.Value
		down.Store("capture")
		s.failing(errGatewayDown, &down)
		_, err = s.Orders.Pay(t.Context(), alice, payCard(id))
		wantCodes(t, err, "UNAVAILABLE")
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusUNKNOWN)

		result, err := s.Orders.Place(t.Context(), alice, place)
		wantCodes(t, err, "UNAVAILABLE")
		wantStatus(t, result.Order, order.StatusPENDING)
		s.clock.advance(reservation)
		s.expireSome(t, expiryLimit, 0, 1)
		s.wantOrder(t, id, order.StatusPENDING, false)
		s.wantStock(t, a, 2)

		down.Store("")
		s.nextAttempt()
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusPAID, true)
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestADeclinedAttemptOfAnotherRequest: a request that learns that the card of another request was declined tries its own card.
func TestADeclinedAttemptOfAnotherRequest(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		s.gateway.fail, s.gateway.lose = func(string, string) error { return errDeclined }, "authorize"
		_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		wantCodes(t, err, "UNAVAILABLE")
		s.clock.advance(time.Second)
		second := payCard(id)
		result, err := s.Orders.Pay(t.Context(), alice, second) // the card of the second request is declined as well
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusDECLINED)
		row, err := s.Orders.Get(t.Context(), alice, id)
		must(t, err)
		if !result.Order.UpdatedAt.Equal(row.UpdatedAt) {
			t.Errorf("the order is shown as of %s, and has changed at %s", result.Order.UpdatedAt, row.UpdatedAt)
		}
		s.gateway.fail = nil
		_, err = s.Orders.Pay(t.Context(), alice, second)
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		result, err = s.Orders.Pay(t.Context(), alice, payCard(id))
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// faulty is a provider whose changes fail, before they have done anything, with what fault returns for them.
type faulty struct {
	lockprovider.Provider
	fault *atomic.Pointer[func(c lockprovider.Change) error]
}

func (p *faulty) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	if fault := p.fault.Load(); fault != nil {
		if err := (*fault)(c); err != nil {
			return lockprovider.Receipt{}, err
		}
	}
	return p.Provider.Execute(ctx, c)
}

// faultyShop is a shop whose changes fail as setFault says.
func faultyShop(t *testing.T) (s *shop, setFault func(fault func(c lockprovider.Change) error)) {
	t.Helper()
	const strategy lockprovider.Strategy = "faulty"
	right, _ := lockprovider.Lookup(lockprovider.RowLock)
	var fault atomic.Pointer[func(c lockprovider.Change) error]
	t.Cleanup(lockprovider.Register(lockprovider.Info{
		Name: strategy,
		New: func(d lockprovider.Deps) (lockprovider.Provider, error) {
			next, err := right.New(d)
			return &faulty{next, &fault}, err
		},
	}))
	s = openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, "sqlite://:memory:", clients.EmbeddedRedis)
	return s, func(f func(c lockprovider.Change) error) { fault.Store(&f) }
}

// TestTheJobOpensNoAttempt: the capture of an authorized payment was declined, and the order could not be ended then. The job ends it, and
// asks the customer's card for nothing.
func TestTheJobOpensNoAttempt(t *testing.T) {
	for name, wanted := range map[string]*commerce.Payment{"pay later": nil, "points": byPoints(), "card": byCard()} {
		t.Run(name, func(t *testing.T) {
			s, setFault := faultyShop(t)
			a := s.product(t, 1000, 3)
			setFault(func(c lockprovider.Change) error {
				if c.Family == lockprovider.Points || c.Record.Kind == commerce.KindOrderEnded {
					return lockprovider.ErrLockTimeout
				}
				return nil
			})
			s.gateway.fail = func(call, _ string) error {
				if call == "capture" {
					return errDeclined
				}
				return nil
			}
			placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: wanted,
			})
			id := placed.Order.ID
			if wanted == nil || wanted.Method == payment.MethodPOINTS {
				_, err = s.Orders.Pay(t.Context(), alice, payCard(id))
			}
			wantCodes(t, err, "LOCK_TIMEOUT")
			s.wantOrder(t, id, order.StatusPENDING, false)
			s.wantAttempts(t, id, paymentattempt.StatusDECLINED)

			setFault(func(lockprovider.Change) error { return nil })
			s.gateway.fail = nil
			s.clock.advance(reservation)
			s.expire(t, 1)
			s.wantOrder(t, id, order.StatusFAILED, true)
			s.wantAttempts(t, id, paymentattempt.StatusDECLINED)
			if got := s.gateway.taken(); got != 0 {
				t.Errorf("the gateway has taken %d, want 0", got)
			}
			s.wantStock(t, a, 3)
			s.audit(t)
		})
	}
}

// TestARefusedCardEndsNoOrderThatAnotherPays: another card comes after the order's own was declined, and before the order is FAILED.
func TestARefusedCardEndsNoOrderThatAnotherPays(t *testing.T) {
	s, setFault := faultyShop(t)
	place := commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 1000, 3), Quantity: 1}}, Payment: byCard(),
	}
	s.gateway.fail = func(string, string) error { return errDeclined }
	setFault(func(c lockprovider.Change) error {
		if c.Record.Kind == commerce.KindOrderEnded {
			return lockprovider.ErrLockTimeout
		}
		return nil
	})
	placed, err := s.Orders.Place(t.Context(), alice, place)
	wantCodes(t, err, "LOCK_TIMEOUT")
	id := placed.Order.ID

	var down atomic.Value
	down.Store("capture")
	s.failing(errGatewayDown, &down)
	other, ended := payCard(id), 0
	setFault(func(c lockprovider.Change) error {
		if c.Record.Kind == commerce.KindOrderEnded {
			ended++
			_, err := s.Orders.Pay(t.Context(), alice, other)
			wantCodes(t, err, "UNAVAILABLE")
		}
		return nil
	})
	result, err := s.Orders.Place(t.Context(), alice, place)
	wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
	wantStatus(t, result.Order, order.StatusPENDING)
	if ended != 1 {
		t.Errorf("the order was ended %d times, want once", ended)
	}
	down.Store("")
	result, err = s.Orders.Pay(t.Context(), alice, other)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)
	if got := s.gateway.taken(); got != 1000 {
		t.Errorf("the gateway has taken %d, want 1000", got)
	}
	s.audit(t)
}

// TestVoidedByTheGateway: an attempt that the gateway has voided by itself is declined.
func TestVoidedByTheGateway(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		void := func(id string) { s.gateway.set(id, "cancelled") }
		a := s.product(t, 1000, 3)
		id := s.unpaid(t, a, 1, "").ID
		in := payCard(id)
		s.gateway.lose = "authorize"
		_, err := s.Orders.Pay(t.Context(), alice, in)
		wantCodes(t, err, "UNAVAILABLE")
		void(id)
		for range 2 {
			result, err := s.Orders.Pay(t.Context(), alice, in)
			wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
			wantStatus(t, result.Order, order.StatusPENDING)
		}
		result, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)

		var down atomic.Value
		down.Store("capture")
		s.failing(errGatewayDown, &down)
		authorized := s.stuck(t, a).ID
		void(authorized)
		down.Store("")
		s.clock.advance(reservation)
		s.expire(t, 1)
		s.wantOrder(t, authorized, order.StatusFAILED, true)
		s.wantStock(t, a, 2)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}
