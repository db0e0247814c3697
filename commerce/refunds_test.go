package commerce_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/lockprovider"
)

// refundVariants runs a test on each database, under a strategy that writes the database first and one that does not.
func refundVariants(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	everyDatabase(t, func(t *testing.T, url string) {
		for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua} {
			t.Run(string(strategy), func(t *testing.T) {
				test(t, openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, clients.EmbeddedRedis))
			})
		}
	})
}

// paid places an order that is paid at once.
func (s *shop) paid(t *testing.T, pay *commerce.Payment, issueID string, lines ...commerce.Line) *ent.Order {
	t.Helper()
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines, Payment: pay, CouponIssueID: issueID})
	must(t, err)
	wantStatus(t, placed.Order, order.StatusPAID)
	return placed.Order
}

func amountOf(orderID string, minor int64) commerce.CreateRefund {
	return commerce.CreateRefund{Key: uuid.New(), OrderID: orderID, Amount: &commerce.Money{Minor: minor, Currency: "USD"}, Reason: "test"}
}

// linesOf is a refund of units that go back into stock.
func linesOf(orderID string, lines ...commerce.Line) commerce.CreateRefund {
	return commerce.CreateRefund{Key: uuid.New(), OrderID: orderID, Lines: lines, Restock: true, Reason: "test"}
}

// refundUntilSettled repeats a refund with its key, as long as it may succeed later.
func (s *shop) refundUntilSettled(t *testing.T, in commerce.CreateRefund) (commerce.RefundResult, error) {
	t.Helper()
	return untilSettled(t, func() (commerce.RefundResult, error) { return s.Refunds.Create(t.Context(), admin, in) })
}

// wantRefunded asserts what is given back of an order's payment, and that the refunds and lines add up to it. No refund is open.
func (s *shop) wantRefunded(t *testing.T, orderID string, want int64) {
	t.Helper()
	s.settle(t)
	row, err := s.Orders.Get(t.Context(), admin, orderID)
	must(t, err)
	made := row.Edges.Payment
	if made.RefundedMinor != want || made.RefundingMinor != 0 {
		t.Errorf("%d is refunded and %d about to be, want %d and none", made.RefundedMinor, made.RefundingMinor, want)
	}
	if all := want == made.AmountMinor; (made.Status == payment.StatusREFUNDED) != all {
		t.Errorf("the payment of %d is %s", made.AmountMinor, made.Status)
	}
	list, err := s.db.Ent.Refund.Query().Where(refund.OrderID(orderID)).WithLines().All(t.Context())
	must(t, err)
	sum, returned := int64(0), map[string]int64{}
	for _, f := range list {
		if f.LookAt != nil {
			t.Errorf("the refund %s is still to be looked after: %s", f.ID, f.Status)
		}
		if f.Status == refund.StatusREFUNDED {
			sum += f.AmountMinor
		}
		for _, l := range f.Edges.Lines {
			returned[l.ProductID] += l.Quantity
		}
	}
	if sum != want && len(list) > 0 {
		t.Errorf("the refunds add up to %d, want %d", sum, want)
	}
	for _, l := range row.Edges.Lines {
		if l.Returned != returned[l.ProductID] {
			t.Errorf("%d of %s came back, and %d by the refunds", l.Returned, l.ProductID, returned[l.ProductID])
		}
	}
}

// wantBooks asserts that what was captured and not refunded is what is paid and not refunded, at the gateway, and in the journal of points and
// accounts.
func (s *shop) wantBooks(t *testing.T) {
	t.Helper()
	s.settle(t)
	rows, err := s.db.Ent.Payment.Query().WithOrder().All(t.Context())
	must(t, err)
	var kept int64
	for _, p := range rows {
		if p.Status != payment.StatusCAPTURED && p.Status != payment.StatusREFUNDED {
			continue
		}
		left := p.AmountMinor - p.RefundedMinor
		if p.Edges.Order.Status != order.StatusPAID && left != 0 {
			t.Errorf("the order %s is %s, and %d is kept", p.OrderID, p.Edges.Order.Status, left)
		}
		if p.AttemptID != nil && s.gateway.knows(*p.AttemptID) { // else it is of the shop that had this database before
			kept += left
		}
	}
	if taken := s.gateway.taken(); taken != kept {
		t.Errorf("the gateway has taken %d, and %d is paid by card and not refunded", taken, kept)
	}
	s.audit(t)
}

// knows reports whether a gateway has been asked about an attempt.
func (g *gateway) knows(attempt string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state[attempt] != ""
}

// TestSplit: whatever is split adds up to the total, and no part is further than one minor unit from its share. The units of a line add up to
// what was paid for it, in whichever parts they come back.
// TestRefundsNeverExceed: of 64 refunds at once as many are made as there is money, and of 64 that bring units back as many as there are units.
func TestRefundsNeverExceed(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		s.points(t, alice, 100_000)
		account := s.account(t, alice, 100_000)
		for _, pay := range []*commerce.Payment{byCard(), {Method: payment.MethodPOINTS}, byAccount(account)} {
			a := s.product(t, 1000, 100)
			points, err := s.Points.Balance(t.Context(), alice, alice.UserID)
			must(t, err)
			money, err := s.Accounts.Balances(t.Context(), []string{account})
			must(t, err)
			taken := s.gateway.taken()

			byAmount := s.paid(t, pay, "", commerce.Line{ProductID: a, Quantity: 1})
			s.manyRefunds(t, 10, func() commerce.CreateRefund { return amountOf(byAmount.ID, 100) })
			s.wantRefunded(t, byAmount.ID, 1000)

			half := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 333}))
			byLine := s.paid(t, pay, half, commerce.Line{ProductID: a, Quantity: 7})
			s.manyRefunds(t, 7, func() commerce.CreateRefund {
				return linesOf(byLine.ID, commerce.Line{ProductID: a, Quantity: 1})
			})
			s.wantRefunded(t, byLine.ID, 7000-333)

			s.wantStock(t, a, 99)
			s.wantPoints(t, alice, points)
			s.wantMoney(t, account, money[account].Amount)
			if got := s.gateway.taken(); got != taken {
				t.Errorf("the gateway keeps %d, want %d", got, taken)
			}
			if pay.Method == payment.MethodCARD {
				s.wantAttempts(t, byAmount.ID, paymentattempt.StatusREFUNDED)
			}
		}
		s.wantTopUps(t)
	})
}

// manyRefunds asks for 64 refunds at once, of which so many are made.
func (s *shop) manyRefunds(t *testing.T, want int64, in func() commerce.CreateRefund) {
	t.Helper()
	var made atomic.Int64
	together(64, func(int) {
		result, err := s.refundUntilSettled(t, in())
		switch errs, ok := commerce.UserErrors(err); {
		case err == nil && result.Refund.Status == refund.StatusREFUNDED:
			made.Add(1)
		case !ok || errs[0].Code != commerce.InvalidInput || result.Refund != nil:
			t.Errorf("told %v with %v", err, result.Refund)
		}
	})
	if made.Load() != want {
		t.Errorf("%d refunds of 64 are made, want %d", made.Load(), want)
	}
}

// wantTopUps is wantBooks for a shop that has sold points as well, whose payments are no orders'.
func (s *shop) wantTopUps(t *testing.T) {
	t.Helper()
	sold := int64(0)
	rows, err := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.PointsNotNil(), paymentattempt.StatusEQ(paymentattempt.StatusCAPTURED)).All(t.Context())
	must(t, err)
	s.gateway.mu.Lock()
	for _, a := range rows {
		if s.gateway.state[a.ID] == "captured" { // of this gateway
			sold += a.AmountMinor
			s.gateway.state[a.ID] = "sold"
		}
	}
	s.gateway.mu.Unlock()
	if sold == 0 {
		t.Error("no points were sold")
	}
	s.audit(t)
}

// TestRefundThatIsCutOff: the row of a refund is there before the gateway is asked. Whatever is lost, one repeat or the job completes it, once.
func TestRefundThatIsCutOff(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 100)
		for name, cut := range map[string]func(){
			"before the call": func() {
				s.gateway.mu.Lock()
				defer s.gateway.mu.Unlock()
				s.gateway.fail = func(call, _ string) error {
					if call == "cancel" {
						return errGatewayDown
					}
					return nil
				}
			},
			"after the call": func() { s.gateway.lose = "cancel" },
		} {
			for _, repeated := range []bool{true, false} {
				id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 3}).ID
				before, err := s.Catalog.Stock(t.Context(), []string{a})
				must(t, err)
				in := linesOf(id, commerce.Line{ProductID: a, Quantity: 2})
				cut()
				result, err := s.Refunds.Create(t.Context(), admin, in)
				wantCodes(t, err, "UNAVAILABLE")
				if result.Refund == nil || result.Refund.Status != refund.StatusUNKNOWN || result.Refund.RestockedAt == nil {
					t.Errorf("%s: the refund is %+v", name, result.Refund)
				}
				_, err = s.Refunds.Create(t.Context(), admin, amountOf(id, 1001)) // what is about to be given back is not given back otherwise
				wantCodes(t, err, "INVALID_INPUT:input.amount.amountMinor")
				s.gateway.mu.Lock()
				s.gateway.fail = nil
				s.gateway.mu.Unlock()
				if repeated {
					result, err = s.Refunds.Create(t.Context(), admin, in)
					must(t, err)
					if !result.Meta.Replayed {
						t.Error("the repeat is not called one")
					}
				} else {
					s.sweepRefunds(t, 1, 0)
				}
				s.sweepRefunds(t, 0, 0)
				s.wantRefunded(t, id, 2000)
				s.wantStock(t, a, before[a].Amount+2)
			}
		}
		s.wantBooks(t)
	})
}

// sweepRefunds runs the job once, a while later.
func (s *shop) sweepRefunds(t *testing.T, wantDone, wantPostponed int) {
	t.Helper()
	s.clock.advance(5 * time.Minute)
	done, postponed, err := s.Refunds.Sweep(t.Context(), sweepAfter, 100)
	must(t, err)
	if done != wantDone || postponed != wantPostponed {
		t.Errorf("%d refunds are complete and %d postponed, want %d and %d", done, postponed, wantDone, wantPostponed)
	}
}

// TestRefundRowsComeBeforeCalls: whenever the gateway is asked, the database says so already. What a process that dies between any two of its
// writes leaves behind is completed by the job.
func TestRefundRowsComeBeforeCalls(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 100)
		id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 2}).ID
		asked := 0
		s.gateway.fail = func(call, _ string) error {
			row, err := s.db.Ent.Refund.Query().Where(refund.OrderID(id)).Only(t.Context())
			if err != nil || row.Status != refund.StatusREFUNDING {
				t.Errorf("%s: the refund is %v, %v", call, row, err)
			}
			asked++
			return nil
		}
		in := linesOf(id, commerce.Line{ProductID: a, Quantity: 2})
		_, err := s.Refunds.Create(t.Context(), admin, in)
		must(t, err)
		if asked != 1 {
			t.Errorf("the gateway was asked %d times", asked)
		}
		s.wantRefunded(t, id, 2000)
		s.wantStock(t, a, 100)
		s.gateway.fail = nil

		// As if it had died right after the row was committed, by each means of payment.
		s.points(t, alice, 10_000)
		account := s.account(t, alice, 10_000)
		for _, pay := range []*commerce.Payment{byCard(), {Method: payment.MethodPOINTS}, byAccount(account)} {
			row := s.paid(t, pay, "", commerce.Line{ProductID: a, Quantity: 2})
			now := s.clock.Now()
			create := s.db.Ent.Refund.Create().SetID("re_" + row.ID).SetOrderID(row.ID).SetMethod(refund.Method(pay.Method)).
				SetStatus(refund.StatusREFUNDING).SetAmountMinor(1000).SetCurrency("USD").SetRestock(true).SetReason("test").
				SetAdministrator(admin.UserID).SetLookAt(now).SetCreatedAt(now).SetUpdatedAt(now)
			if pay.Method == payment.MethodCARD {
				create.SetAttemptID(s.attempts(t, row.ID)[0].ID)
			}
			must(t, create.Exec(t.Context()))
			line, err := s.db.Ent.OrderLine.Query().Where(orderline.OrderID(row.ID)).Only(t.Context())
			must(t, err)
			must(t, s.db.Ent.RefundLine.Create().SetRefundID("re_"+row.ID).SetOrderLineID(line.ID).SetProductID(a).SetVariantID(lockprovider.FirstVariantID(a)).SetQuantity(1).
				SetAmountMinor(1000).Exec(t.Context()))
			must(t, s.db.Ent.OrderLine.UpdateOneID(line.ID).SetReturned(1).Exec(t.Context()))
			must(t, s.db.Ent.Payment.Update().Where(payment.OrderID(row.ID)).SetRefundingMinor(1000).Exec(t.Context()))
			s.clock.advance(5 * time.Minute)
			together(3, func(int) { // several instances
				if _, _, err := s.Refunds.Sweep(t.Context(), sweepAfter, 100); err != nil {
					t.Error(err)
				}
			})
			s.sweepRefunds(t, 0, 0)
			s.wantRefunded(t, row.ID, 1000)
		}
		s.wantStock(t, a, 100-3)
		s.wantPoints(t, alice, 9000)
		s.wantMoney(t, account, 9000)
		s.audit(t)
	})
}

// TestRefundThatIsRefused: what the gateway refuses is FAILED, and stays so under its key. Its amount is free for another refund; its units
// stay returned.
func TestRefundThatIsRefused(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	a := s.product(t, 1000, 10)
	id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 2}).ID
	s.gateway.fail = func(call, _ string) error {
		if call == "cancel" {
			return errDeclined
		}
		return nil
	}
	in := linesOf(id, commerce.Line{ProductID: a, Quantity: 1})
	for range 2 {
		result, err := s.Refunds.Create(t.Context(), admin, in)
		told := wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")[0].Message
		if !strings.Contains(told, "products are returned already") || !strings.Contains(told, "refund 10.00 USD as an amount") {
			t.Errorf("told %q: who asks for the lines again has one unit in stock twice", told)
		}
		if result.Refund.Status != refund.StatusFAILED || result.Refund.FailureReason == "" {
			t.Errorf("the refund is %+v", result.Refund)
		}
		s.gateway.fail = nil // a repeat asks nobody
	}
	s.wantRefunded(t, id, 0)
	s.wantStock(t, a, 9)
	_, err := s.Refunds.Create(t.Context(), admin, linesOf(id, commerce.Line{ProductID: a, Quantity: 2}))
	wantCodes(t, err, "INVALID_INPUT:input.lines.0.quantity")
	_, err = s.Refunds.Create(t.Context(), admin, amountOf(id, 2000))
	must(t, err)
	s.wantRefunded(t, id, 2000)
	s.wantBooks(t)
}

// TestRefundAndCancellation: of a refund and a cancellation at the same time one happens.
func TestRefundAndCancellation(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 100)
		for i := range 8 {
			id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 1}).ID
			var cancelled, refunded error
			together(2, func(n int) {
				if n == i%2 {
					_, cancelled = untilSettled(t, func() (commerce.OrderResult, error) {
						return s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
					})
				} else {
					_, refunded = s.refundUntilSettled(t, amountOf(id, 400))
				}
			})
			switch {
			case cancelled == nil:
				wantCodes(t, refunded, "INVALID_STATE:input.orderId")
				s.wantOrder(t, id, order.StatusCANCELLED, true)
				s.wantRefunded(t, id, 1000)
			case refunded == nil:
				wantCodes(t, cancelled, "INVALID_STATE:input.orderId")
				s.wantOrder(t, id, order.StatusPAID, true)
				s.wantRefunded(t, id, 400)
			default:
				t.Errorf("neither: %v, %v", cancelled, refunded)
			}
		}
		s.wantBooks(t)
	})
}

// TestKeysOfRefunds: a key stands for one refund of one administrator, also at the same moment, and when it is forgotten.
func TestKeysOfRefunds(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 100)
		id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 1}).ID
		in := amountOf(id, 100)
		together(16, func(int) {
			result, err := s.refundUntilSettled(t, in)
			if err != nil || result.Refund.Status != refund.StatusREFUNDED {
				t.Errorf("told %v with %v", err, result.Refund)
			}
		})
		s.wantRefunded(t, id, 100)
		other := in
		other.Reason = "another"
		_, err := s.Refunds.Create(t.Context(), admin, other)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		_, err = s.Refunds.Create(t.Context(), commerce.Viewer{UserID: "second", Admin: true}, in)
		must(t, err)
		s.wantRefunded(t, id, 200)
		_, err = s.db.Ent.Operation.Delete().Exec(t.Context())
		must(t, err)
		_, err = s.Refunds.Create(t.Context(), admin, in)
		wantCodes(t, err, "IDEMPOTENCY_EXPIRED:input.idempotencyKey")
		in.Key = uuid.Nil
		_, err = s.Refunds.Create(t.Context(), admin, in)
		wantCodes(t, err, "INVALID_INPUT:input.idempotencyKey")
		s.wantRefunded(t, id, 200)
		s.wantBooks(t)
	})
}

// TestTheDatabaseBoundsRefunds: the referee of refunds is a constraint.
func TestTheDatabaseBoundsRefunds(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis)
		id := s.paid(t, byCard(), "", commerce.Line{ProductID: s.product(t, 1000, 10), Quantity: 2}).ID
		for what, err := range map[string]error{
			"more than was paid":         s.db.Ent.Payment.Update().Where(payment.OrderID(id)).SetRefundedMinor(1500).SetRefundingMinor(501).Exec(t.Context()),
			"less than nothing":          s.db.Ent.Payment.Update().Where(payment.OrderID(id)).SetRefundingMinor(-1).Exec(t.Context()),
			"more units than there were": s.db.Ent.OrderLine.Update().Where(orderline.OrderID(id)).SetReturned(3).Exec(t.Context()),
			"fewer units than none":      s.db.Ent.OrderLine.Update().Where(orderline.OrderID(id)).SetReturned(-1).Exec(t.Context()),
		} {
			if !ent.IsConstraintError(err) && (err == nil || !strings.Contains(strings.ToLower(err.Error()), "constraint")) {
				t.Errorf("%s: %v", what, err)
			}
		}
		s.wantRefunded(t, id, 0)
	})
}

// TestRefundsThatAreNone: bad input is refused by the name of its field, and changes nothing.
func TestRefundsThatAreNone(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	a, b := s.product(t, 1000, 10), s.product(t, 500, 10)
	id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 2}).ID
	unpaid := s.unpaid(t, a, 1, "").ID
	one := commerce.Line{ProductID: a, Quantity: 1}
	for name, test := range map[string]struct {
		change func(in *commerce.CreateRefund)
		want   string
	}{
		"no reason":             {func(in *commerce.CreateRefund) { in.Reason = " " }, "INVALID_INPUT:input.reason"},
		"a long reason":         {func(in *commerce.CreateRefund) { in.Reason = strings.Repeat("x", 501) }, "INVALID_INPUT:input.reason"},
		"nothing":               {func(in *commerce.CreateRefund) { in.Amount = nil }, "INVALID_INPUT:input.amount"},
		"both":                  {func(in *commerce.CreateRefund) { in.Lines = []commerce.Line{one} }, "INVALID_INPUT:input.amount"},
		"no amount":             {func(in *commerce.CreateRefund) { in.Amount = &commerce.Money{Currency: "USD"} }, "INVALID_INPUT:input.amount.amountMinor"},
		"too much":              {func(in *commerce.CreateRefund) { in.Amount = &commerce.Money{Minor: 2001, Currency: "USD"} }, "INVALID_INPUT:input.amount.amountMinor"},
		"another currency":      {func(in *commerce.CreateRefund) { in.Amount = &commerce.Money{Minor: 1, Currency: "EUR"} }, "INVALID_INPUT:input.amount.currency"},
		"an amount of products": {func(in *commerce.CreateRefund) { in.Restock = true }, "INVALID_INPUT:input.restock"},
		"another product": {func(in *commerce.CreateRefund) {
			in.Amount, in.Lines = nil, []commerce.Line{one, {ProductID: b, Quantity: 1}}
		}, "NOT_FOUND:input.lines.1.productId"},
		"no units": {func(in *commerce.CreateRefund) {
			in.Amount, in.Lines = nil, []commerce.Line{{ProductID: a}}
		}, "INVALID_INPUT:input.lines.0.quantity"},
		"too many units": {func(in *commerce.CreateRefund) {
			in.Amount, in.Lines = nil, []commerce.Line{{ProductID: a, Quantity: 3}}
		}, "INVALID_INPUT:input.lines.0.quantity"},
		"a product twice": {func(in *commerce.CreateRefund) {
			in.Amount, in.Lines = nil, []commerce.Line{one, one}
		}, "INVALID_INPUT:input.lines.1.productId"},
		"an unpaid order": {func(in *commerce.CreateRefund) { in.OrderID = unpaid }, "INVALID_STATE:input.orderId"},
		"no order":        {func(in *commerce.CreateRefund) { in.OrderID = "ord_0" }, "NOT_FOUND:input.orderId"},
	} {
		t.Run(name, func(t *testing.T) {
			in := amountOf(id, 100)
			test.change(&in)
			_, err := s.Refunds.Create(t.Context(), admin, in)
			wantCodes(t, err, test.want)
		})
	}
	for _, v := range []commerce.Viewer{alice, bob, {}} {
		_, rerr := s.Refunds.Create(t.Context(), v, amountOf(id, 100))
		_, berr := s.Refunds.Return(t.Context(), v, commerce.CreateReturn{Key: uuid.New(), OrderID: id, Lines: []commerce.Line{one}, Reason: "test"})
		_, ferr := s.Orders.Fulfil(t.Context(), v, commerce.FulfilOrder{Key: uuid.New(), OrderID: id})
		for _, err := range []error{rerr, berr, ferr} {
			if fmt.Sprint(err) != fmt.Sprint(commerce.ErrForbidden) && (v.UserID != "" || fmt.Sprint(err) != fmt.Sprint(commerce.ErrUnauthenticated)) {
				t.Errorf("%q is told %v", v.UserID, err)
			}
		}
	}
	s.wantRefunded(t, id, 0)
	row, err := s.Orders.Get(t.Context(), admin, id)
	must(t, err)
	if row.RefundCount != 0 {
		t.Errorf("%d refunds are counted", row.RefundCount)
	}
}

// TestFulfilment: an order is fulfilled once, by whichever administrator is first. After that it is not cancelled, but returned.
func TestFulfilment(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a, b := s.product(t, 999, 10), s.product(t, 500, 10)
		issued := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 10}))
		row := s.paid(t, byCard(), issued, commerce.Line{ProductID: a, Quantity: 3}, commerce.Line{ProductID: b, Quantity: 1})
		back := commerce.CreateReturn{Key: uuid.New(), OrderID: row.ID, Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Restock: true, Refund: true, Reason: "test"}
		_, err := s.Refunds.Return(t.Context(), admin, back)
		wantCodes(t, err, "INVALID_STATE:input.orderId")
		_, err = s.Orders.Fulfil(t.Context(), admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: s.unpaid(t, a, 1, "").ID})
		wantCodes(t, err, "INVALID_STATE:input.orderId")

		var done atomic.Int64
		key := uuid.New()
		together(8, func(i int) {
			in := commerce.FulfilOrder{Key: key, OrderID: row.ID, Tracking: " parcel 7 "}
			if i%2 == 0 {
				in.Key = uuid.New()
			}
			_, err := s.Orders.Fulfil(t.Context(), admin, in)
			if errs, ok := commerce.UserErrors(err); err == nil {
				done.Add(1)
			} else if !ok || errs[0].Code != commerce.InvalidState {
				t.Errorf("told %v", err)
			}
		})
		if n := done.Load(); n != 1 && n != 4 { // one key or the other
			t.Errorf("%d were told that they have fulfilled it", n)
		}
		now, err := s.Orders.Get(t.Context(), alice, row.ID)
		must(t, err)
		if now.Fulfilment != order.FulfilmentFULFILLED || now.FulfilledAt == nil || now.Tracking != "parcel 7" {
			t.Errorf("the order is %s at %v, %q", now.Fulfilment, now.FulfilledAt, now.Tracking)
		}
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: row.ID})
		if errs := wantCodes(t, err, "INVALID_STATE:input.orderId"); !strings.Contains(errs[0].Message, "returned, not cancelled") {
			t.Errorf("told %q", errs[0].Message)
		}

		for range 2 {
			result, err := s.Refunds.Return(t.Context(), admin, back)
			must(t, err)
			if len(result.Refund.Edges.Lines) != 1 || result.Refund.AmountMinor != result.Refund.Edges.Lines[0].AmountMinor {
				t.Errorf("returned %+v", result.Refund)
			}
		}
		s.wantStock(t, a, 10-3-1+1)
		rest := back
		rest.Key, rest.Restock, rest.Lines = uuid.New(), false, []commerce.Line{{ProductID: a, Quantity: 2}, {ProductID: b, Quantity: 1}}
		_, err = s.Refunds.Return(t.Context(), admin, rest)
		must(t, err)
		s.wantStock(t, a, 10-3-1+1) // written off
		s.wantStock(t, b, 9)
		s.wantRefunded(t, row.ID, row.TotalMinor) // to the last minor unit
		rest.Key, rest.Refund = uuid.New(), false
		_, err = s.Refunds.Return(t.Context(), admin, rest)
		wantCodes(t, err, "INVALID_INPUT:input.lines.0.quantity", "INVALID_INPUT:input.lines.1.quantity")

		all := s.paid(t, byCard(), "", commerce.Line{ProductID: b, Quantity: 1})
		_, err = s.Refunds.Create(t.Context(), admin, amountOf(all.ID, all.TotalMinor))
		must(t, err)
		_, err = s.Orders.Fulfil(t.Context(), admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: all.ID})
		wantCodes(t, err, "INVALID_STATE:input.orderId")
		s.wantBooks(t)
	})
}

// TestCancellationAndFulfilment: of both at the same time one happens.
func TestCancellationAndFulfilment(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 100)
		for range 6 {
			id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 1}).ID
			var cancelled, fulfilled error
			together(2, func(n int) {
				if n == 0 {
					_, cancelled = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
				} else {
					_, fulfilled = s.Orders.Fulfil(t.Context(), admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: id})
				}
			})
			if (cancelled == nil) == (fulfilled == nil) {
				t.Errorf("told %v and %v", cancelled, fulfilled)
			}
		}
		s.wantBooks(t)
	})
}

// TestFulfilmentOfWhatCameBack: what is back in stock, or written off, is not sent.
func TestFulfilmentOfWhatCameBack(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		one := commerce.Line{ProductID: a, Quantity: 1}
		refused := s.paid(t, byCard(), "", one).ID
		s.gateway.fail = func(string, string) error { return errDeclined }
		_, err := s.Refunds.Create(t.Context(), admin, linesOf(refused, one))
		wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
		s.gateway.fail = nil
		free := s.paid(t, byCard(), s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 2000})),
			commerce.Line{ProductID: a, Quantity: 2}).ID
		_, err = s.Refunds.Create(t.Context(), admin, linesOf(free, one))
		must(t, err)
		part := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 2}).ID
		_, err = s.Refunds.Create(t.Context(), admin, linesOf(part, one))
		must(t, err)
		_, err = s.Orders.Fulfil(t.Context(), admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: part}) // the other one
		must(t, err)
		_, err = s.Refunds.Create(t.Context(), admin, linesOf(free, one))
		must(t, err)
		for _, id := range []string{refused, free} {
			_, err := s.Orders.Fulfil(t.Context(), admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: id})
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.InvalidState || !strings.Contains(errs[0].Message, "came back") {
				t.Errorf("told %v", err)
			}
		}
		s.wantStock(t, a, 9)
	})
}

// TestLinesAfterAnAmount: units come back as well if an amount was refunded before. For them, what is left is given back.
func TestLinesAfterAnAmount(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		for _, goodwill := range []int64{100, 1900, 2000} {
			id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 2}).ID
			_, err := s.Refunds.Create(t.Context(), admin, amountOf(id, goodwill))
			must(t, err)
			for _, want := range []int64{min(1000, 2000-goodwill), max(0, 1000-goodwill)} {
				result, err := s.Refunds.Create(t.Context(), admin, linesOf(id, commerce.Line{ProductID: a, Quantity: 1}))
				must(t, err)
				if f := result.Refund; f.AmountMinor != want || f.Edges.Lines[0].AmountMinor != want || f.Status != refund.StatusREFUNDED {
					t.Errorf("after %d: %+v for the line %+v, want %d", goodwill, f, f.Edges.Lines, want)
				}
			}
			s.wantRefunded(t, id, 2000)
		}
		s.wantStock(t, a, 10)
		s.wantBooks(t)
	})
}

// TestRefundsOfAGatewayWithSteps: what a gateway would refuse for its currency is not begun. Lines are worth what it takes, and the rest is refunded as
// an amount.
func TestRefundsOfAGatewayWithSteps(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	s.gateway.step = 10
	a := s.product(t, 1000, 10)
	third := s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 330})
	id := s.paid(t, byCard(), s.issue(t, alice, third), commerce.Line{ProductID: a, Quantity: 7}).ID
	_, err := s.Refunds.Create(t.Context(), admin, amountOf(id, 105))
	wantCodes(t, err, "INVALID_INPUT:input.amount.amountMinor")
	back := int64(0)
	for range 7 { // each is worth 952.86
		result, err := s.Refunds.Create(t.Context(), admin, linesOf(id, commerce.Line{ProductID: a, Quantity: 1}))
		must(t, err)
		if f := result.Refund; f.AmountMinor != 950 || f.Edges.Lines[0].AmountMinor != 950 {
			t.Errorf("a unit is worth %d, and its line %d", f.AmountMinor, f.Edges.Lines[0].AmountMinor)
		}
		back += result.Refund.AmountMinor
	}
	_, err = s.Refunds.Create(t.Context(), admin, amountOf(id, 6670-back))
	must(t, err)
	s.wantRefunded(t, id, 6670)
	s.wantStock(t, a, 10)

	s.points(t, alice, 1000) // no gateway is asked
	byPoints := s.paid(t, &commerce.Payment{Method: payment.MethodPOINTS}, "", commerce.Line{ProductID: a, Quantity: 1}).ID
	_, err = s.Refunds.Create(t.Context(), admin, amountOf(byPoints, 105))
	must(t, err)
	s.wantRefunded(t, byPoints, 105)
}

// TestRefundThatIsMadeAfterAll: the gateway makes a refund for one call that it has refused to another one. If another refund has its amount
// meanwhile, the job goes on with it, and it stays in sight.
func TestRefundThatIsMadeAfterAll(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	id := s.paid(t, byCard(), "", commerce.Line{ProductID: s.product(t, 1000, 10), Quantity: 1}).ID
	first, second := amountOf(id, 600), amountOf(id, 600)
	calls := 0
	s.gateway.fail = func(string, string) error {
		calls++
		switch calls {
		case 1: // while this call is under way, its repeat is refused, and another refund takes the amount
			_, err := s.Refunds.Create(t.Context(), admin, first)
			wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
			_, err = s.Refunds.Create(t.Context(), admin, second)
			wantCodes(t, err, "UNAVAILABLE")
			return nil
		case 2:
			return errDeclined
		}
		return errGatewayDown
	}
	result, err := s.Refunds.Create(t.Context(), admin, first)
	wantCodes(t, err, "UNAVAILABLE")
	if f := result.Refund; f.Status != refund.StatusFAILED || f.LookAt == nil || !strings.Contains(f.FailureReason, "has given it back after all") {
		t.Errorf("the refund is %+v", f)
	}
	looked := 0
	for range 6 {
		s.clock.advance(time.Hour)
		_, _, err := s.Refunds.Sweep(t.Context(), sweepAfter, 100)
		must(t, err)
		looked++
	}
	if stuck, err := s.Refunds.CountStuck(t.Context()); err != nil || stuck != 2 {
		t.Errorf("%d refunds are stuck after %d looks, %v; want both", stuck, looked, err)
	}
	s.gateway.fail = nil // the gateway has too little left for the second one, so that there is room for the first
	for range 2 {
		s.clock.advance(time.Hour)
		_, _, err := s.Refunds.Sweep(t.Context(), sweepAfter, 100)
		must(t, err)
	}
	s.wantRefunded(t, id, 600)
	s.wantBooks(t)
}

// TestRefusedAmountBindsNothing: a refund that has given nothing back and taken nothing back does not keep the order from being cancelled.
func TestRefusedAmountBindsNothing(t *testing.T) {
	refundVariants(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		one := commerce.Line{ProductID: a, Quantity: 1}
		id, returned := s.paid(t, byCard(), "", one).ID, s.paid(t, byCard(), "", one).ID
		s.gateway.fail = func(string, string) error { return errDeclined }
		_, err := s.Refunds.Create(t.Context(), admin, amountOf(id, 100))
		wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
		_, err = s.Refunds.Create(t.Context(), admin, linesOf(returned, one))
		wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
		s.gateway.fail = nil
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: returned})
		wantCodes(t, err, "INVALID_STATE:input.orderId")
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		must(t, err)
		s.wantOrder(t, id, order.StatusCANCELLED, true)
		s.wantStock(t, a, 10)
		s.wantBooks(t)
	})
}

// TestOneStepOfARefundFails: each step of a refund is taken though the other one fails, by every means of payment. The job repeats the step
// that has failed, and tells why it fails.
func TestOneStepOfARefundFails(t *testing.T) {
	s, hinder := hindered(t)
	s.points(t, alice, 10_000)
	account := s.account(t, alice, 10_000)
	a := s.product(t, 1000, 100)
	one := commerce.Line{ProductID: a, Quantity: 1}
	full := &lockprovider.Refused{Refusals: []lockprovider.Refusal{{Balance: lockprovider.StockKey(a), Delta: 1, Reason: lockprovider.ErrLimit}}}
	for _, pay := range []*commerce.Payment{byCard(), {Method: payment.MethodPOINTS}, byAccount(account)} {
		id := s.paid(t, pay, "", one).ID
		hinder(commerce.KindOrderReturned, full)
		in := linesOf(id, one)
		result, err := s.Refunds.Create(t.Context(), admin, in)
		wantCodes(t, err, "INVALID_STATE:input.restock")
		if f := result.Refund; f.Status != refund.StatusREFUNDED || f.RestockedAt != nil {
			t.Errorf("the refund is %+v", f)
		}
		s.sweepRefunds(t, 0, 1)
		hinder("", nil)
		s.sweepRefunds(t, 1, 0)
		s.wantRefunded(t, id, 1000)

		id = s.paid(t, pay, "", one).ID
		hinder(commerce.KindRefundCompleted, lockprovider.ErrLockTimeout) // of a card: the gateway has made it, and the shop does not know
		if pay.Method == payment.MethodCARD {
			hinder("", nil)
			s.gateway.lose = "cancel"
		}
		result, err = s.Refunds.Create(t.Context(), admin, linesOf(id, one))
		wantCodes(t, err, "UNAVAILABLE")
		if f := result.Refund; f.Status == refund.StatusREFUNDED || f.RestockedAt == nil {
			t.Errorf("the refund is %+v", f)
		}
		hinder("", nil)
		s.sweepRefunds(t, 1, 0)
		s.wantRefunded(t, id, 1000)
		s.wantStock(t, a, 100)
	}

	// Both fail, the money for good: the job tells of the stock.
	id := s.paid(t, byCard(), "", one).ID
	hinder(commerce.KindOrderReturned, full)
	s.gateway.fail = func(string, string) error { return errDeclined }
	result, err := s.Refunds.Create(t.Context(), admin, linesOf(id, one))
	wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
	s.gateway.fail = nil
	s.sweepRefunds(t, 0, 1)
	row, err := s.db.Ent.Refund.Get(t.Context(), result.Refund.ID)
	must(t, err)
	if !strings.Contains(row.LastError, "the stock can take") {
		t.Errorf("the job says %q", row.LastError)
	}
	hinder("", nil)
	s.sweepRefunds(t, 1, 0)
	s.wantStock(t, a, 100)
	s.audit(t)
}

// TestRefundThatIsNotNoted: the gateway has made a refund, and the database goes away before it says so. The repeat or the job notes it, and the
// gateway makes it once.
func TestRefundThatIsNotNoted(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	a := s.product(t, 1000, 10)
	var away atomic.Bool
	s.db.Ent.Payment.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			if away.Load() {
				return nil, driver.ErrBadConn
			}
			return next.Mutate(ctx, m)
		})
	})
	for _, repeated := range []bool{true, false} {
		id := s.paid(t, byCard(), "", commerce.Line{ProductID: a, Quantity: 1}).ID
		s.gateway.fail = func(string, string) error { away.Store(true); return nil }
		in := linesOf(id, commerce.Line{ProductID: a, Quantity: 1})
		result, err := s.Refunds.Create(t.Context(), admin, in)
		wantCodes(t, err, "UNAVAILABLE")
		if f := result.Refund; f.Status != refund.StatusREFUNDING || f.RestockedAt == nil || s.gateway.taken() != 0 {
			t.Errorf("the refund is %+v, and the gateway keeps %d", f, s.gateway.taken())
		}
		s.gateway.fail = nil
		away.Store(false)
		if repeated {
			_, err = s.Refunds.Create(t.Context(), admin, in)
			must(t, err)
			s.sweepRefunds(t, 0, 0)
		} else {
			s.sweepRefunds(t, 1, 0)
		}
		s.wantRefunded(t, id, 1000)
	}
	s.wantStock(t, a, 10)
	s.wantBooks(t)
}
