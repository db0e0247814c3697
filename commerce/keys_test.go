package commerce_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/order"
	"holdfast/ent/product"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// A key stands for one request of one user: with another input it is refused, and does nothing.
func TestAKeyStandsForOneRequest(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		s.points(t, alice, 5000)
		one, two := s.unpaid(t, a, 1, "").ID, s.unpaid(t, a, 2, "").ID
		pay := commerce.PayOrder{Key: uuid.New(), OrderID: one, Payment: *byPoints()}
		for i := range 2 {
			result, err := s.Orders.Pay(t.Context(), alice, pay)
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
			if result.Meta.Replayed != (i == 1) {
				t.Errorf("replayed is %v", result.Meta.Replayed)
			}
		}
		for name, other := range map[string]commerce.PayOrder{
			"order":   {Key: pay.Key, OrderID: two, Payment: *byPoints()},
			"payment": {Key: pay.Key, OrderID: one, Payment: *byCard()},
		} {
			_, err := s.Orders.Pay(t.Context(), alice, other)
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.IdempotencyMismatch {
				t.Errorf("another %s under the key of a payment: %v", name, err)
			}
		}
		s.wantOrder(t, two, order.StatusPENDING, false)
		s.wantPoints(t, alice, 4000)

		cancel := commerce.CancelOrder{Key: pay.Key, OrderID: one} // another operation's same key is another key
		for i := range 2 {
			result, err := s.Orders.Cancel(t.Context(), alice, cancel)
			must(t, err)
			wantStatus(t, result.Order, order.StatusCANCELLED)
			if result.Meta.Replayed != (i == 1) {
				t.Errorf("replayed is %v", result.Meta.Replayed)
			}
		}
		_, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: pay.Key, OrderID: two})
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		s.wantOrder(t, two, order.StatusPENDING, false)
		result, err := s.Orders.Cancel(t.Context(), admin, commerce.CancelOrder{Key: pay.Key, OrderID: two}) // so is another user's
		must(t, err)
		wantStatus(t, result.Order, order.StatusCANCELLED)
		s.wantPoints(t, alice, 5000)
		s.wantStock(t, a, 10)
		s.audit(t)
	})
}

// The owner of an order and an administrator have keys of their own, also if these are the same.
func TestKeysOfTwoUsersForOneOrder(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 1000, 10)
	s.points(t, alice, 5000)
	id, key := s.unpaid(t, a, 1, "").ID, uuid.New()
	pay := commerce.PayOrder{Key: key, OrderID: id, Payment: *byPoints()}
	_, err := s.Orders.Pay(t.Context(), alice, pay)
	must(t, err)
	pay.Payment = *byCard() // an administrator does not pay from what is the customer's
	_, err = s.Orders.Pay(t.Context(), admin, pay)
	wantCodes(t, err, "INVALID_STATE:input.orderId")
	cancel := commerce.CancelOrder{Key: key, OrderID: id}
	_, err = s.Orders.Cancel(t.Context(), alice, cancel)
	must(t, err)
	_, err = s.Orders.Cancel(t.Context(), admin, cancel)
	wantCodes(t, err, "INVALID_STATE:input.orderId")
}

// Of requests that come at the same moment with one key, only those for one order are carried out.
func TestOneKeyForTwoOrdersAtOnce(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		a := s.product(t, 1000, 1000)
		s.points(t, alice, 1_000_000)
		points := int64(1_000_000)
		for range 8 {
			orders := []string{s.unpaid(t, a, 1, "").ID, s.unpaid(t, a, 1, "").ID}
			key := uuid.New()
			var paid, cancelled [2]atomic.Int32
			together(8, func(i int) {
				in := commerce.PayOrder{Key: key, OrderID: orders[i%2], Payment: *byPoints()}
				result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Pay(t.Context(), alice, in) })
				countOrMismatch(t, &paid[i%2], order.StatusPAID, result, err)
			})
			together(8, func(i int) {
				in := commerce.CancelOrder{Key: key, OrderID: orders[i%2]}
				result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Cancel(t.Context(), alice, in) })
				countOrMismatch(t, &cancelled[i%2], order.StatusCANCELLED, result, err)
			})
			for n, counts := range [][2]int32{{paid[0].Load(), paid[1].Load()}, {cancelled[0].Load(), cancelled[1].Load()}} {
				if counts != [2]int32{4, 0} && counts != [2]int32{0, 4} {
					t.Errorf("%s: %v of 4 and 4 requests were carried out", []string{"payOrder", "cancelOrder"}[n], counts)
				}
			}
			for i := range orders {
				if paid[i].Load() > 0 && cancelled[i].Load() == 0 {
					points -= 1000
				}
			}
		}
		s.wantPoints(t, alice, points)
		s.audit(t)
	})
}

func countOrMismatch(t *testing.T, done *atomic.Int32, want order.Status, result commerce.OrderResult, err error) {
	t.Helper()
	errs, _ := commerce.UserErrors(err)
	switch {
	case err == nil && result.Order.Status == want:
		done.Add(1)
	case errs == nil || errs[0].Code != commerce.IdempotencyMismatch:
		t.Errorf("got %v, %v", result.Order, err)
	}
}

// A request that was cut off has its key all the same: a repeat goes on, and another request is refused.
func TestAKeyIsRecordedBeforeTheFirstStep(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		one, two := s.unpaid(t, a, 1, "").ID, s.unpaid(t, a, 1, "").ID
		var down atomic.Value
		down.Store("authorize")
		s.failing(errGatewayDown, &down)
		in := commerce.PayOrder{Key: uuid.New(), OrderID: one, Payment: *byCard()}
		_, err := s.Orders.Pay(t.Context(), alice, in)
		wantCodes(t, err, "UNAVAILABLE")
		down.Store("")
		other := in
		other.OrderID = two
		_, err = s.Orders.Pay(t.Context(), alice, other)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		result, err := s.Orders.Pay(t.Context(), alice, in)
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		if !result.Meta.Replayed {
			t.Error("the repeat is not marked as one")
		}
		s.wantOrder(t, two, order.StatusPENDING, false)

		down.Store("cancel")
		cancel := commerce.CancelOrder{Key: uuid.New(), OrderID: one}
		_, err = s.Orders.Cancel(t.Context(), alice, cancel)
		wantCodes(t, err, "UNAVAILABLE")
		down.Store("")
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: cancel.Key, OrderID: two})
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		result, err = s.Orders.Cancel(t.Context(), alice, cancel)
		must(t, err)
		wantStatus(t, result.Order, order.StatusCANCELLED)
		s.wantOrder(t, one, order.StatusCANCELLED, true)
		s.audit(t)
	})
}

// A card payment that the gateway left open, and that a job has finished, is that of the request that began it.
func TestARepeatIsToldThatAJobFinishedItsPayment(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 1000, 10)
	id := s.unpaid(t, a, 1, "").ID
	var down atomic.Value
	down.Store("capture")
	s.failing(errGatewayDown, &down)
	in := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byCard()}
	_, err := s.Orders.Pay(t.Context(), alice, in)
	wantCodes(t, err, "UNAVAILABLE")
	s.clock.advance(reservation)
	_, err = s.Orders.Pay(t.Context(), alice, in) // not "the reservation has expired": the payment is under way
	wantCodes(t, err, "UNAVAILABLE")
	down.Store("")
	s.expire(t, 1)
	s.wantOrder(t, id, order.StatusPAID, true)
	result, err := s.Orders.Pay(t.Context(), alice, in)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	if !result.Meta.Replayed {
		t.Error("the repeat is not marked as one")
	}
	_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byCard()})
	wantCodes(t, err, "INVALID_STATE:input.orderId")
}

// Keys are forgotten after a while. A request that is repeated then does nothing, and its client is told why.
func TestOldKeys(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		from, to := s.account(t, alice, 100), s.account(t, bob, 0)
		couponID := s.coupon(t, commerce.CreateCoupon{Quota: 1})
		place := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 2}}}
		placed, err := s.Orders.Place(t.Context(), alice, place)
		must(t, err)
		pay := commerce.PayOrder{Key: uuid.New(), OrderID: s.unpaid(t, a, 1, "").ID, Payment: *byPoints()}
		cancel := commerce.CancelOrder{Key: uuid.New(), OrderID: s.unpaid(t, a, 4, "").ID}
		points := commerce.ChargePoints{Key: uuid.New(), Amount: 5000}
		money := commerce.Transfer{Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 60, Currency: "USD"}}
		issue := commerce.IssueCoupon{Key: uuid.New(), CouponID: couponID}
		adjust := commerce.AdjustStock{Key: uuid.New(), ProductID: a, Delta: -6}
		correct := commerce.AdjustPoints{Key: uuid.New(), UserID: alice.UserID, Delta: -100, Reason: "charged twice"}
		refund := commerce.AdjustAccount{Key: uuid.New(), AccountID: to, Delta: -5, Reason: "a mistake"}
		kept := commerce.CreateHold{Key: uuid.New(), TTL: time.Minute, Lines: []commerce.Line{{ProductID: s.product(t, 1000, 1), Quantity: 1}}}
		operations := []struct {
			name string
			do   func() error
			old  string // what the repeat is told
		}{
			{"holdCreate", func() error { _, err := s.Holds.Create(t.Context(), alice, kept); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"placeOrder", func() error { _, err := s.Orders.Place(t.Context(), alice, place); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"chargePoints", func() error { _, err := s.Points.Charge(t.Context(), alice, points); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"transfer", func() error { _, err := s.Accounts.Transfer(t.Context(), alice, money); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"}, // 40 are left: it would be refused
			{"issueCoupon", func() error { _, err := s.Coupons.Issue(t.Context(), alice, issue); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"payOrder", func() error { _, err := s.Orders.Pay(t.Context(), alice, pay); return err }, "INVALID_STATE:input.orderId"},
			{"cancelOrder", func() error { _, err := s.Orders.Cancel(t.Context(), alice, cancel); return err }, "INVALID_STATE:input.orderId"},
			{"stockAdjust", func() error { _, err := s.Catalog.AdjustStock(t.Context(), admin, adjust); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"pointsAdjust", func() error { _, err := s.Points.Adjust(t.Context(), admin, correct); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
			{"accountAdjust", func() error { _, err := s.Accounts.Adjust(t.Context(), admin, refund); return err }, "IDEMPOTENCY_EXPIRED:input.idempotencyKey"},
		}
		for _, o := range operations {
			for range 2 { // while the key is known, the repeat is told of the first
				if err := o.do(); err != nil {
					t.Fatalf("%s: %v", o.name, err)
				}
			}
		}
		s.forgetKeys(t)
		asked := len(s.gateway.calls)
		for _, o := range operations {
			t.Run(o.name, func(t *testing.T) {
				for range 2 {
					err := o.do()
					if err == nil && s.accepts { // Redis has forgotten the key and accepts; the database then takes nothing
						s.settle(t)
						err = o.do()
					}
					wantCodes(t, err, o.old)
				}
			})
		}
		if calls := s.gateway.calls[asked:]; len(calls) > 0 {
			t.Errorf("the gateway was asked again: %v", calls)
		}
		s.wantOrder(t, placed.Order.ID, order.StatusPENDING, false)
		s.wantStock(t, a, 1) // 10 - 2 - 1 - 6
		s.wantPoints(t, alice, 3900)
		s.wantMoney(t, to, 55)
		s.audit(t)
	})
}

// Mutations that move no balance take keys, too. Of several that come at once with one key, one is carried out.
func TestKeysOfTheCatalogue(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		other := commerce.Viewer{UserID: "root2", Name: "Root 2", Admin: true}
		for _, m := range s.keyed(t) {
			t.Run(m.name, func(t *testing.T) {
				key := uuid.New()
				before := m.effects(t)
				var ids sync.Map
				together(6, func(int) {
					id, err := m.do(admin, key, "Thing")
					if err != nil {
						t.Errorf("a repeat is told %v", err)
					}
					ids.Store(id, nil)
				})
				first, err := m.do(admin, key, "Thing")
				must(t, err)
				ids.Range(func(id, _ any) bool {
					if id != first {
						t.Errorf("repeats are told of %v and %v", id, first)
					}
					return true
				})
				if n := m.effects(t) - before; n != 1 {
					t.Errorf("it was carried out %d times", n)
				}
				_, err = m.do(admin, key, "Other thing")
				wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
				_, err = m.do(other, key, "Thing")
				if m.another == "" {
					must(t, err)
				} else {
					wantCodes(t, err, m.another)
				}
				_, err = m.do(admin, uuid.Nil, "Thing") // without a key
				if m.another == "" {
					must(t, err)
				} else {
					wantCodes(t, err, m.another)
				}
			})
		}
	})
}

// A refusal is no result: the same request with the same key is carried out when what was short is there, as its answer says.
func TestARefusalIsNoResult(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a, from, to := s.product(t, 1000, 1), s.account(t, alice, 10), s.account(t, bob, 0)
		begins := s.clock.Now().Add(time.Hour)
		couponID := s.coupon(t, commerce.CreateCoupon{Quota: 1, ValidFrom: &begins})
		place := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 2}}}
		money := commerce.Transfer{Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 60, Currency: "USD"}}
		issue := commerce.IssueCoupon{Key: uuid.New(), CouponID: couponID}
		take := commerce.AdjustStock{Key: uuid.New(), ProductID: a, Delta: -2}
		correct := commerce.AdjustAccount{Key: uuid.New(), AccountID: from, Delta: -20, Reason: "a mistake"}
		operations := []struct {
			name string
			do   func() (commerce.Meta, error)
			code string
		}{
			{"placeOrder", func() (commerce.Meta, error) {
				result, err := s.Orders.Place(t.Context(), alice, place)
				return result.Meta, err
			}, "OUT_OF_STOCK:input.lines.0.quantity"},
			{"transfer", func() (commerce.Meta, error) {
				result, err := s.Accounts.Transfer(t.Context(), alice, money)
				return result.Meta, err
			}, "INSUFFICIENT_FUNDS:input.amount.amountMinor"},
			{"issueCoupon", func() (commerce.Meta, error) {
				result, err := s.Coupons.Issue(t.Context(), alice, issue)
				return result.Meta, err
			}, "COUPON_NOT_VALID:input.couponId"},
			{"stockAdjust", func() (commerce.Meta, error) {
				result, err := s.Catalog.AdjustStock(t.Context(), admin, take)
				return result.Meta, err
			}, "OUT_OF_STOCK:input.delta"},
			{"accountAdjust", func() (commerce.Meta, error) {
				result, err := s.Accounts.Adjust(t.Context(), admin, correct)
				return result.Meta, err
			}, "INSUFFICIENT_FUNDS:input.deltaMinor"},
		}
		for range 2 {
			for _, o := range operations {
				_, err := o.do()
				e := wantCodes(t, err, o.code)[0]
				if !e.Retryable || e.RetryAfter != 0 {
					t.Errorf("%s: retryable %v after %v, want a repeat to be of use when something has changed", o.name, e.Retryable, e.RetryAfter)
				}
			}
		}
		_, err := s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: a, Delta: 9})
		must(t, err)
		_, err = s.Accounts.Adjust(t.Context(), admin, commerce.AdjustAccount{Key: uuid.New(), AccountID: from, Delta: 100, Reason: "a deposit"})
		must(t, err)
		s.clock.advance(time.Hour)
		for _, replayed := range []bool{false, true} {
			for _, o := range operations {
				meta, err := o.do()
				if err != nil || meta.Replayed != replayed {
					t.Errorf("%s, when it fits: replayed %v, %v; want %v", o.name, meta.Replayed, err, replayed)
				}
			}
		}
		s.settle(t)
		s.wantStock(t, a, 6) // 1 + 9 - 2 - 2
		s.wantMoney(t, from, 30)
		s.wantMoney(t, to, 60)
		s.audit(t)
	})
}

// A refusal takes no key.
func TestARefusedRequestLeavesItsKey(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{SKU: "A", Name: "Thing", Price: commerce.Money{Minor: 1, Currency: "USD"}})
	must(t, err)
	in := commerce.UpdateProduct{Key: uuid.New(), ID: row.ID, Version: row.Version + 1, Name: &row.Name}
	_, err = s.Catalog.Update(t.Context(), admin, in)
	wantCodes(t, err, "VERSION_CONFLICT:input.version")
	in.Version = row.Version
	_, err = s.Catalog.Update(t.Context(), admin, in)
	must(t, err)
	_, err = s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{Key: in.Key, ID: "prod_no"})
	wantCodes(t, err, "NOT_FOUND:input.id")
	_, err = s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{Key: in.Key, ID: row.ID})
	must(t, err)
}

func TestOldKeysOfTheCatalogue(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	for _, m := range s.keyed(t) {
		t.Run(m.name, func(t *testing.T) {
			key := uuid.New()
			_, err := m.do(admin, key, "Thing")
			must(t, err)
			s.points(t, alice, 1)
			s.forgetKeys(t)
			before := m.effects(t)
			for range 2 {
				_, err := m.do(admin, key, "Thing")
				if m.old == "" {
					must(t, err)
				} else {
					wantCodes(t, err, m.old)
				}
			}
			if n := m.effects(t) - before; n != 0 {
				t.Errorf("it was carried out %d times more", n)
			}
		})
	}
}

// keyedMutation is a mutation that moves no balance and takes a key.
type keyedMutation struct {
	name string
	// do sends it, with a name that tells requests apart, and returns the ID of its object.
	do func(v commerce.Viewer, key uuid.UUID, name string) (string, error)
	// effects counts what it has done.
	effects func(t *testing.T) int
	// another is what the same request is told under another key: "" if it is carried out.
	another string
	// old is what a repeat is told when the key is forgotten: "" for success.
	old string
}

func (s *shop) keyed(t *testing.T) []keyedMutation {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	idOf := func(p *ent.Product, err error) (string, error) {
		if err != nil {
			return "", err
		}
		return p.ID, nil
	}
	rows := func(count func(context.Context) (int, error)) func(t *testing.T) int {
		return func(t *testing.T) int {
			t.Helper()
			n, err := count(ctx)
			must(t, err)
			return n
		}
	}
	updated, archived, unarchived := s.product(t, 100, 1), s.product(t, 100, 1), s.product(t, 100, 1)
	_, err := s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: unarchived})
	must(t, err)
	version := func(id string) func(t *testing.T) int {
		return func(t *testing.T) int {
			t.Helper()
			row, err := s.db.Ent.Product.Get(ctx, id)
			must(t, err)
			return row.Version
		}
	}
	couponOf := func(c *ent.Coupon, err error) (string, error) {
		if err != nil {
			return "", err
		}
		return c.ID, nil
	}
	newCoupon := func() string {
		id, err := couponOf(s.Coupons.Create(ctx, admin, commerce.CreateCoupon{
			Name: "Any", DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 1, Quota: 1, PerUserLimit: 1,
		}))
		must(t, err)
		return id
	}
	changed, stopped, resumed := newCoupon(), newCoupon(), newCoupon()
	_, err = s.Coupons.Stop(ctx, admin, commerce.StopCoupon{ID: resumed})
	must(t, err)
	couponVersion := func(id string) func(t *testing.T) int {
		return func(t *testing.T) int {
			t.Helper()
			row, err := s.db.Ent.Coupon.Get(ctx, id)
			must(t, err)
			return row.Version
		}
	}
	return []keyedMutation{
		{
			name: "customerAddressCreate", effects: rows(s.db.Ent.CustomerAddress.Query().Count),
			old: "IDEMPOTENCY_EXPIRED:input.idempotencyKey",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				row, err := s.Customers.CreateAddress(ctx, v, commerce.CreateAddress{
					Key: key, Address: commerce.Address{Name: name, Lines: []string{"1 Example Street"}, City: "Springfield", Country: "US"},
				})
				if err != nil {
					return "", err
				}
				return row.ID, nil
			},
		},
		{
			name: "productCreate", effects: rows(s.db.Ent.Product.Query().Count),
			another: "INVALID_INPUT:input.sku", old: "IDEMPOTENCY_EXPIRED:input.idempotencyKey",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				return idOf(s.Catalog.Create(ctx, v, commerce.CreateProduct{
					Key: key, SKU: "keyed", Name: name, Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 5,
				}))
			},
		},
		{
			name: "productUpdate", effects: version(updated),
			another: "VERSION_CONFLICT:input.version", old: "VERSION_CONFLICT:input.version",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				return idOf(s.Catalog.Update(ctx, v, commerce.UpdateProduct{Key: key, ID: updated, Version: 1, Name: &name}))
			},
		},
		{
			name: "productArchive", effects: version(archived),
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				id := archived
				if name != "Thing" {
					id = updated
				}
				return idOf(s.Catalog.Archive(ctx, v, commerce.ArchiveProduct{Key: key, ID: id}))
			},
		},
		{
			name: "productUnarchive", effects: version(unarchived),
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				id := unarchived
				if name != "Thing" {
					id = updated
				}
				return idOf(s.Catalog.Unarchive(ctx, v, commerce.ArchiveProduct{Key: key, ID: id}))
			},
		},
		{
			name: "couponUpdate", effects: couponVersion(changed),
			another: "VERSION_CONFLICT:input.version", old: "VERSION_CONFLICT:input.version",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				return couponOf(s.Coupons.Update(ctx, v, commerce.UpdateCoupon{Key: key, ID: changed, Version: 1, Name: &name}))
			},
		},
		{
			name: "couponStop", effects: couponVersion(stopped),
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				id := stopped
				if name != "Thing" {
					id = changed
				}
				return couponOf(s.Coupons.Stop(ctx, v, commerce.StopCoupon{Key: key, ID: id}))
			},
		},
		{
			name: "couponResume", effects: couponVersion(resumed),
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				id := resumed
				if name != "Thing" {
					id = changed
				}
				return couponOf(s.Coupons.Resume(ctx, v, commerce.StopCoupon{Key: key, ID: id}))
			},
		},
		{
			name: "couponCreate", effects: rows(s.db.Ent.Coupon.Query().Count), old: "IDEMPOTENCY_EXPIRED:input.idempotencyKey",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				row, err := s.Coupons.Create(ctx, v, commerce.CreateCoupon{
					Key: key, Name: name, DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 1, Quota: 1, PerUserLimit: 1,
				})
				if err != nil {
					return "", err
				}
				return row.ID, nil
			},
		},
		{
			name: "accountOpen", effects: rows(s.db.Ent.Account.Query().Count), old: "IDEMPOTENCY_EXPIRED:input.idempotencyKey",
			do: func(v commerce.Viewer, key uuid.UUID, name string) (string, error) {
				row, err := s.Accounts.Open(ctx, v, commerce.OpenAccount{Key: key, Name: name, Currency: "USD", UserID: "alice", Opening: 7})
				if err != nil {
					return "", err
				}
				return row.ID, nil
			},
		},
	}
}

// forgetKeys has all keys forgotten: in the database as by the job of retention, which TestRetention tests, and in Redis as by
// their expiry.
func (s *shop) forgetKeys(t *testing.T) {
	t.Helper()
	s.settle(t)
	n, err := s.db.Ent.ChangeLog.Delete().Exec(t.Context())
	must(t, err)
	m, err := s.db.Ent.Operation.Delete().Exec(t.Context())
	must(t, err)
	if n == 0 || m == 0 {
		t.Fatalf("%d changes and %d operations were forgotten", n, m)
	}
	keys, err := s.redis.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, key := range keys {
		if strings.Contains(key, ":memo:") {
			must(t, s.redis.Del(t.Context(), key).Err())
		}
	}
}

// everyDatabase runs a test on each database that there is.
func everyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "sqlite://:memory:" },
		"postgres": func(t *testing.T) string { t.Helper(); return postgres(t) },
		"mariadb":  func(t *testing.T) string { t.Helper(); return testenv.MariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) { test(t, url(t)) })
	}
}

// An answer that says `retryable: false` stays: the same request with the same key is not carried out later. So a refusal that passes when
// something has changed, such as a price that changes back, says that it may.
func TestARefusalThatMayPassSaysSo(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	usd := func(minor int64) commerce.Money { return commerce.Money{Minor: minor, Currency: "USD"} }
	place := func(in commerce.PlaceOrder) func() error {
		in.Key = uuid.New()
		return func() error {
			_, err := s.Orders.Place(ctx, alice, in)
			return err
		}
	}
	price := func(id string, minor int64) {
		row, err := s.Catalog.Product(ctx, id)
		must(t, err)
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: row.Version, PriceMinor: &minor})
		must(t, err)
	}
	correct := func(accountID string, delta int64) func() error {
		in := commerce.AdjustAccount{Key: uuid.New(), AccountID: accountID, Delta: delta, Reason: "test"}
		return func() error {
			_, err := s.Accounts.Adjust(ctx, admin, in)
			return err
		}
	}
	wallet := func(delta int64) func() error {
		in := commerce.AdjustPoints{Key: uuid.New(), UserID: bob.UserID, Delta: delta, Reason: "test"}
		return func() error {
			_, err := s.Points.Adjust(ctx, admin, in)
			return err
		}
	}
	full := int64(lockprovider.MaxAmount)
	changed, archived, thing, fullStock := s.product(t, 1000, 5), s.product(t, 1000, 5), s.product(t, 1000, 5), s.product(t, 1000, commerce.MaxStock)
	price(changed, 9999)
	_, err := s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: archived})
	must(t, err)
	s.points(t, alice, 100_000)
	s.points(t, bob, 1)
	for _, key := range []string{lockprovider.StockKey(fullStock), lockprovider.PointsKey(bob.UserID)} {
		must(t, s.db.Ent.Balance.UpdateOneID(key).SetAmount(full).Exec(ctx))
	}
	from, fullAccount := s.account(t, alice, 10), s.account(t, alice, full)
	unpaid, later := s.unpaid(t, thing, 1, ""), s.unpaid(t, thing, 1, "")
	pay := func(orderID string) {
		_, err := s.Orders.Pay(ctx, alice, commerce.PayOrder{Key: uuid.New(), OrderID: orderID, Payment: *byPoints()})
		must(t, err)
	}
	paid := s.paid(t, byPoints(), "", commerce.Line{ProductID: thing, Quantity: 1})
	fulfil := func(orderID string) func() error {
		in := commerce.FulfilOrder{Key: uuid.New(), OrderID: orderID}
		return func() error {
			_, err := s.Orders.Fulfil(ctx, admin, in)
			return err
		}
	}
	transfer := commerce.Transfer{Key: uuid.New(), From: from, To: fullAccount, Amount: usd(5)}
	stock := commerce.AdjustStock{Key: uuid.New(), ProductID: fullStock, Delta: 1, Reason: "test"}
	back := commerce.CreateReturn{Key: uuid.New(), OrderID: paid.ID, Lines: []commerce.Line{{ProductID: thing, Quantity: 1}}, Reason: "test"}
	early := amountOf(unpaid.ID, 1)
	gift := commerce.AdjustPoints{Key: uuid.New(), UserID: "newcomer", Delta: 1, Reason: "test"}
	total := usd(1000)
	three, five, nine := int64(3), int64(5), int64(9)
	imports := func(row commerce.ImportRow) func() error {
		return func() error {
			_, err := s.importRow(t, row, commerce.StockDifference)
			return err
		}
	}
	move := func(sku string, delta int64) {
		id, err := s.db.Ent.Product.Query().Where(product.Sku(sku)).OnlyID(ctx)
		must(t, err)
		s.restock(t, id, delta)
	}
	for _, sku := range []string{"TAKEN", "FULL"} {
		must(t, imports(commerce.ImportRow{SKU: sku, Name: "Thing", Price: &total, Stock: &five})())
	}
	move("TAKEN", -5)
	fullImport, err := s.db.Ent.Product.Query().Where(product.Sku("FULL")).OnlyID(ctx)
	must(t, err)
	must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(fullImport)).SetAmount(full).Exec(ctx))

	refusals := []struct {
		name    string
		do      func() error
		code    string
		changes func()
	}{
		{"a price that changes back", place(commerce.PlaceOrder{
			Lines: []commerce.Line{{ProductID: changed, Quantity: 1}}, ExpectedTotal: &total,
		}), "PRICE_CHANGED:input.expectedTotal", func() { price(changed, 1000) }},
		{
			"a product that comes back on sale", place(commerce.PlaceOrder{Lines: []commerce.Line{{ProductID: archived, Quantity: 1}}}),
			"NOT_FOUND:input.lines.0.productId", func() {
				_, err := s.Catalog.Unarchive(ctx, admin, commerce.ArchiveProduct{ID: archived})
				must(t, err)
			},
		},
		{"a full account of the receiver", func() error {
			_, err := s.Accounts.Transfer(ctx, alice, transfer)
			return err
		}, "INVALID_INPUT:input.amount.amountMinor", func() { must(t, correct(fullAccount, -100)()) }},
		{"a full account", correct(fullAccount, 200), "INVALID_INPUT:input.deltaMinor", func() { must(t, correct(fullAccount, -200)()) }},
		{"a full stock", func() error {
			_, err := s.Catalog.AdjustStock(ctx, admin, stock)
			return err
		}, "INVALID_INPUT:input.delta", func() {
			_, err := s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), ProductID: fullStock, Delta: -5, Reason: "test"})
			must(t, err)
		}},
		{"a full wallet", wallet(10), "INVALID_INPUT:input.delta", func() { must(t, wallet(-10)()) }},
		{"a customer who has done nothing", func() error {
			_, err := s.Points.Adjust(ctx, admin, gift)
			return err
		}, "NOT_FOUND:input.userId", func() { s.points(t, commerce.Viewer{UserID: gift.UserID}, 1) }},
		{"a return of what is not fulfilled", func() error {
			_, err := s.Refunds.Return(ctx, admin, back)
			return err
		}, "INVALID_STATE:input.orderId", func() { must(t, fulfil(paid.ID)()) }},
		{"a refund of what is not paid", func() error {
			_, err := s.Refunds.Create(ctx, admin, early)
			return err
		}, "INVALID_STATE:input.orderId", func() {
			pay(unpaid.ID)
		}},
		{"an order to fulfil that is not paid", fulfil(later.ID), "INVALID_STATE:input.orderId", func() { pay(later.ID) }},
		{"an import that takes more than there is", imports(commerce.ImportRow{SKU: "TAKEN", Stock: &three}), "OUT_OF_STOCK", func() { move("TAKEN", 5) }},
		{"an import into a full stock", imports(commerce.ImportRow{SKU: "FULL", Stock: &nine}), "INVALID_INPUT", func() { move("FULL", -5) }},
		{"an import of a product that is missing", imports(commerce.ImportRow{SKU: "MISSING", Price: &total}), "INVALID_INPUT:input.products.0.name", func() {
			s.sell(t, "MISSING", "Thing", 100)
		}},
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			for range 2 {
				if e := wantCodes(t, r.do(), r.code)[0]; !e.Retryable || e.RetryAfter != 0 {
					t.Errorf("%q: retryable %v after %v, want a repeat to be of use when something has changed", e.Message, e.Retryable, e.RetryAfter)
				}
			}
			r.changes()
			if err := r.do(); err != nil {
				t.Errorf("the same key, later: %v", err)
			}
		})
	}
}

// A refund of a card may fail after it was made, and a card payment that is under way may be declined. What is refused for them says so.
func TestARefusalForMoneyThatMayPassSaysSo(t *testing.T) {
	s, ctx := openStripeShop(t, "sqlite://:memory:"), t.Context()
	thing := s.product(t, 1000, 20)
	refusals := map[string]struct {
		refunded int64
		do       func(orderID string, key uuid.UUID) error
		code     string
	}{
		"an order to cancel that has a refund": {400, func(orderID string, key uuid.UUID) error {
			_, err := s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: key, OrderID: orderID})
			return err
		}, "INVALID_STATE:input.orderId"},
		"an order to fulfil that was refunded": {1000, func(orderID string, key uuid.UUID) error {
			_, err := s.Orders.Fulfil(ctx, admin, commerce.FulfilOrder{Key: key, OrderID: orderID})
			return err
		}, "INVALID_STATE:input.orderId"},
		"a refund of more than is left": {700, func(orderID string, key uuid.UUID) error {
			in := amountOf(orderID, 400)
			in.Key = key
			_, err := s.Refunds.Create(ctx, admin, in)
			return err
		}, "INVALID_INPUT:input.amount.amountMinor"},
	}
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			id, attempt := s.bought(t, thing)
			f, key := s.refunded(t, id, r.refunded), uuid.New()
			for range 2 {
				if e := wantCodes(t, r.do(id, key), r.code)[0]; !e.Retryable {
					t.Errorf("%q is not retryable", e.Message)
				}
			}
			s.stripe.Alter(t, attempt, 1000, map[string]int64{f: 0})
			must(t, s.receive(ctx, s.eventOf(t, "refund.failed")))
			if err := r.do(id, key); err != nil {
				t.Errorf("the same key, later: %v", err)
			}
		})
	}
	t.Run("a card payment that is under way", func(t *testing.T) {
		s := newShop(t, lockprovider.RowLock)
		s.points(t, alice, 5000)
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		s.gateway.fail, s.gateway.lose = func(string, string) error { return errDeclined }, "authorize"
		card, points := payCard(id), commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()}
		_, err := s.Orders.Pay(ctx, alice, card)
		wantCodes(t, err, "UNAVAILABLE")
		for range 2 {
			_, err = s.Orders.Pay(ctx, alice, points)
			if e := wantCodes(t, err, "INVALID_STATE:input.payment.method")[0]; !e.Retryable {
				t.Errorf("%q is not retryable", e.Message)
			}
		}
		s.clock.advance(time.Second)
		_, err = s.Orders.Pay(ctx, alice, card)
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		_, err = s.Orders.Pay(ctx, alice, points)
		must(t, err)
	})
}

// An answer that says `retryable: false` stays, whatever changes.
func TestARefusalThatStaysSaysSo(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	thing := s.product(t, 1000, 50)
	s.points(t, alice, 100_000)
	one, two := commerce.Line{ProductID: thing, Quantity: 1}, commerce.Line{ProductID: thing, Quantity: 2}
	declined := func() { s.gateway.fail = func(string, string) error { return errDeclined } }
	// failed has units of an order come back, and the refund for them fail.
	failed := func(orderID string, lines ...commerce.Line) {
		declined()
		_, err := s.Refunds.Create(ctx, admin, linesOf(orderID, lines...))
		wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
		s.gateway.fail = nil
	}
	// waiting begins such a refund, which fails when the function is called that it returns.
	waiting := func(orderID string, lines ...commerce.Line) func() {
		in := linesOf(orderID, lines...)
		s.gateway.fail = func(string, string) error { return errors.New("away") }
		_, err := s.Refunds.Create(ctx, admin, in)
		wantCodes(t, err, "UNAVAILABLE")
		return func() {
			declined()
			_, err := s.Refunds.Create(ctx, admin, in)
			wantCodes(t, err, "PAYMENT_DECLINED:input.orderId")
			s.gateway.fail = nil
		}
	}
	cancel := func(orderID string) func() error {
		in := commerce.CancelOrder{Key: uuid.New(), OrderID: orderID}
		return func() error {
			_, err := s.Orders.Cancel(ctx, alice, in)
			return err
		}
	}
	fulfil := func(orderID string) func() error {
		in := commerce.FulfilOrder{Key: uuid.New(), OrderID: orderID}
		return func() error {
			_, err := s.Orders.Fulfil(ctx, admin, in)
			return err
		}
	}
	give := func(in commerce.CreateRefund) func() error {
		return func() error {
			_, err := s.Refunds.Create(ctx, admin, in)
			return err
		}
	}
	restock := func() {
		_, err := s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), ProductID: thing, Delta: 5, Reason: "test"})
		must(t, err)
	}
	inEuro := commerce.Money{Minor: 1000, Currency: "EUR"}
	var changes func() // of the case that runs
	for _, c := range []struct {
		name  string
		begin func() func() error // returns what is refused
		code  string
	}{
		{"more units back than are left", func() func() error {
			id := s.paid(t, byCard(), "", two).ID
			changes = waiting(id, one)
			return give(linesOf(id, two))
		}, "INVALID_INPUT:input.lines.0.quantity"},
		{"an order to cancel of which units came back", func() func() error {
			id := s.paid(t, byCard(), "", two).ID
			changes = waiting(id, one)
			return cancel(id)
		}, "INVALID_STATE:input.orderId"},
		{"an order to fulfil of which all came back", func() func() error {
			id := s.paid(t, byCard(), "", one).ID
			changes = waiting(id, one)
			return fulfil(id)
		}, "INVALID_STATE:input.orderId"},
		{"more of a card than was paid", func() func() error {
			id := s.paid(t, byCard(), "", two).ID
			changes = func() { failed(id, one) }
			return give(amountOf(id, 2001))
		}, "INVALID_INPUT:input.amount.amountMinor"},
		{"more points than are left", func() func() error {
			id := s.paid(t, byPoints(), "", two).ID
			must(t, give(amountOf(id, 400))())
			changes = func() { must(t, give(amountOf(id, 100))()) }
			return give(amountOf(id, 1700))
		}, "INVALID_INPUT:input.amount.amountMinor"},
		{"an order by points to cancel that has a refund", func() func() error {
			id := s.paid(t, byPoints(), "", two).ID
			must(t, give(amountOf(id, 400))())
			changes = restock
			return cancel(id)
		}, "INVALID_STATE:input.orderId"},
		{"an order by points to fulfil that was refunded", func() func() error {
			id := s.paid(t, byPoints(), "", two).ID
			must(t, give(amountOf(id, 2000))())
			changes = restock
			return fulfil(id)
		}, "INVALID_STATE:input.orderId"},
		{"an order to cancel that is fulfilled", func() func() error {
			id := s.paid(t, byPoints(), "", two).ID
			must(t, fulfil(id)())
			changes = func() { must(t, give(linesOf(id, one))()) }
			return cancel(id)
		}, "INVALID_STATE:input.orderId"},
		{"an order to fulfil that is cancelled", func() func() error {
			id := s.unpaid(t, thing, 1, "").ID
			must(t, cancel(id)())
			changes = restock
			return fulfil(id)
		}, "INVALID_STATE:input.orderId"},
		{"a refund of an order that is cancelled", func() func() error {
			id := s.unpaid(t, thing, 1, "").ID
			must(t, cancel(id)())
			changes = restock
			return give(amountOf(id, 1))
		}, "INVALID_STATE:input.orderId"},
		{"a total in another currency", func() func() error {
			in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{one}, ExpectedTotal: &inEuro}
			changes = func() {
				row, err := s.Catalog.Product(ctx, thing)
				must(t, err)
				price := row.PriceMinor + 1
				_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: thing, Version: row.Version, PriceMinor: &price})
				must(t, err)
			}
			return func() error {
				_, err := s.Orders.Place(ctx, alice, in)
				return err
			}
		}, "PRICE_CHANGED:input.expectedTotal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			do := c.begin()
			refused := func(when string) {
				if e := wantCodes(t, do(), c.code)[0]; e.Retryable {
					t.Errorf("%s: %q is retryable", when, e.Message)
				}
			}
			refused("before")
			changes()
			refused("after something has changed")
		})
	}
}
