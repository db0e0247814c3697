package commerce_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
)

// taking opens a shop that takes these payment methods.
func (v variant) taking(t *testing.T, methods commerce.PaymentMethods) *shop {
	t.Helper()
	return openShop(t, lockprovider.FamilyConfig{Strategy: v.strategy}, "sqlite://:memory:", clients.EmbeddedRedis, func(cfg *config.Config) {
		cfg.Payment.Methods = methods
		for _, lock := range cfg.Locks {
			lock.Settings.Ack = v.ack
		}
	})
}

// TestMethodsThatAreNotTaken: an order is neither placed nor paid by a method that the shop does not take.
func TestMethodsThatAreNotTaken(t *testing.T) {
	for _, v := range variants("sqlite3") {
		t.Run(v.String(), func(t *testing.T) {
			s := v.taking(t, "ACCOUNT, POINTS")
			a := s.product(t, 1000, 3)
			lines := []commerce.Line{{ProductID: a, Quantity: 1}}
			result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines, Payment: byCard()})
			errs := wantCodes(t, err, "INVALID_INPUT:input.payment.method")
			details, _ := errs[0].Details.(commerce.MethodNotTakenDetails)
			if taken := []payment.Method{payment.MethodACCOUNT, payment.MethodPOINTS}; !slices.Equal(details.Taken, taken) ||
				errs[0].Message != "the shop does not take CARD; it takes ACCOUNT, POINTS" {
				t.Errorf("told %q, %+v", errs[0].Message, details)
			}
			if result.Order != nil {
				t.Errorf("an order was made: %v", result.Order)
			}
			s.wantStock(t, a, 3)

			result, err = s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines})
			must(t, err)
			s.settle(t)
			_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: result.Order.ID, Payment: *byCard()})
			wantCodes(t, err, "INVALID_INPUT:input.payment.method")
			result, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{
				Key: uuid.New(), OrderID: result.Order.ID, Payment: *byAccount(s.account(t, alice, 1000)),
			})
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
			if len(s.gateway.calls) > 0 {
				t.Errorf("the gateway was asked: %v", s.gateway.calls)
			}
			s.audit(t)
		})
	}
}

// TestMethodThatIsTakenNoMore: a repeat does not pay by a method that the shop has ceased to take.
func TestMethodThatIsTakenNoMore(t *testing.T) {
	database := "sqlite://" + filepath.Join(t.TempDir(), "shop.db")
	open := func(methods commerce.PaymentMethods) *shop {
		return openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, database, clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Payment.Methods = methods })
	}
	before := open("CARD,ACCOUNT")
	before.gateway.fail = func(string, string) error { return errGatewayDown }
	in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: before.product(t, 1000, 3), Quantity: 1}}, Payment: byCard()}
	_, err := before.Orders.Place(t.Context(), alice, in)
	wantCodes(t, err, "UNAVAILABLE")

	after := open("ACCOUNT")
	result, err := after.Orders.Place(t.Context(), alice, in)
	wantCodes(t, err, "INVALID_INPUT:input.payment.method")
	wantStatus(t, result.Order, order.StatusPENDING)
	if len(after.gateway.calls) > 0 {
		t.Errorf("the gateway was asked: %v", after.gateway.calls)
	}

	// The attempt is open, since nobody knows what became of it. It ends with the order.
	pay := commerce.PayOrder{Key: uuid.New(), OrderID: result.Order.ID, Payment: *byAccount(after.account(t, alice, 1000))}
	_, err = after.Orders.Pay(t.Context(), alice, pay)
	wantCodes(t, err, "INVALID_STATE:input.payment.method")
	after.clock.advance(reservation)
	after.expireSome(t, expiryLimit, 0, 1) // it has not reached the gateway, and may still do so
	after.wantOrder(t, result.Order.ID, order.StatusEXPIRED, false)
	after.nextAttempt()
	after.expire(t, 1)
	after.wantOrder(t, result.Order.ID, order.StatusEXPIRED, true)
}

// TestPointsAreBought: points come with a payment that was captured, and only then.
func TestPointsAreBought(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		in := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
		s.gateway.fail = func(string, string) error { return errDeclined }
		for range 2 {
			_, err := s.Points.Charge(t.Context(), alice, in)
			wantCodes(t, err, "PAYMENT_DECLINED")
		}
		s.wantPoints(t, alice, 0)

		in.Key = uuid.New()
		for _, down := range []string{"authorize", "capture"} {
			s.gateway.fail = func(call, _ string) error {
				if call == down {
					return errGatewayDown
				}
				return nil
			}
			_, err := s.Points.Charge(t.Context(), alice, in)
			wantCodes(t, err, "UNAVAILABLE")
			s.wantPoints(t, alice, 0)
		}
		s.gateway.fail = nil
		for range 2 { // the second one is a repeat
			_, err := s.Points.Charge(t.Context(), alice, in)
			must(t, err)
			s.wantPoints(t, alice, 250)
		}
		if got := s.gateway.taken(); got != 250 {
			t.Errorf("the gateway has taken %d, want 250", got)
		}

		// What the wallet cannot take is not paid for.
		_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount})
		wantCodes(t, err, "INVALID_INPUT:input.amount")
		s.wantPoints(t, alice, 250)
		if got := s.gateway.taken(); got != 250 {
			t.Errorf("the gateway has taken %d, want 250", got)
		}
		s.audit(t)
	})
}

// TestTopUpsComeBeforeCalls: whenever the gateway is asked to take the price of points, or to give it back, the database says so already.
func TestTopUpsComeBeforeCalls(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		var seen []string
		s.gateway.fail = func(call, subject string) error {
			row, err := s.db.Ent.PaymentAttempt.Get(t.Context(), subject)
			if err != nil {
				t.Errorf("%s: the attempt is not in the database: %v", call, err)
				return nil
			}
			seen = append(seen, call+" "+string(row.Status))
			return nil
		}
		result, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 250})
		must(t, err)
		if a := result.Attempt; a == nil || a.Status != paymentattempt.StatusCAPTURED || a.CreditedAt == nil || a.LookAt != nil {
			t.Errorf("the attempt is %v", a)
		}
		_, err = s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount})
		wantCodes(t, err, "INVALID_INPUT:input.amount")
		want := []string{"authorize AUTHORIZING", "capture CAPTURING", "authorize AUTHORIZING", "capture CAPTURING", "cancel REFUNDING"}
		if !slices.Equal(seen, want) {
			t.Errorf("the gateway was asked: %v, want %v", seen, want)
		}
		s.audit(t)
	})
}

// TestARepeatBuysNoPoints: the gateway is not asked about a key that is done with, whatever is repeated.
func TestARepeatBuysNoPoints(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		in := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
		_, err := s.Points.Charge(t.Context(), alice, in)
		must(t, err)
		asked := len(s.gateway.calls)
		result, err := s.Points.Charge(t.Context(), alice, in)
		must(t, err)
		if !result.Meta.Replayed || result.Balance != 250 {
			t.Errorf("the repeat is told %+v", result)
		}
		other := in
		other.Amount = 300
		_, err = s.Points.Charge(t.Context(), alice, other)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		if calls := s.gateway.calls[asked:]; len(calls) > 0 {
			t.Errorf("the gateway was asked: %v", calls)
		}
		s.wantPoints(t, alice, 250)
		s.audit(t)
	})
}

// TestBoughtPointsAreInTheDatabase before the customer is told, even where other changes are answered when Redis has them: they are paid for.
func TestBoughtPointsAreInTheDatabase(t *testing.T) {
	s := acceptingShop(t, "sqlite://:memory:", longEnough)
	result, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 250})
	must(t, err)
	if result.Meta.Persistence != commerce.Persisted {
		t.Errorf("the points are %s, want PERSISTED", result.Meta.Persistence)
	}
}

// TestPaidPointsAreNotDenied: the payment is taken, and others are in the way of the points. LOCK_TIMEOUT would say that nothing was done.
func TestPaidPointsAreNotDenied(t *testing.T) {
	s, setFault := faultyShop(t)
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	for _, fault := range []error{lockprovider.ErrLockTimeout, lockprovider.ErrLockLost, lockprovider.ErrConflict} {
		setFault(func(lockprovider.Change) error { return fault })
		_, err := s.Points.Charge(t.Context(), alice, in)
		if told := wantCodes(t, err, "UNAVAILABLE")[0]; !told.Retryable || told.RetryAfter == 0 {
			t.Errorf("%v: told %+v, want that a repeat may succeed", fault, told)
		}
	}
	setFault(func(lockprovider.Change) error { return nil })
	_, err := s.Points.Charge(t.Context(), alice, in)
	must(t, err)
	s.wantPoints(t, alice, 250)
	if got := s.gateway.taken(); got != 250 {
		t.Errorf("the gateway has taken %d, want 250", got)
	}
}

// TestPointsThatAreNotGivenBackYet: the wallet cannot take the points, and the gateway does not give the payment back. That is told, until
// it is given back.
func TestPointsThatAreNotGivenBackYet(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	s.points(t, alice, 250)
	in := commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount}
	for _, fault := range []error{errDeclined, errGatewayDown} {
		s.gateway.fail = func(call, _ string) error {
			if call == "cancel" {
				return fault
			}
			return nil
		}
		_, err := s.Points.Charge(t.Context(), alice, in)
		if told := wantCodes(t, err, "UNAVAILABLE")[0]; !told.Retryable || told.RetryAfter == 0 || told.Field != nil {
			t.Errorf("%v: told %+v, want that a repeat may succeed", fault, told)
		}
	}
	s.gateway.fail = nil
	for range 2 {
		_, err := s.Points.Charge(t.Context(), alice, in)
		if told := wantCodes(t, err, "PAYMENT_DECLINED")[0]; !strings.Contains(told.Message, "given back: the wallet can take") {
			t.Errorf("told %q", told.Message)
		}
	}
	if got := s.gateway.taken(); got != 250 {
		t.Errorf("the gateway has taken %d, want 250", got)
	}
	s.wantPoints(t, alice, 250)
}

// TestAKeyBuysPointsForOnePrice: points cost what they cost when the customer asked for them, whatever they cost at the repeat. Another
// number of points is another request.
func TestAKeyBuysPointsForOnePrice(t *testing.T) {
	database, at := "sqlite://"+filepath.Join(t.TempDir(), "shop.db"), &gateway{}
	open := func(price int64) *shop {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, database, clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Payment.PointsPrice = price })
		s.gateway.next = at
		return s
	}
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	at.lose = "authorize"
	_, err := open(100).Points.Charge(t.Context(), alice, in)
	wantCodes(t, err, "UNAVAILABLE")
	dearer := open(200)
	other := in
	other.Amount = 300
	_, err = dearer.Points.Charge(t.Context(), alice, other)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
	result, err := dearer.Points.Charge(t.Context(), alice, in)
	must(t, err)
	if result.Attempt == nil || result.Attempt.AmountMinor != 250 {
		t.Errorf("the attempt is %+v, want one of 250", result.Attempt)
	}
	dearer.wantPoints(t, alice, 250)
	if got := at.taken(); got != 250 {
		t.Errorf("the gateway has taken %d, want 250", got)
	}
}

// TestAPaymentThatNeedsTheCustomer: the gateway waits for the customer, such as for 3-D Secure. That is no failure: the attempt says what
// the customer has to do. After that, the repeat goes on, or a job does.
func TestAPaymentThatNeedsTheCustomer(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		s.gateway.fail = func(string, string) error { return errAction }
		a := s.product(t, 1000, 3)
		place := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard()}
		points := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
		var id string
		for range 2 {
			placed, err := s.Orders.Place(t.Context(), alice, place)
			must(t, err)
			wantStatus(t, placed.Order, order.StatusPENDING)
			id = placed.Order.ID
			charged, err := s.Points.Charge(t.Context(), alice, points)
			must(t, err)
			if charged.Attempt == nil || charged.Attempt.RedirectURL == "" {
				t.Errorf("the charge has the attempt %v, want a page for the customer", charged.Attempt)
			}
		}
		s.wantAttempts(t, id, paymentattempt.StatusREQUIRES_ACTION)
		for _, test := range []struct {
			viewer commerce.Viewer
			want   []int // attempts, and those that say what the customer has to do
		}{{alice, []int{1, 1}}, {admin, []int{1, 0}}, {bob, []int{0, 0}}} {
			list, err := s.Orders.Attempts(t.Context(), test.viewer, []string{id})
			must(t, err)
			got := []int{len(list[id]), 0}
			for _, attempt := range list[id] {
				if attempt.ClientSecret != "" && attempt.RedirectURL != "" {
					got[1]++
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s sees %v, want %v", test.viewer.UserID, got, test.want)
			}
		}
		_, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		wantCodes(t, err, "INVALID_STATE:input.payment.method")

		must(t, s.db.Ent.PaymentAttempt.Update().SetLooks(100).Exec(t.Context())) // it has looked often, and looks again soon
		s.sweep(t, 0, 2)
		s.gateway.fail = nil
		s.gateway.confirm()
		placed, err := s.Orders.Place(t.Context(), alice, place)
		must(t, err)
		wantStatus(t, placed.Order, order.StatusPAID)
		s.sweep(t, 1, 0)
		s.wantPoints(t, alice, 250)
		for _, attempt := range s.attempts(t, id) {
			if attempt.ClientSecret != "" || attempt.RedirectURL != "" {
				t.Error("it is kept what the customer has confirmed the payment with")
			}
		}
		if got := s.gateway.taken(); got != 1250 {
			t.Errorf("the gateway has taken %d, want 1250", got)
		}
		s.audit(t)
	})
}

// TestPayGoesOnWithAnAttempt: a request that names an attempt goes on with it, whatever request has begun it, and begins no other: the
// customer has confirmed that card, or refused it at the bank.
func TestPayGoesOnWithAnAttempt(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		confirmed, refused := s.unpaid(t, a, 1, "").ID, s.unpaid(t, a, 1, "").ID
		cancelled, expired := s.unpaid(t, a, 1, "").ID, s.unpaid(t, a, 1, "").ID
		s.gateway.fail = func(string, string) error { return errAction }
		named := func(id string) commerce.PayOrder {
			in := payCard(id)
			in.Payment.AttemptID = s.attempts(t, id)[0].ID
			return in
		}
		first := map[string]commerce.PayOrder{}
		for _, id := range []string{confirmed, refused, cancelled, expired} {
			_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
			must(t, err)
			first[id] = named(id)
			waits, err := s.Orders.Pay(t.Context(), alice, first[id])
			must(t, err)
			wantStatus(t, waits.Order, order.StatusPENDING)
			s.wantAttempts(t, id, paymentattempt.StatusREQUIRES_ACTION)
		}
		s.gateway.fail = nil
		_, err := untilSettled(t, func() (commerce.OrderResult, error) {
			return s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: cancelled})
		})
		must(t, err)
		s.gateway.set(refused, "declined")
		s.gateway.set(expired, "declined")
		s.gateway.confirm()
		for range 2 {
			paid, err := s.Orders.Pay(t.Context(), alice, named(confirmed))
			must(t, err)
			wantStatus(t, paid.Order, order.StatusPAID)
			s.wantAttempts(t, confirmed, paymentattempt.StatusCAPTURED)
			_, err = s.Orders.Pay(t.Context(), alice, named(refused))
			wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
			s.wantAttempts(t, refused, paymentattempt.StatusDECLINED)
			s.wantOrder(t, refused, order.StatusPENDING, false)
		}
		another := named(refused)
		_, err = s.Orders.Pay(t.Context(), alice, payCard(refused))
		must(t, err)
		s.wantAttempts(t, refused, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)
		another.OrderID = confirmed
		_, err = s.Orders.Pay(t.Context(), alice, another)
		wantCodes(t, err, "NOT_FOUND:input.payment.attemptId")
		another.Payment.Token = "pm_1"
		_, err = s.Orders.Pay(t.Context(), alice, another)
		wantCodes(t, err, "INVALID_INPUT:input.payment.attemptId")
		another.Payment = *byPoints()
		another.Payment.AttemptID = "pat_1"
		_, err = s.Orders.Pay(t.Context(), alice, another)
		wantCodes(t, err, "INVALID_INPUT:input.payment.attemptId")
		_, err = s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: &another.Payment,
		})
		wantCodes(t, err, "INVALID_INPUT:input.payment.attemptId")
		s.clock.advance(time.Hour)
		s.expire(t, 1)
		for name, in := range map[string]commerce.PayOrder{"paid otherwise": first[refused], "cancelled": first[cancelled], "expired": first[expired]} {
			t.Log(name)
			_, err = s.Orders.Pay(t.Context(), alice, in)
			wantCodes(t, err, "INVALID_STATE:input.orderId")
		}
		if got := s.gateway.taken(); got != 2000 {
			t.Errorf("the gateway has taken %d, want 2000", got)
		}
		s.audit(t)
	})
}

// TestAPaymentThatIsNeverConfirmed ends with the order, and that of points after the time of a reservation.
func TestAPaymentThatIsNeverConfirmed(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	s.gateway.fail = func(string, string) error { return errAction }
	a := s.product(t, 1000, 3)
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard(),
	})
	must(t, err)
	_, err = s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 250})
	must(t, err)
	s.gateway.fail = nil
	s.sweep(t, 0, 2)
	s.clock.advance(reservation)
	s.expire(t, 1)
	s.wantOrder(t, placed.Order.ID, order.StatusEXPIRED, true)
	s.sweep(t, 1, 0)
	if left := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.StatusNEQ(paymentattempt.StatusVOIDED)).CountX(t.Context()); left != 0 {
		t.Errorf("%d attempts are not voided", left)
	}
	s.wantStock(t, a, 3)
	s.wantReturned(t) // nobody has held any money
}

// TestPriceOfPoints: the price is that of the configuration, rounded up.
func TestPriceOfPoints(t *testing.T) {
	for _, test := range []struct{ price, points, want int64 }{
		{100, 1, 1},
		{100, 1234, 1234},
		{1, 1, 1},
		{1, 100, 1},
		{1, 101, 2},
		{90, 10, 9},
		{90, 11, 10},
		{10_000, 3, 300},
		{10_000, lockprovider.MaxAmount - 1, (lockprovider.MaxAmount - 1) * 100},
	} {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, "sqlite://:memory:", clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Payment.PointsPrice = test.price })
		_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: test.points})
		must(t, err)
		if got := s.gateway.taken(); got != test.want {
			t.Errorf("%d points at %d for 100 cost %d, want %d", test.points, test.price, got, test.want)
		}
	}
}

// TestShopWithoutCardsSellsNoPoints, but remembers those that it has sold.
func TestShopWithoutCardsSellsNoPoints(t *testing.T) {
	database := "sqlite://" + filepath.Join(t.TempDir(), "shop.db")
	open := func(methods commerce.PaymentMethods) *shop {
		return openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, database, clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Payment.Methods = methods })
	}
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 100}
	_, err := open("CARD").Points.Charge(t.Context(), alice, in)
	must(t, err)

	s := open("POINTS,ACCOUNT")
	_, err = s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 100})
	wantCodes(t, err, "INVALID_STATE")
	result, err := s.Points.Charge(t.Context(), alice, in)
	if err != nil || !result.Meta.Replayed {
		t.Errorf("the repeat is told %+v, %v", result, err)
	}
	s.wantPoints(t, alice, 100)
	if len(s.gateway.calls) > 0 {
		t.Errorf("the gateway was asked: %v", s.gateway.calls)
	}
	_, err = s.Points.Adjust(t.Context(), admin, commerce.AdjustPoints{Key: uuid.New(), UserID: alice.UserID, Delta: 5, Reason: "goodwill"})
	must(t, err)
	s.wantPoints(t, alice, 105)
}
