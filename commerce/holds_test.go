package commerce_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/ent/hold"
	"holdfast/ent/order"
	"holdfast/lockprovider"
)

const ttl = 5 * time.Minute

// hold holds units of one product.
func (s *shop) hold(t testing.TB, v commerce.Viewer, productID string, quantity int64) *ent.Hold {
	t.Helper()
	result, err := s.tryHold(t, v, commerce.Line{ProductID: productID, Quantity: quantity})
	must(t, err)
	return result.Hold
}

func (s *shop) tryHold(t testing.TB, v commerce.Viewer, lines ...commerce.Line) (commerce.HoldResult, error) {
	t.Helper()
	in := commerce.CreateHold{Key: uuid.New(), Lines: lines, TTL: ttl}
	return untilSettled(t, func() (commerce.HoldResult, error) { return s.Holds.Create(t.Context(), v, in) })
}

// wantHold asserts the status of a hold.
func (s *shop) wantHold(t testing.TB, id string, want hold.Status) *ent.Hold {
	t.Helper()
	s.settle(t)
	row, err := s.db.Ent.Hold.Get(t.Context(), id)
	must(t, err)
	if row.Status != want {
		t.Errorf("the hold is %s, want %s", row.Status, want)
	}
	return row
}

// wantHolds asserts how many holds of a customer are counted.
func (s *shop) wantHolds(t testing.TB, v commerce.Viewer, want int64) {
	t.Helper()
	s.settle(t)
	row, err := s.db.Ent.Balance.Get(t.Context(), lockprovider.HoldsKey(v.UserID))
	must(t, err)
	if row.Amount != want {
		t.Errorf("%d holds of %s are counted, want %d", row.Amount, v.UserID, want)
	}
}

// takeOver orders what a hold of one product has.
func (s *shop) takeOver(t testing.TB, v commerce.Viewer, h *ent.Hold) (commerce.OrderResult, error) {
	t.Helper()
	in := commerce.PlaceOrder{Key: uuid.New(), HoldID: h.ID}
	for _, l := range h.Edges.Lines {
		in.Lines = append(in.Lines, commerce.Line{ProductID: l.ProductID, Quantity: l.Quantity})
	}
	return untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), v, in) })
}

// A hold keeps what it has from all others, until it is released. It belongs to its customer.
func TestHold(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		a, b := s.product(t, 1000, 3), s.product(t, 500, 10)
		in := commerce.CreateHold{Key: uuid.New(), TTL: ttl, Lines: []commerce.Line{
			{ProductID: a, Quantity: 2}, {ProductID: b, Quantity: 4}, {ProductID: a, Quantity: 1},
		}}
		for i := range 2 {
			result, err := s.Holds.Create(ctx, alice, in)
			must(t, err)
			h := result.Hold
			if h.ID != commerce.HoldID(alice, in.Key) || h.Status != hold.StatusACTIVE || len(h.Edges.Lines) != 2 || h.Edges.Lines[0].Quantity != 3 ||
				!h.ExpiresAt.Equal(s.clock.Now().Add(ttl)) || result.Meta.Replayed != (i == 1) || result.Meta.Persistence != commerce.Persisted {
				t.Errorf("got %+v with %+v, replayed %v", h, h.Edges.Lines, result.Meta.Replayed)
			}
		}
		other := in
		other.TTL = time.Minute
		_, err := s.Holds.Create(ctx, alice, other)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH:input.idempotencyKey")
		s.wantStock(t, a, 0)
		s.wantStock(t, b, 6)
		s.wantHolds(t, alice, 1)
		_, err = s.order(t, bob, a, 1)
		wantCodes(t, err, "OUT_OF_STOCK")
		_, err = s.tryHold(t, bob, commerce.Line{ProductID: b, Quantity: 1}, commerce.Line{ProductID: a, Quantity: 1})
		wantCodes(t, err, "OUT_OF_STOCK:input.lines.1.quantity")
		s.wantStock(t, b, 6) // all or nothing

		id := commerce.HoldID(alice, in.Key)
		for _, v := range []commerce.Viewer{bob, admin} { // who is shown it, and cannot spend it
			_, err = s.Holds.Extend(ctx, v, id, ttl)
			wantCodes(t, err, "NOT_FOUND:input.id")
			_, err = s.Orders.Place(ctx, v, commerce.PlaceOrder{Key: uuid.New(), Lines: in.Lines, HoldID: id})
			wantCodes(t, err, "NOT_FOUND:input.holdId")
		}
		_, err = s.Holds.Release(ctx, bob, id)
		wantCodes(t, err, "NOT_FOUND:input.id")
		for v, want := range map[commerce.Viewer]int{alice: 1, bob: 0, admin: 1} {
			found, err := s.Holds.GetAll(ctx, v, []string{id, id + " ", "hold_0"})
			must(t, err)
			if len(found) != want {
				t.Errorf("%s sees %d holds", v.UserID, len(found))
			}
		}
		for range 2 {
			h, err := s.Holds.Release(ctx, alice, id)
			must(t, err)
			if h.Status != hold.StatusRELEASED {
				t.Errorf("a released hold is %s", h.Status)
			}
		}
		s.wantStock(t, a, 3)
		s.wantStock(t, b, 10)
		s.wantHolds(t, alice, 0)
		_, err = s.Holds.Extend(ctx, alice, id, ttl)
		wantCodes(t, err, "INVALID_STATE:input.id")
		again, err := s.Holds.Create(ctx, alice, in) // a repeat holds nothing anew
		must(t, err)
		if again.Hold.Status != hold.StatusRELEASED || !again.Meta.Replayed {
			t.Errorf("the repeat is told of %s, replayed %v", again.Hold.Status, again.Meta.Replayed)
		}
		s.wantStock(t, a, 3)
		s.audit(t)
	})
}

// What is wrong with a hold is told by its field, and nothing is held.
func TestHoldRefusals(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	a, gone := s.product(t, 1000, 3), s.product(t, 1000, 3)
	_, err := s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: gone})
	must(t, err)
	one := commerce.Line{ProductID: a, Quantity: 1}
	for name, test := range map[string]struct {
		lines []commerce.Line
		ttl   time.Duration
		want  []string
	}{
		"nothing":      {nil, ttl, []string{"INVALID_INPUT:input.lines"}},
		"none of it":   {[]commerce.Line{{ProductID: a}}, ttl, []string{"INVALID_INPUT:input.lines.0.quantity"}},
		"no product":   {[]commerce.Line{one, {ProductID: "prod_0", Quantity: 1}}, ttl, []string{"NOT_FOUND:input.lines.1.productId"}},
		"off sale":     {[]commerce.Line{{ProductID: gone, Quantity: 1}}, ttl, []string{"NOT_FOUND:input.lines.0.productId"}},
		"no time":      {[]commerce.Line{one}, 0, []string{"INVALID_INPUT:input.ttlSeconds"}},
		"past":         {[]commerce.Line{one}, -time.Hour, []string{"INVALID_INPUT:input.ttlSeconds"}},
		"far too long": {[]commerce.Line{one}, 31 * time.Minute, []string{"INVALID_INPUT:input.ttlSeconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Holds.Create(ctx, alice, commerce.CreateHold{Key: uuid.New(), Lines: test.lines, TTL: test.ttl})
			wantCodes(t, err, test.want...)
		})
	}
	s.wantStock(t, a, 3)
	h := s.hold(t, alice, a, 1)
	s.clock.advance(3 * time.Minute)
	deadline := func(extension time.Duration) time.Time {
		t.Helper()
		row, err := s.Holds.Extend(ctx, alice, h.ID, extension)
		must(t, err)
		return row.ExpiresAt.UTC()
	}
	for range 2 {
		if got, want := deadline(10*time.Minute), s.clock.Now().Add(10*time.Minute); !got.Equal(want) {
			t.Errorf("extended to %s, want %s", got, want)
		}
	}
	if got, want := deadline(time.Minute), s.clock.Now().Add(10*time.Minute); !got.Equal(want) {
		t.Errorf("a shorter extension moves the deadline to %s, want %s", got, want)
	}
	for _, wrong := range []time.Duration{0, 28 * time.Minute} { // 30 minutes in all
		_, err = s.Holds.Extend(ctx, alice, h.ID, wrong)
		wantCodes(t, err, "INVALID_INPUT:input.ttlSeconds")
	}
	deadline(27 * time.Minute)
	s.clock.advance(27 * time.Minute)
	_, err = s.Holds.Extend(ctx, alice, h.ID, time.Second)
	wantCodes(t, err, "INVALID_STATE:input.id")
	_, err = s.takeOver(t, alice, h)
	wantCodes(t, err, "INVALID_STATE:input.holdId")
	released, err := s.Holds.Release(ctx, admin, h.ID) // nobody has ended it yet
	must(t, err)
	if released.Status != hold.StatusRELEASED {
		t.Errorf("an administrator releases it to %s", released.Status)
	}
	s.wantStock(t, a, 3)
	s.audit(t)
}

// TestHoldsAreBounded: of 64 holds at once as many begin as a customer may have. Each that ends makes room for one.
func TestHoldsAreBounded(t *testing.T) {
	const most = 4
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 1000)
		var refused atomic.Int64
		held := make(chan *ent.Hold, 64)
		together(64, func(int) {
			result, err := s.tryHold(t, alice, commerce.Line{ProductID: a, Quantity: 1})
			if err == nil {
				held <- result.Hold
				return
			}
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.TooManyHolds || !errs[0].Retryable {
				t.Errorf("refused with %v", err)
			}
			refused.Add(1)
		})
		if len(held) != most || refused.Load() != 64-most {
			t.Fatalf("%d of 64 are held and %d refused, want %d held", len(held), refused.Load(), most)
		}
		s.wantStock(t, a, 1000-most)
		s.wantHolds(t, alice, most)
		s.hold(t, bob, a, 1)
		full := func() {
			t.Helper()
			s.hold(t, alice, a, 1)
			_, err := s.tryHold(t, alice, commerce.Line{ProductID: a, Quantity: 1})
			wantCodes(t, err, "TOO_MANY_HOLDS")
		}
		_, err := s.Holds.Release(t.Context(), alice, (<-held).ID)
		must(t, err)
		full()
		_, err = s.takeOver(t, alice, <-held)
		must(t, err)
		full()
		s.clock.advance(ttl)
		_, _, err = s.Holds.ExpireOverdue(t.Context(), expiryLimit)
		must(t, err)
		s.wantHolds(t, alice, 0)
		s.wantStock(t, a, 999) // one is ordered
		s.audit(t)
	}, func(cfg *config.Config) { cfg.Shop.MaxHolds = most })
}

// A hold whose deadline has passed ends once, however many instances end it. One that was extended stays.
func TestHoldsExpire(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		over, stays := s.hold(t, alice, a, 2), s.hold(t, alice, a, 3)
		s.clock.advance(ttl - time.Second)
		_, err := s.Holds.Extend(t.Context(), alice, stays.ID, ttl)
		must(t, err)
		if done, failed, err := s.Holds.ExpireOverdue(t.Context(), expiryLimit); err != nil || done+failed > 0 {
			t.Errorf("%d have ended and %d not before their deadline, %v", done, failed, err)
		}
		s.clock.advance(time.Second)
		together(4, func(int) { // of four instances
			if _, _, err := s.Holds.ExpireOverdue(t.Context(), expiryLimit); err != nil {
				t.Error(err)
			}
		})
		s.wantHold(t, over.ID, hold.StatusEXPIRED)
		s.wantHold(t, stays.ID, hold.StatusACTIVE)
		s.wantStock(t, a, 7)
		s.wantHolds(t, alice, 1)
		if n := len(s.entriesOf(t, lockprovider.StockKey(a))); n != 3 {
			t.Errorf("%d entries of the stock, want one for each hold and one for its end", n)
		}
		_, err = s.Holds.Release(t.Context(), alice, over.ID)
		wantCodes(t, err, "INVALID_STATE:input.id")
		s.clock.advance(ttl)
		_, _, err = s.Holds.ExpireOverdue(t.Context(), expiryLimit)
		must(t, err)
		s.wantHold(t, stays.ID, hold.StatusEXPIRED)
		s.wantStock(t, a, 10)
		s.audit(t)
	})
}

// An order takes a hold over, with exactly its lines, and no other stock. What is cancelled then is for sale again.
func TestAnOrderTakesAHoldOver(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		a, b := s.product(t, 1000, 2), s.product(t, 500, 5)
		s.points(t, alice, 10_000)
		lines := []commerce.Line{{ProductID: a, Quantity: 2}, {ProductID: b, Quantity: 1}}
		made, err := s.tryHold(t, alice, lines...)
		must(t, err)
		h := made.Hold
		for name, wrong := range map[string][]commerce.Line{
			"fewer": lines[:1], "less": {{ProductID: a, Quantity: 1}, lines[1]}, "more": {lines[0], {ProductID: b, Quantity: 2}},
		} {
			_, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: wrong, HoldID: h.ID})
			if !isCode(err, commerce.InvalidInput) {
				t.Errorf("an order of %s than is held: %v", name, err)
			}
		}
		s.wantHold(t, h.ID, hold.StatusACTIVE)
		in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{lines[1], lines[0]}, HoldID: h.ID, Payment: byPoints()}
		var placed string
		for i := range 3 {
			result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(ctx, alice, in) })
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
			if placed == "" {
				placed = result.Order.ID
			}
			if result.Order.ID != placed || result.Order.TotalMinor != 2500 || result.Meta.Replayed != (i > 0) {
				t.Errorf("placed %s for %d, replayed %v", result.Order.ID, result.Order.TotalMinor, result.Meta.Replayed)
			}
			if i == 1 {
				s.clock.advance(ttl) // long after its deadline, a repeat is one
			}
		}
		if row := s.wantHold(t, h.ID, hold.StatusCONSUMED); row.OrderID == nil || *row.OrderID != placed {
			t.Errorf("the hold has the order %v, want %s", row.OrderID, placed)
		}
		s.wantStock(t, a, 0)
		s.wantStock(t, b, 4)
		s.wantPoints(t, alice, 7500)
		s.wantHolds(t, alice, 0)
		_, err = s.takeOver(t, alice, h)
		wantCodes(t, err, "INVALID_STATE:input.holdId")
		_, err = s.Holds.Release(ctx, alice, h.ID)
		wantCodes(t, err, "INVALID_STATE:input.id")
		_, _, err = s.Holds.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		s.wantStock(t, a, 0)
		_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed})
		must(t, err)
		s.wantStock(t, a, 2)
		s.wantStock(t, b, 5)
		s.wantPoints(t, alice, 10_000)
		s.audit(t)
	})
}

// The order of a cart takes a hold over as any other. A hold that has ended leaves the cart as it was.
func TestACheckoutTakesAHoldOver(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		a := s.product(t, 1000, 2)
		two := commerce.Line{ProductID: a, Quantity: 2}
		c, ended := s.cart(t, alice, two), s.hold(t, alice, a, 2)
		s.clock.advance(ttl)
		_, _, err := s.Holds.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		h := s.hold(t, alice, a, 2)
		checkout := func(holdID string) (commerce.OrderResult, error) {
			return untilSettled(t, func() (commerce.OrderResult, error) {
				return s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID, HoldID: holdID})
			})
		}
		_, err = checkout(ended.ID)
		wantCodes(t, err, "INVALID_STATE:input.holdId")
		_, err = s.Carts.UpdateLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{{ProductID: a, Quantity: 1}}})
		must(t, err)
		_, err = checkout(h.ID)
		wantCodes(t, err, "INVALID_INPUT:input.cartId")
		_, err = s.Carts.UpdateLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{two}})
		must(t, err)
		result, err := checkout(h.ID)
		must(t, err)
		s.wantHold(t, h.ID, hold.StatusCONSUMED)
		if got := s.wantCart(t, alice, c.ID, two); got.OrderID != result.Order.ID {
			t.Errorf("the cart has the order %q", got.OrderID)
		}
		s.wantStock(t, a, 0)
		s.audit(t)
	})
}

// Many orders, releases, extensions and an expiry of one hold come at the same time: it ends once, as it says, and who was told of
// success was told the truth.
func TestAHoldEndsOnce(t *testing.T) { everyStrategy(t, testAHoldEndsOnce) }

// The same on servers, where requests do run at the same time.
func TestAHoldEndsOnceOnServers(t *testing.T) { everyStrategyOnServers(t, testAHoldEndsOnce) }

func testAHoldEndsOnce(t *testing.T, s *shop) {
	const rounds = 12
	ctx := t.Context()
	a := s.product(t, 1000, 100)
	sold := int64(0)
	outcomes := map[hold.Status]int{}
	for round := range rounds {
		h := s.hold(t, alice, a, 1)
		second := s.hold(t, alice, a, 1) // so that the count of the holds refuses nothing
		var mu sync.Mutex
		orders, released := map[string]bool{}, 0
		racers := []func(){func() {
			if round%3 == 0 {
				s.clock.advance(ttl)
			}
			if _, _, err := s.Holds.ExpireOverdue(ctx, expiryLimit); err != nil {
				t.Error(err)
			}
		}}
		for range 4 {
			racers = append(racers, func() {
				result, err := s.takeOver(t, alice, h)
				if err != nil {
					if !isCode(err, commerce.InvalidState) {
						t.Errorf("order: %v", err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				orders[result.Order.ID] = true
			}, func() {
				if round%3 == 1 {
					return
				}
				_, err := untilSettled(t, func() (*ent.Hold, error) { return s.Holds.Release(ctx, alice, h.ID) })
				if err != nil {
					if !isCode(err, commerce.InvalidState) {
						t.Errorf("release: %v", err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				released++
			}, func() {
				if _, err := s.Holds.Extend(ctx, alice, h.ID, ttl); err != nil && !isCode(err, commerce.InvalidState) {
					t.Errorf("extend: %v", err)
				}
			})
		}
		together(len(racers), func(i int) { racers[i]() })
		s.clock.advance(time.Hour) // after all extensions, and pauses
		_, _, err := s.Holds.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		s.settle(t)
		row, err := s.db.Ent.Hold.Get(ctx, h.ID)
		must(t, err)
		outcomes[row.Status]++
		told := map[hold.Status]bool{hold.StatusCONSUMED: len(orders) == 1 && released == 0, hold.StatusRELEASED: len(orders) == 0 && released > 0, hold.StatusEXPIRED: len(orders)+released == 0}
		if !told[row.Status] {
			t.Errorf("round %d: the hold is %s; %d orders were told as placed, and %d releases as made", round, row.Status, len(orders), released)
		}
		if row.Status == hold.StatusCONSUMED {
			sold++
			if row.OrderID == nil || !orders[*row.OrderID] {
				t.Errorf("round %d: the order %v has it, and told is %v", round, row.OrderID, orders)
			}
		}
		s.wantHold(t, second.ID, hold.StatusEXPIRED)
		s.wantStock(t, a, 100-sold)
		s.wantHolds(t, alice, 0)
	}
	t.Logf("outcomes: %v", outcomes)
	placed, err := s.db.Ent.Order.Query().Count(ctx)
	must(t, err)
	if int64(placed) != sold {
		t.Errorf("%d orders, of %d holds that were taken over", placed, sold)
	}
	s.audit(t)
}

// What is held counts against the limit of the customer, once: the order that takes the hold over counts the same units, in the period
// of the hold, and what has ended does not count.
func TestHoldsCountAgainstLimits(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
			SKU: uuid.NewString(), Name: "Rare", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 100,
			Limit: &commerce.PurchaseLimit{Quantity: 3, Hours: 1},
		})
		must(t, err)
		a := row.ID
		counted := func(want int64) {
			t.Helper()
			s.settle(t)
			rows, err := s.db.Ent.Balance.Query().All(t.Context())
			must(t, err)
			sum := int64(0)
			for _, b := range rows {
				if owner, ok := lockprovider.CountOf(b.ID); ok && owner.VariantID == lockprovider.FirstVariantID(a) {
					sum += b.Amount
				}
			}
			if sum != want {
				t.Errorf("%d units are counted, want %d", sum, want)
			}
			s.compareCounts(t, 0)
		}
		h := s.hold(t, alice, a, 2)
		counted(2)
		_, err = s.order(t, alice, a, 2)
		wantCodes(t, err, "PURCHASE_LIMIT")
		_, err = s.tryHold(t, alice, commerce.Line{ProductID: a, Quantity: 2})
		wantCodes(t, err, "PURCHASE_LIMIT:input.lines.0.quantity")
		placed, err := s.takeOver(t, alice, h)
		must(t, err)
		counted(2)
		released := s.hold(t, alice, a, 1)
		counted(3)
		_, err = s.Holds.Release(t.Context(), alice, released.ID)
		must(t, err)
		counted(2)
		s.clock.advance(time.Hour) // in the next period, what is given back is that of the period of the hold
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
		must(t, err)
		counted(0)
		s.wantStock(t, a, 100)
		s.audit(t)
	})
}

// compareCounts runs the comparison of counts once, and wants so many differences.
func (s *shop) compareCounts(t testing.TB, want int) {
	t.Helper()
	found := 0
	for _, step := range []func(context.Context, string, int) (commerce.LimitStep, error){
		s.LimitDrifts.CompareReported, s.LimitDrifts.CompareUnsettled, s.LimitDrifts.CompareHolds, s.LimitDrifts.CompareCounts,
	} {
		for after, more := "", true; more; more = after != "" {
			done, err := step(t.Context(), after, 2)
			must(t, err)
			for _, err := range done.Failed {
				t.Error(err)
			}
			found += len(done.Found)
			after = done.Continues
		}
	}
	if found != want {
		t.Errorf("%d counts differ, want %d", found, want)
	}
}

// Counts of holds that are wrong are corrected by the holds, whether they say too much or too little.
func TestCountsOfHoldsAreCorrected(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua} {
			t.Run(string(strategy), func(t *testing.T) {
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, clients.EmbeddedRedis)
				row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
					SKU: uuid.NewString(), Name: "Rare", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 100,
					Limit: &commerce.PurchaseLimit{Quantity: 50},
				})
				must(t, err)
				customer := commerce.Viewer{UserID: "holds-" + string(strategy), Name: "Counted"}
				first := s.hold(t, customer, row.ID, 2)
				s.hold(t, customer, row.ID, 3)
				_, err = s.takeOver(t, customer, first)
				must(t, err)
				s.settle(t)
				s.compareCounts(t, 0)
				holds, units := lockprovider.HoldsKey(customer.UserID), lockprovider.BuyerKey(row.ID, customer.UserID, "")
				for _, wrong := range []int64{4, -1} {
					must(t, s.db.Ent.Balance.UpdateOneID(holds).AddAmount(wrong).Exec(t.Context()))
					must(t, s.db.Ent.Balance.UpdateOneID(units).AddAmount(wrong).Exec(t.Context()))
					s.compareCounts(t, 2)
					s.settle(t)
					for key, want := range map[string]int64{holds: 1, units: 5} {
						if got := s.db.Ent.Balance.GetX(t.Context(), key).Amount; got != want {
							t.Errorf("%s is %d, want %d", key, got, want)
						}
					}
					s.compareCounts(t, 0)
				}
			})
		}
	})
}

// The loop of an instance ends holds at their deadline, whoever has made them, and not before.
func TestHoldsEndByThemselves(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	a := s.product(t, 1000, 300)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Holds.Run(ctx, slog.New(slog.DiscardHandler)) })
	defer running.Wait()
	defer stop()
	left := func() int64 {
		stock, err := s.Catalog.Stock(t.Context(), []string{a})
		must(t, err)
		return stock[a].Amount
	}
	h, later := s.hold(t, alice, a, 2), s.hold(t, alice, a, 5)
	_, err := s.Holds.Extend(t.Context(), alice, later.ID, 2*ttl)
	must(t, err)
	s.clock.advance(ttl)
	until(t, "one hold ended", func() bool { return left() == 295 })
	s.wantHold(t, h.ID, hold.StatusEXPIRED)
	s.wantHold(t, later.ID, hold.StatusACTIVE)
	s.clock.advance(ttl)
	until(t, "both holds ended", func() bool { return left() == 300 })
	s.audit(t)
}

// A hold that cannot be ended, since the stock has no room for it, keeps no other waiting. It ends when there is room.
func TestAHoldThatCannotEndHoldsUpNobody(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	full, a := s.product(t, 1000, 1), s.product(t, 1000, 10)
	stuck := s.hold(t, alice, full, 1)
	s.clock.advance(time.Second)
	other := s.hold(t, alice, a, 1)
	must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(full)).SetCeiling(0).Exec(t.Context()))
	s.clock.advance(ttl)
	for range 3 { // one at a time
		_, _, err := s.Holds.ExpireOverdue(t.Context(), 1)
		must(t, err)
	}
	s.wantHold(t, other.ID, hold.StatusEXPIRED)
	if row := s.wantHold(t, stuck.ID, hold.StatusACTIVE); row.Attempts != 1 || row.LastError == "" {
		t.Errorf("after %d attempts it notes %q", row.Attempts, row.LastError)
	}
	_, err := s.Holds.Release(t.Context(), alice, stuck.ID)
	wantCodes(t, err, "UNAVAILABLE:input.id")
	must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(full)).SetCeiling(5).Exec(t.Context()))
	s.nextAttempt()
	_, _, err = s.Holds.ExpireOverdue(t.Context(), expiryLimit)
	must(t, err)
	s.wantHold(t, stuck.ID, hold.StatusEXPIRED)
	s.wantStock(t, full, 1)
	s.audit(t)
}

// An order that comes by ticket takes a hold over when it is served. If the hold has ended by then, the ticket says so.
func TestATicketTakesAHoldOver(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 2)
	h := s.hold(t, alice, a, 2)
	enter := func() error {
		in := commerce.PlaceOrder{Key: uuid.New(), HoldID: h.ID, NoWait: true, Lines: []commerce.Line{{ProductID: a, Quantity: 2}}}
		result, err := s.Orders.Place(t.Context(), alice, in)
		for deadline := time.Now().Add(longEnough); err == nil && result.Ticket.Status != commerce.TicketDone; {
			if time.Now().After(deadline) {
				t.Fatalf("the ticket is %+v after %s", result.Ticket, longEnough)
			}
			result, err = s.Orders.Ticket(t.Context(), alice, result.Ticket.ID)
		}
		return err
	}
	must(t, enter())
	s.wantHold(t, h.ID, hold.StatusCONSUMED)
	wantCodes(t, enter(), "INVALID_STATE:input.holdId")
	s.wantStock(t, a, 0)
	s.audit(t)
}
