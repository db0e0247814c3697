package commerce_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/lockprovider"
)

// miscount has a balance count delta more than there is, as after a defect: the journal knows of it.
func (s *shop) miscount(t *testing.T, key string, delta int64) {
	t.Helper()
	open := lockprovider.Bounds{Ceiling: lockprovider.MaxAmount}
	_, err := untilSettled(t, func() (lockprovider.Receipt, error) {
		return s.opened.Providers.For(lockprovider.Stock).Execute(t.Context(), lockprovider.Change{
			ID: uuid.New(), Family: lockprovider.Stock, Confirm: true,
			Moves: []lockprovider.Move{{Balance: key, Delta: delta, Open: &open}},
			Record: lockprovider.Record{
				Kind: commerce.KindLimitCorrected, Fingerprint: "a defect", Payload: []byte(`{"userId":"alice","delta":1,"at":"2030-01-01T12:00:00Z"}`),
			},
		})
	})
	must(t, err)
}

// compareLimits goes through all balances by pages of two.
func (s *shop) compareLimits(t *testing.T) (all commerce.LimitStep) {
	t.Helper()
	s.settle(t)
	for _, compare := range []func(after string) (commerce.LimitStep, error){
		func(after string) (commerce.LimitStep, error) {
			return s.LimitDrifts.CompareReported(t.Context(), after, 2)
		},
		func(after string) (commerce.LimitStep, error) {
			return s.LimitDrifts.CompareCounts(t.Context(), after, 2)
		},
		func(after string) (commerce.LimitStep, error) {
			return s.LimitDrifts.CompareUnsettled(t.Context(), after, 2)
		},
	} {
		for after, first := "", true; first || after != ""; first = false {
			done, err := compare(after)
			must(t, err)
			all.Compared += done.Compared
			all.Reopened += done.Reopened
			all.Found = append(all.Found, done.Found...)
			all.Failed = append(all.Failed, done.Failed...)
			after = done.Continues
		}
	}
	s.settle(t)
	return all
}

// wantCounts asserts what a balance counts.
func (s *shop) wantCounts(t *testing.T, key string, want int64) {
	t.Helper()
	row, err := orNone(s.db.Ent.Balance.Get(t.Context(), key))
	must(t, err)
	if got := row.Amount; got != want {
		t.Errorf("%s counts %d, want %d", key, got, want)
	}
}

func orNone(row *ent.Balance, err error) (*ent.Balance, error) {
	if ent.IsNotFound(err) {
		return &ent.Balance{}, nil
	}
	return row, err
}

// TestALeakedCountIsCorrected: a balance that counts more than there is would lock its customer out
// for ever, and one that counts less keeps an order from being given back. The job corrects both,
// once, and leaves alone what is right.
func TestALeakedCountIsCorrected(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.limited(t, commerce.PurchaseLimit{Quantity: 3, Hours: 24})
		id, err := s.order(t, alice, a, 1)
		must(t, err)
		_, err = s.order(t, bob, a, 2)
		must(t, err)
		s.settle(t)
		row, err := s.db.Ent.OrderLine.Query().Where(orderline.OrderID(id)).Only(t.Context())
		must(t, err)
		pending, bought := lockprovider.PendingKey(alice.UserID), *row.LimitBalance
		if found := s.compareLimits(t); len(found.Found) > 0 || found.Compared < 4 {
			t.Errorf("of counts that are right, %d are compared and %v found", found.Compared, found.Found)
		}
		s.miscount(t, bought, 2)
		s.wantLimit(t, alice, a, 1, 0)
		s.miscount(t, pending, 1)
		_, err = s.order(t, alice, s.product(t, 1000, 1), 1)
		wantCodes(t, err, "TOO_MANY_PENDING_ORDERS")
		if found := s.compareLimits(t); len(found.Found) != 2 {
			t.Errorf("found %v, want the two counts that are wrong", found.Found)
		}
		s.wantCounts(t, pending, 1)
		s.wantCounts(t, bought, 1)
		_, err = s.order(t, alice, a, 1)
		must(t, err)

		s.miscount(t, pending, -2)
		s.miscount(t, bought, -2)
		if found := s.compareLimits(t); len(found.Found) != 2 {
			t.Errorf("found %v, want the two counts that are too low", found.Found)
		}
		s.wantCounts(t, pending, 2)
		s.wantCounts(t, bought, 2)
		if found := s.compareLimits(t); len(found.Found) > 0 {
			t.Errorf("after that found %v", found.Found)
		}
		if n, err := s.LimitDrifts.Drifting(t.Context()); err != nil || n != 0 {
			t.Errorf("%d counts are not corrected (%v)", n, err)
		}
		s.clock.advance(time.Hour)
		s.expire(t, 3)
		s.wantCounts(t, pending, 0)
		s.wantCounts(t, bought, 0)
		s.audit(t)
	}, maxPending(2))
}

// TestCountsAreCorrectedOnce: two instances compare a wrong count at the same time, while its customer orders and cancels. That is no
// difference, and the correction is made once.
func TestCountsAreCorrectedOnce(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		for _, strategy := range []lockprovider.Strategy{lockprovider.AtomicSQL, lockprovider.Optimistic, lockprovider.Lua} {
			t.Run(string(strategy), func(t *testing.T) {
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, clients.EmbeddedRedis, maxPending(1000))
				customer := commerce.Viewer{UserID: "counted-" + string(strategy), Name: "Counted"}
				a := s.product(t, 1000, 1000)
				_, err := s.order(t, customer, a, 1)
				must(t, err)
				s.settle(t)
				key := lockprovider.PendingKey(customer.UserID)
				s.miscount(t, key, 5)
				s.settle(t)
				var racers sync.WaitGroup
				for i := range 4 {
					racers.Go(func() {
						for range 5 {
							if i < 2 {
								if _, err := s.LimitDrifts.CompareCounts(t.Context(), "", 1000); err != nil {
									t.Error(err)
								}
								continue
							}
							id, err := s.order(t, customer, a, 1)
							if err == nil && i == 3 {
								_, err = untilSettled(t, func() (commerce.OrderResult, error) {
									return s.Orders.Cancel(t.Context(), customer, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
								})
							}
							if err != nil {
								t.Error(err)
							}
						}
					})
				}
				racers.Wait()
				s.settle(t)
				s.wantCounts(t, key, 6)
				n, err := s.db.Ent.LimitDrift.Query().Count(t.Context())
				must(t, err)
				if n != 1 {
					t.Errorf("%d differences were found, want 1", n)
				}
				must(t, s.db.Ent.LimitDrift.Update().SetCorrected(false).Exec(t.Context())) // as if the run had been cut off after its change
				s.compareLimits(t)
				if n, err := s.LimitDrifts.Drifting(t.Context()); err != nil || n != 0 {
					t.Errorf("%d counts are said to be wrong (%v)", n, err)
				}
				s.miscount(t, key, 5)
				s.compareLimits(t)
				s.wantCounts(t, key, 6)
				_, err = s.db.Ent.LimitDrift.Delete().Exec(t.Context())
				must(t, err)
				s.audit(t)
			})
		}
	})
}

// TestASettledOrderThatIsStillCounted: nobody would release it, since it is settled. The job has the job expire do so.
func TestASettledOrderThatIsStillCounted(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		id, err := s.order(t, alice, s.product(t, 1000, 10), 1)
		must(t, err)
		s.settle(t)
		must(t, s.db.Ent.Order.UpdateOneID(id).SetStatus(order.StatusPAID).SetSettled(true).Exec(t.Context()))
		s.expire(t, 0)
		s.wantPending(t, alice, 1)
		if found := s.compareLimits(t); found.Reopened != 1 || len(found.Found) > 0 {
			t.Errorf("%d orders are looked at again, and %v found, want 1 and none", found.Reopened, found.Found)
		}
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusPAID, true)
		s.wantPending(t, alice, 0)
	}, maxPending(2))
}

// TestCountsOfPeriodsThatHaveEnded are not compared: they bound nothing.
func TestCountsOfPeriodsThatHaveEnded(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.limited(t, commerce.PurchaseLimit{Quantity: 3, Hours: 24})
	id, err := s.order(t, alice, a, 1)
	must(t, err)
	s.points(t, alice, 1000)
	_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
	must(t, err)
	for _, want := range []int{1, 1, 0} {
		if found := s.compareLimits(t); found.Compared != want {
			t.Errorf("%d counts are compared, want %d", found.Compared, want)
		}
		s.clock.advance(13*time.Hour - time.Minute) // the period ends at midnight
	}
}

// TestACountThatIsWrongInTheDatabase only, since somebody has written to it there, is corrected there. Where Redis is right it stays so.
func TestACountThatIsWrongInTheDatabase(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 10)
		for range 3 {
			_, err := s.order(t, alice, a, 1)
			must(t, err)
		}
		key := lockprovider.PendingKey(alice.UserID)
		for _, delta := range []int64{4, -2} {
			s.settle(t)
			must(t, s.db.Ent.Balance.UpdateOneID(key).AddAmount(delta).Exec(t.Context()))
			if found := s.compareLimits(t); len(found.Found) != 1 || len(found.Failed) > 0 {
				t.Errorf("found %v and failed %v, want one count that is corrected", found.Found, found.Failed)
			}
			s.wantCounts(t, key, 3)
			store, ok := lockprovider.As[lockprovider.Reconciler](s.opened.Providers.For(lockprovider.Stock))
			if !ok {
				continue
			}
			if active, err := store.Active(t.Context()); err != nil || !active {
				must(t, err)
				continue
			}
			levels, err := store.Levels(t.Context(), []string{key})
			must(t, err)
			if levels[key].Amount != 3 {
				t.Errorf("Redis counts %d, want 3", levels[key].Amount)
			}
		}
	}, maxPending(100))
}

// TestACountThatCannotBeCorrected holds up no other, is reported once, and corrected when that is possible.
func TestACountThatCannotBeCorrected(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, "sqlite://:memory:", clients.EmbeddedRedis, maxPending(100))
	a := s.product(t, 1000, 10)
	for _, v := range []commerce.Viewer{alice, alice, bob, bob} {
		_, err := s.order(t, v, a, 1)
		must(t, err)
	}
	refused, wrong := lockprovider.PendingKey(alice.UserID), lockprovider.PendingKey(bob.UserID) // in this order
	must(t, s.db.Ent.Balance.UpdateOneID(refused).SetAmount(1).SetCeiling(1).Exec(t.Context()))
	must(t, s.db.Ent.Balance.UpdateOneID(wrong).SetAmount(1).Exec(t.Context()))
	if found := s.compareLimits(t); len(found.Found) != 2 || len(found.Failed) == 0 {
		t.Errorf("found %v and failed %v, want both and one", found.Found, found.Failed)
	}
	s.wantCounts(t, refused, 1)
	s.wantCounts(t, wrong, 2)
	if found := s.compareLimits(t); len(found.Found) > 0 || len(found.Failed) == 0 {
		t.Errorf("found %v and failed %v, want none that is new, and one", found.Found, found.Failed)
	}
	if n, err := s.LimitDrifts.Drifting(t.Context()); err != nil || n != 1 {
		t.Errorf("%d counts are not corrected (%v), want 1", n, err)
	}
	must(t, s.db.Ent.Balance.UpdateOneID(refused).SetCeiling(lockprovider.MaxAmount).Exec(t.Context()))
	if found := s.compareLimits(t); len(found.Found) > 0 || len(found.Failed) > 0 {
		t.Errorf("found %v and failed %v, want none that is new, and none", found.Found, found.Failed)
	}
	s.wantCounts(t, refused, 2)
	if n, err := s.LimitDrifts.Drifting(t.Context()); err != nil || n != 0 {
		t.Errorf("%d counts are not corrected (%v)", n, err)
	}
}

// TestACountOfSettledOrdersThatIsTooLow: nothing is to be done for the order any more. The count is found by its row, also if it is 0.
func TestACountOfSettledOrdersThatIsTooLow(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.limited(t, commerce.PurchaseLimit{Quantity: 3})
		id, err := s.order(t, alice, a, 2)
		must(t, err)
		s.points(t, alice, 10_000)
		_, err = untilSettled(t, func() (commerce.OrderResult, error) {
			return s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		})
		must(t, err)
		s.settle(t)
		key := lockprovider.BuyerKey(a, alice.UserID, "")
		s.wantCounts(t, key, 2)
		s.miscount(t, key, -2)
		if found := s.compareLimits(t); len(found.Found) != 1 || len(found.Failed) > 0 {
			t.Errorf("found %v and failed %v, want one count that is corrected", found.Found, found.Failed)
		}
		s.wantCounts(t, key, 2)
		s.audit(t)
	})
}

// TestAMissingCountIsReportedOnce, by whichever of several instances, on each database.
func TestAMissingCountIsReportedOnce(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis, maxPending(100))
		a := s.product(t, 1000, 100)
		for range 10 {
			_, err := s.order(t, alice, a, 1)
			must(t, err)
			key := lockprovider.PendingKey(alice.UserID)
			must(t, s.db.Ent.Balance.DeleteOneID(key).Exec(t.Context()))
			_, err = s.db.Ent.LimitDrift.Delete().Exec(t.Context())
			must(t, err)
			together(8, func(int) {
				done, err := s.LimitDrifts.CompareUnsettled(t.Context(), "", 100)
				if err != nil || len(done.Failed) > 0 {
					t.Error(err, done.Failed)
				}
			})
			n, err := s.db.Ent.LimitDrift.Query().Count(t.Context())
			must(t, err)
			if n != 1 {
				t.Errorf("%d reports of one count, want 1", n)
			}
			orders, err := s.db.Ent.Order.Query().Count(t.Context())
			must(t, err)
			s.wantCounts(t, key, int64(orders))
		}
	})
}

// TestCountsOfManyLines: a page of orders with more lines than a statement takes parameters is compared.
func TestCountsOfManyLines(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a, now := s.product(t, 1000, 1), s.clock.Now()
	_, err := s.order(t, alice, a, 1) // so that there is a customer
	must(t, err)
	const orders, each = 700, 50 // 35,000 lines
	for i := range orders {
		id := fmt.Sprintf("order_many%d", i)
		must(t, s.db.Ent.Order.Create().SetID(id).SetUserID(alice.UserID).SetStatus(order.StatusEXPIRED).SetCurrency("USD").
			SetSubtotalMinor(0).SetDiscountMinor(0).SetTotalMinor(0).SetExpiresAt(now).SetNextAttemptAt(now).SetCreatedAt(now).SetUpdatedAt(now).Exec(t.Context()))
		lines := make([]*ent.OrderLineCreate, each)
		for j := range lines {
			lines[j] = s.db.Ent.OrderLine.Create().SetOrderID(id).SetProductID(a).SetVariantID(lockprovider.FirstVariantID(a)).SetPosition(j).SetQuantity(1).SetUnitPriceMinor(0).
				SetLimitBalance(lockprovider.BuyerKey(fmt.Sprintf("p%d-%d", i, j), alice.UserID, ""))
		}
		must(t, s.db.Ent.OrderLine.CreateBulk(lines...).Exec(t.Context()))
	}
	done, err := s.LimitDrifts.CompareUnsettled(t.Context(), "", 5000)
	must(t, err)
	if done.Compared < orders*each || len(done.Found)+len(done.Failed) > 0 {
		t.Errorf("%d counts are compared, %d found and %d failed, want %d or more, and none", done.Compared, len(done.Found), len(done.Failed), orders*each)
	}
}
