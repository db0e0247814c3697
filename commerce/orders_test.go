package commerce_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

func byPoints() *commerce.Payment { return &commerce.Payment{Method: payment.MethodPOINTS} }
func byCard() *commerce.Payment   { return &commerce.Payment{Method: payment.MethodCARD} }
func byAccount(id string) *commerce.Payment {
	return &commerce.Payment{Method: payment.MethodACCOUNT, AccountID: id}
}

func wantStatus(t *testing.T, o *ent.Order, want order.Status) {
	t.Helper()
	if o == nil {
		t.Fatalf("no order, want one that is %s", want)
	}
	if o.Status != want {
		t.Fatalf("order is %s (%s %s), want %s", o.Status, o.FailureCode, o.FailureReason, want)
	}
}

func TestPlaceOrderPaysAndMovesEverything(t *testing.T) {
	everyStrategy(t, testPlaceOrderPaysAndMovesEverything)
}

func testPlaceOrderPaysAndMovesEverything(t *testing.T, s *shop) {
	a, b := s.product(t, 1000, 10), s.product(t, 250, 10)
	s.points(t, alice, 5000)
	account := s.account(t, alice, 10_000)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 10}))

	// Lines of one product are merged; the price is that of the moment.
	lines := []commerce.Line{{ProductID: a, Quantity: 1}, {ProductID: b, Quantity: 2}, {ProductID: a, Quantity: 2}}
	result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: lines, CouponIssueID: issue, Payment: byPoints(),
	})
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	if o := result.Order; o.SubtotalMinor != 3500 || o.DiscountMinor != 350 || o.TotalMinor != 3150 || len(o.Edges.Lines) != 2 {
		t.Errorf("priced %d - %d = %d in %d lines", o.SubtotalMinor, o.DiscountMinor, o.TotalMinor, len(o.Edges.Lines))
	}
	s.wantStock(t, a, 7)
	s.wantStock(t, b, 8)
	s.wantPoints(t, alice, 1850)
	s.wantCoupon(t, alice, issue, "USED")

	result, err = s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: lines[:1], Payment: byAccount(account),
	})
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	s.wantMoney(t, account, 9000)

	result, err = s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines[:1], Payment: byCard()})
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	if got := s.gateway.stateOf(result.Order.ID); got != "captured" {
		t.Errorf("the gateway has %s", got)
	}
	s.audit(t)
}

func TestPlaceOrderRefusals(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a, b, gone := s.product(t, 1000, 3), s.product(t, 250, 0), s.product(t, 1, 5)
	_, err := s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{ID: gone})
	must(t, err)
	foreign := s.account(t, bob, 1_000_000)
	euros, err := s.Accounts.Open(t.Context(), alice, commerce.OpenAccount{Name: "Euros", Currency: "EUR"})
	must(t, err)
	bobs := s.issue(t, bob, s.coupon(t, commerce.CreateCoupon{}))
	until := s.clock.Now().Add(time.Minute)
	expired := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{ValidUntil: &until}))
	s.clock.advance(time.Minute)

	line := func(id string, quantity int64) []commerce.Line {
		return []commerce.Line{{ProductID: id, Quantity: quantity}}
	}
	for name, test := range map[string]struct {
		in   commerce.PlaceOrder
		want []string
	}{
		"no lines":           {commerce.PlaceOrder{}, []string{"INVALID_INPUT:input.lines"}},
		"too many lines":     {commerce.PlaceOrder{Lines: make([]commerce.Line, 51)}, []string{"INVALID_INPUT:input.lines"}},
		"quantity 0":         {commerce.PlaceOrder{Lines: line(a, 0)}, []string{"INVALID_INPUT:input.lines.0.quantity"}},
		"negative quantity":  {commerce.PlaceOrder{Lines: line(a, -1)}, []string{"INVALID_INPUT:input.lines.0.quantity"}},
		"huge quantity":      {commerce.PlaceOrder{Lines: line(a, 1<<62)}, []string{"INVALID_INPUT:input.lines.0.quantity"}},
		"merged beyond":      {commerce.PlaceOrder{Lines: append(line(a, 600), line(a, 600)...)}, []string{"INVALID_INPUT:input.lines.1.quantity"}},
		"unknown product":    {commerce.PlaceOrder{Lines: append(line(a, 1), line("prod_no", 1)...)}, []string{"NOT_FOUND:input.lines.1.productId"}},
		"archived product":   {commerce.PlaceOrder{Lines: line(gone, 1)}, []string{"NOT_FOUND:input.lines.0.productId"}},
		"one short":          {commerce.PlaceOrder{Lines: append(line(a, 1), line(b, 1)...)}, []string{"OUT_OF_STOCK:input.lines.1.quantity"}},
		"foreign account":    {commerce.PlaceOrder{Lines: line(a, 1), Payment: byAccount(foreign)}, []string{"NOT_FOUND:input.payment.accountId"}},
		"other currency":     {commerce.PlaceOrder{Lines: line(a, 1), Payment: byAccount(euros.ID)}, []string{"INVALID_INPUT:input.payment.accountId"}},
		"no account":         {commerce.PlaceOrder{Lines: line(a, 1), Payment: byAccount("")}, []string{"INVALID_INPUT:input.payment.accountId"}},
		"account for points": {commerce.PlaceOrder{Lines: line(a, 1), Payment: &commerce.Payment{Method: payment.MethodPOINTS, AccountID: "x"}}, []string{"INVALID_INPUT:input.payment.accountId"}},
		"foreign coupon":     {commerce.PlaceOrder{Lines: line(a, 1), CouponIssueID: bobs}, []string{"NOT_FOUND:input.couponIssueId"}},
		"expired coupon":     {commerce.PlaceOrder{Lines: line(a, 1), CouponIssueID: expired}, []string{"COUPON_NOT_VALID:input.couponIssueId"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			test.in.Key = uuid.New()
			result, err := s.Orders.Place(t.Context(), alice, test.in)
			wantCodes(t, err, test.want...)
			if result.Order != nil {
				t.Errorf("an order was made: %v", result.Order)
			}
		})
	}
	t.Run("every-short-line-is-named", func(t *testing.T) {
		_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: append(line(b, 2), line(a, 5)...),
		})
		errs := wantCodes(t, err, "OUT_OF_STOCK", "OUT_OF_STOCK")
		slices.SortFunc(errs, func(x, y *commerce.Error) int { return strings.Compare(x.Field[2], y.Field[2]) })
		if got := errs[1].Details.(commerce.OutOfStockDetails); got != (commerce.OutOfStockDetails{ProductID: a, VariantID: lockprovider.FirstVariantID(a), Requested: 5, Available: 3}) {
			t.Errorf("details %+v", got)
		}
	})
	t.Run("anonymous", func(t *testing.T) {
		_, err := s.Orders.Place(t.Context(), commerce.Viewer{}, commerce.PlaceOrder{Key: uuid.New(), Lines: line(a, 1)})
		if err != commerce.ErrUnauthenticated { //nolint:errorlint // returned as it is
			t.Errorf("got %v", err)
		}
	})
	s.wantStock(t, a, 3)
	s.audit(t)
}

// A payment that fails gives everything back, whichever step it fails at, and the same key tells the same story again.
func TestFailedPaymentGivesEverythingBack(t *testing.T) {
	for name, test := range map[string]struct {
		pay     *commerce.Payment
		decline string
		want    string
	}{
		"points too few":         {byPoints(), "", "INSUFFICIENT_FUNDS"},
		"authorization declined": {byCard(), "authorize", "PAYMENT_DECLINED"},
		"capture declined":       {byCard(), "capture", "PAYMENT_DECLINED"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				a := s.product(t, 1000, 3)
				issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
				s.points(t, alice, 10)
				s.gateway.fail = func(call, _ string) error {
					if call == test.decline {
						return errDeclined
					}
					return nil
				}
				in := commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 2}}, CouponIssueID: issue, Payment: test.pay,
				}
				for range 3 { // the repeats are replays
					result, err := s.Orders.Place(t.Context(), alice, in)
					wantCodes(t, err, test.want)
					wantStatus(t, result.Order, order.StatusFAILED)
					if !result.Order.Settled {
						t.Error("not settled")
					}
				}
				s.wantStock(t, a, 3)
				s.wantPoints(t, alice, 10)
				s.wantCoupon(t, alice, issue, "ISSUED")
				if test.decline != "" {
					id := orderIDs(t, s)[0]
					if got := s.gateway.stateOf(id); got == "authorized" || got == "captured" {
						t.Errorf("the payment is %s", got)
					}
				}
				s.audit(t)
			})
		})
	}
}

// An order costs what the customer has seen, or is not placed. A repeat is answered as the first request was, whatever the price is by
// then.
func TestExpectedTotal(t *testing.T) { everyStrategy(t, testExpectedTotal) }

func testExpectedTotal(t *testing.T, s *shop) {
	a := s.product(t, 1000, 10)
	percent := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 10}))
	in := commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 2}}, CouponIssueID: percent,
		ExpectedTotal: &commerce.Money{Minor: 1800, Currency: "USD"},
	}
	first, err := s.Orders.Place(t.Context(), alice, in)
	must(t, err)

	price := int64(9999)
	_, err = s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: a, Version: 1, PriceMinor: &price})
	must(t, err)
	again, err := s.Orders.Place(t.Context(), alice, in)
	must(t, err)
	if again.Order.ID != first.Order.ID || again.Order.TotalMinor != 1800 || !again.Meta.Replayed {
		t.Errorf("the repeat is answered with order %s of %d, replayed %v", again.Order.ID, again.Order.TotalMinor, again.Meta.Replayed)
	}

	for name, expected := range map[string]commerce.Money{
		"the old price": {Minor: 1000, Currency: "USD"}, "a higher one": {Minor: price + 1, Currency: "USD"},
		"another currency": {Minor: price, Currency: "EUR"},
	} {
		result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, ExpectedTotal: &expected, Payment: byCard(),
		})
		errs := wantCodes(t, err, "PRICE_CHANGED:input.expectedTotal")
		want := commerce.PriceChangedDetails{Expected: expected, Actual: commerce.Money{Minor: price, Currency: "USD"}}
		if errs[0].Details != want || !strings.Contains(errs[0].Message, "99.99 USD, not "+expected.String()) {
			t.Errorf("%s: told %q, %+v", name, errs[0].Message, errs[0].Details)
		}
		if result.Order != nil {
			t.Errorf("%s: an order was made: %v", name, result.Order)
		}
	}
	s.wantStock(t, a, 8)
	s.audit(t)
}

// Customers who order other products at the same moment do not get each other's: an ID may contain what separates IDs.
func TestConcurrentOrdersOfStrangeIDs(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a, b := s.product(t, 1000, 1000), s.product(t, 250, 1000)
	done := make(chan error, 2)
	stop := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			_, _ = s.Orders.Place(t.Context(), bob, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a + " " + b, Quantity: 1}}})
		}
	}()
	defer close(stop)
	for range 200 {
		_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}, {ProductID: b, Quantity: 1}},
		})
		must(t, err)
	}
}

func TestMoneyAsText(t *testing.T) {
	for want, m := range map[string]commerce.Money{
		"12.50 USD": {Minor: 1250, Currency: "USD"}, "0.05 USD": {Minor: 5, Currency: "USD"}, "-0.05 USD": {Minor: -5, Currency: "USD"},
		"1250 JPY": {Minor: 1250, Currency: "JPY"}, "1.250 KWD": {Minor: 1250, Currency: "KWD"}, "0.0001 CLF": {Minor: 1, Currency: "CLF"},
		"1.00 HUF": {Minor: 100, Currency: "HUF"},
	} {
		if got := m.String(); got != want {
			t.Errorf("%d %s is written %q, want %q", m.Minor, m.Currency, got, want)
		}
	}
}

func orderIDs(t *testing.T, s *shop) []string {
	t.Helper()
	ids, err := s.db.Ent.Order.Query().IDs(t.Context())
	must(t, err)
	return ids
}

// A gateway that does not answer leaves a pending order, and a repeat with the same key finishes it, charging once.
func TestRepeatFinishesWhatAGatewayLeftOpen(t *testing.T) {
	for _, down := range []string{"authorize", "capture"} {
		t.Run(down, func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				a := s.product(t, 1000, 3)
				var healthy atomic.Bool
				s.gateway.fail = func(call, _ string) error {
					if call == down && !healthy.Load() {
						return errGatewayDown
					}
					return nil
				}
				in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard()}
				result, err := s.Orders.Place(t.Context(), alice, in)
				if errs := wantCodes(t, err, "UNAVAILABLE"); !errs[0].Retryable {
					t.Error("not retryable")
				}
				wantStatus(t, result.Order, order.StatusPENDING)
				s.wantStock(t, a, 2)

				healthy.Store(true)
				result, err = s.Orders.Place(t.Context(), alice, in)
				must(t, err)
				wantStatus(t, result.Order, order.StatusPAID)
				if !result.Meta.Replayed {
					t.Error("the reservation was made twice")
				}
				s.wantStock(t, a, 2)
				s.audit(t)
			})
		})
	}
}

func TestCancelGivesBack(t *testing.T) {
	everyStrategy(t, testCancelGivesBack)
}

func testCancelGivesBack(t *testing.T, s *shop) {
	a := s.product(t, 1000, 3)
	account := s.account(t, alice, 5000)
	s.points(t, alice, 5000)
	for name, pay := range map[string]*commerce.Payment{
		"unpaid": nil, "points": byPoints(), "account": byAccount(account), "card": byCard(),
	} {
		t.Run(name, func(t *testing.T) {
			issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
			placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 3}}, CouponIssueID: issue, Payment: pay,
			})
			must(t, err)
			s.wantStock(t, a, 0)

			in := commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID}
			_, err = s.Orders.Cancel(t.Context(), bob, in)
			wantCodes(t, err, "NOT_FOUND:input.orderId")
			for i := range 2 {
				result, err := s.Orders.Cancel(t.Context(), alice, in)
				must(t, err)
				wantStatus(t, result.Order, order.StatusCANCELLED)
				if !result.Order.Settled || result.Meta.Replayed != (i == 1) {
					t.Errorf("settled %v, replayed %v", result.Order.Settled, result.Meta.Replayed)
				}
			}
			_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
			wantCodes(t, err, "INVALID_STATE")
			_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: placed.Order.ID, Payment: *byCard()})
			wantCodes(t, err, "INVALID_STATE")

			s.wantStock(t, a, 3)
			s.wantPoints(t, alice, 5000)
			s.wantMoney(t, account, 5000)
			s.wantCoupon(t, alice, issue, "ISSUED")
			if name == "card" && s.gateway.stateOf(placed.Order.ID) != "cancelled" {
				t.Errorf("the gateway has %s", s.gateway.stateOf(placed.Order.ID))
			}
			s.audit(t)
		})
	}
}

func TestPayOrder(t *testing.T) {
	everyStrategy(t, testPayOrder)
}

func testPayOrder(t *testing.T, s *shop) {
	a := s.product(t, 1000, 10)
	s.points(t, alice, 1500)
	place := func() string {
		placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
		})
		must(t, err)
		wantStatus(t, placed.Order, order.StatusPENDING)
		return placed.Order.ID
	}
	first := place()
	in := commerce.PayOrder{Key: uuid.New(), OrderID: first, Payment: *byPoints()}
	_, err := s.Orders.Pay(t.Context(), bob, in)
	wantCodes(t, err, "NOT_FOUND:input.orderId")
	for i := range 2 {
		result, err := s.Orders.Pay(t.Context(), alice, in)
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		if result.Meta.Replayed != (i == 1) {
			t.Errorf("replayed is %v", result.Meta.Replayed)
		}
	}
	s.wantPoints(t, alice, 500)
	_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: first, Payment: *byPoints()})
	wantCodes(t, err, "INVALID_STATE")

	second := place()
	result, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: second, Payment: *byPoints()})
	wantCodes(t, err, "INSUFFICIENT_FUNDS")
	wantStatus(t, result.Order, order.StatusFAILED)

	third := place()
	s.clock.advance(15 * time.Minute)
	_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: third, Payment: *byCard()})
	wantCodes(t, err, "INVALID_STATE")
	s.audit(t)
}

// Of payment and cancellation at the same moment, one happens; and the money is where the order says it is.
func TestPayAndCancelRace(t *testing.T) {
	everyStrategy(t, testPayAndCancelRace)
}

func testPayAndCancelRace(t *testing.T, s *shop) {
	a := s.product(t, 1000, 1000)
	s.points(t, alice, 1_000_000)
	points := int64(1_000_000)
	for round := range 30 {
		for _, pay := range []*commerce.Payment{byPoints(), byCard()} {
			placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
			})
			must(t, err)
			id := placed.Order.ID
			together(2, func(i int) {
				if i == 0 {
					_, _ = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *pay})
				} else {
					_, _ = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
				}
			})
			row, err := s.Orders.Get(t.Context(), alice, id)
			must(t, err)
			if row.Status != order.StatusCANCELLED || !row.Settled {
				t.Fatalf("round %d: order is %s, settled %v; a cancellation always gets through", round, row.Status, row.Settled)
			}
			if got := s.gateway.stateOf(id); pay.Method == payment.MethodCARD && got == "captured" {
				t.Fatalf("round %d: cancelled, but the gateway has the money", round)
			}
		}
	}
	s.wantStock(t, a, 1000)
	s.wantPoints(t, alice, points)
	s.audit(t)
}

// Repeats of one key at the same moment make one order, and all get the same answer.
func TestConcurrentRepeatsPlaceOneOrder(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { everyStrategy(t, testConcurrentRepeatsPlaceOneOrder) })
	t.Run("servers", func(t *testing.T) { everyStrategyOnServers(t, testConcurrentRepeatsPlaceOneOrder) })
}

func testConcurrentRepeatsPlaceOneOrder(t *testing.T, s *shop) {
	a := s.product(t, 1000, 1)
	s.points(t, alice, 1000)
	in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byPoints()}
	var replays atomic.Int32
	together(32, func(int) {
		result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), alice, in) })
		if err != nil || result.Order.Status != order.StatusPAID {
			t.Errorf("got %v, %v", result.Order, err)
		}
		if result.Meta.Replayed {
			replays.Add(1)
		}
	})
	if replays.Load() != 31 {
		t.Errorf("%d replays, want 31", replays.Load())
	}
	s.wantPoints(t, alice, 0)
	if n := len(orderIDs(t, s)); n != 1 {
		t.Errorf("%d orders", n)
	}
	other := in
	other.Lines = []commerce.Line{{ProductID: a, Quantity: 2}}
	_, err := s.Orders.Place(t.Context(), alice, other)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
	s.audit(t)
}

// One coupon cannot pay for two orders.
func TestACouponIsSpentOnce(t *testing.T) {
	everyStrategy(t, testACouponIsSpentOnce)
}

func testACouponIsSpentOnce(t *testing.T, s *shop) {
	a := s.product(t, 1000, 100)
	s.points(t, alice, 1_000_000)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	var paid, refused atomic.Int32
	together(8, func(int) {
		in := commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, CouponIssueID: issue, Payment: byPoints(),
		}
		_, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), alice, in) })
		if errs, ok := commerce.UserErrors(err); ok && errs[0].Code == commerce.CouponNotValid {
			refused.Add(1)
		} else if err == nil {
			paid.Add(1)
		} else {
			t.Error(err)
		}
	})
	if paid.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d paid with the coupon, %d refused", paid.Load(), refused.Load())
	}
	s.wantStock(t, a, 99)
	s.wantPoints(t, alice, 1_000_000-900)
	s.audit(t)
}

func TestDiscountMayCoverEverything(t *testing.T) {
	everyStrategy(t, testDiscountMayCoverEverything)
}

func testDiscountMayCoverEverything(t *testing.T, s *shop) {
	a := s.product(t, 80, 1)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, CouponIssueID: issue,
	})
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	if result.Order.TotalMinor != 0 {
		t.Errorf("total %d", result.Order.TotalMinor)
	}
	result, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: result.Order.ID})
	must(t, err)
	if !result.Order.Settled {
		t.Error("not settled")
	}
	s.audit(t)
}

func TestOrderHistoryPages(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 80, 100)
	want := map[string]bool{}
	for range 7 { // the clock stands still: ties are broken by ID
		result, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
		})
		must(t, err)
		want[result.Order.ID] = true
	}
	after := ""
	for pages := 1; ; pages++ {
		page, err := s.Orders.List(t.Context(), alice, commerce.OrderQuery{Page: commerce.Page{First: 3, After: after}})
		must(t, err)
		for i, o := range page.Items {
			if !want[o.ID] {
				t.Fatalf("%s is listed twice or was never placed", o.ID)
			}
			delete(want, o.ID)
			after = page.Cursors[i]
		}
		if !page.HasNext {
			if pages != 3 || len(want) != 0 {
				t.Errorf("%d pages, %d missing", pages, len(want))
			}
			break
		}
	}
	for _, bad := range []commerce.Page{{First: 0}, {First: 101}, {First: 1, After: "%"}, {First: 1, After: "bm8"}} {
		_, err := s.Orders.List(t.Context(), alice, commerce.OrderQuery{Page: bad})
		wantCodes(t, err, "INVALID_INPUT")
	}
}

// A payment that loses to a cancellation is not told as a success, whenever that happens, and takes no money.
func TestPaymentThatLosesToACancellation(t *testing.T) {
	for _, call := range []string{"authorize", "capture"} {
		for _, operation := range []string{"payOrder", "placeOrder"} {
			t.Run(operation+" during "+call, func(t *testing.T) {
				s := newShop(t, lockprovider.RowLock)
				product := s.product(t, 1000, 10)
				card := commerce.Payment{Method: payment.MethodCARD}
				var orderID string
				s.gateway.fail = func(at, reference string) error {
					if at == call {
						orderID = reference
						_, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: reference})
						return err
					}
					return nil
				}
				in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}}
				var result commerce.OrderResult
				var err error
				if operation == "placeOrder" {
					in.Payment = &card
					result, err = s.Orders.Place(t.Context(), alice, in)
				} else {
					placed, perr := s.Orders.Place(t.Context(), alice, in)
					must(t, perr)
					result, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: placed.Order.ID, Payment: card})
				}
				wantCodes(t, err, string(commerce.InvalidState))
				if result.Order == nil || result.Order.Status != order.StatusCANCELLED {
					t.Errorf("the order is %+v, want CANCELLED", result.Order)
				}
				if state := s.gateway.stateOf(orderID); state != "cancelled" {
					t.Errorf("the payment is %q at the gateway, want cancelled", state)
				}
				s.wantStock(t, product, 10)
				s.audit(t)
			})
		}
	}
}

// While a card payment is under way, the order is paid by nothing else: of two requests with keys of their own one pays, and the other
// is told so. So is its repeat.
func TestTwoPaymentsOfOneOrder(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		s.points(t, alice, 5000)
		id := s.unpaid(t, s.product(t, 1000, 10), 1, "").ID
		byPoints := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: commerce.Payment{Method: payment.MethodPOINTS}}
		s.gateway.fail = func(call, subject string) error {
			if subject == id {
				_, err := s.Orders.Pay(t.Context(), alice, byPoints)
				wantCodes(t, err, "INVALID_STATE:input.payment.method")
			}
			return nil
		}
		byCard := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: commerce.Payment{Method: payment.MethodCARD}}
		for range 2 {
			result, err := s.Orders.Pay(t.Context(), alice, byCard)
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
		}
		result, err := s.Orders.Pay(t.Context(), alice, byPoints)
		wantCodes(t, err, "INVALID_STATE:input.orderId")
		wantStatus(t, result.Order, order.StatusPAID)
		if state := s.gateway.stateOf(id); state != "captured" {
			t.Errorf("the payment is %q at the gateway, want captured", state)
		}
		s.wantPoints(t, alice, 5000)
		s.audit(t)
	})
}

// After a refusal that Redis has not admitted before, the same request with the same key is decided about anew.
func TestARefusalLeavesTheKey(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.PubSub, lockprovider.Lua} {
		t.Run(string(strategy), func(t *testing.T) {
			s := newShop(t, strategy)
			product := s.product(t, 1000, 5)
			in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 6}}}
			for range 2 {
				_, err := s.Orders.Place(t.Context(), alice, in)
				wantCodes(t, err, string(commerce.OutOfStock))
			}
			_, err := s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: product, Delta: 10})
			must(t, err)
			for range 2 {
				placed, err := s.Orders.Place(t.Context(), alice, in)
				must(t, err)
				if placed.Order.Status != order.StatusPENDING {
					t.Errorf("the order is %s", placed.Order.Status)
				}
			}
			s.wantStock(t, product, 9)
			s.audit(t)
		})
	}
}
