package commerce_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
)

// TestListsFromBothEnds reads each list of a customer forwards and backwards, on every database. The clock stands still: what is sorted by
// time is sorted by its ID.
func TestListsFromBothEnds(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		thing, from, to := s.product(t, 100, 100), s.account(t, alice, 1000), s.account(t, bob, 0)
		coupon := s.coupon(t, commerce.CreateCoupon{Quota: 100, PerUserLimit: 100})
		const n = 7
		for range n {
			_, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: thing, Quantity: 1}}})
			must(t, err)
			s.issue(t, alice, coupon)
			s.account(t, alice, 0)
			s.coupon(t, commerce.CreateCoupon{})
			_, err = s.Accounts.Transfer(ctx, alice, commerce.Transfer{Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 1, Currency: "USD"}})
			must(t, err)
			_, err = s.Points.Adjust(ctx, admin, commerce.AdjustPoints{Key: uuid.New(), UserID: alice.UserID, Delta: 1, Reason: "test"})
			must(t, err)
		}
		s.settle(t)
		for _, size := range []int{1, 2, 3, n, 100} {
			lists := map[string][]string{
				"orders": bothWays(t, "orders", size, func(o *ent.Order) string { return o.ID }, func(p commerce.Page) (commerce.PageOf[*ent.Order], error) {
					return s.Orders.List(ctx, alice, commerce.OrderQuery{Page: p})
				}),
				"accounts": bothWays(t, "accounts", size, func(a *ent.Account) string { return a.ID }, func(p commerce.Page) (commerce.PageOf[*ent.Account], error) {
					return s.Accounts.List(ctx, alice, p)
				}),
				"coupon issues": bothWays(t, "coupon issues", size, func(i *ent.CouponIssue) string { return i.ID }, func(p commerce.Page) (commerce.PageOf[*ent.CouponIssue], error) {
					return s.Coupons.Held(ctx, alice, p)
				}),
				"coupons": bothWays(t, "coupons", size, func(c *ent.Coupon) string { return c.ID }, func(p commerce.Page) (commerce.PageOf[*ent.Coupon], error) {
					return s.Coupons.List(ctx, alice, p)
				}),
				"an account": bothWays(t, "an account", size, entryID, func(p commerce.Page) (commerce.PageOf[*ent.Entry], error) {
					return s.Accounts.Entries(ctx, alice, from, p)
				}),
				"a wallet": bothWays(t, "a wallet", size, entryID, func(p commerce.Page) (commerce.PageOf[*ent.Entry], error) {
					return s.Points.Entries(ctx, alice, alice.UserID, commerce.EntryFilter{}, p)
				}),
				"adjustments": bothWays(t, "adjustments", size, func(a *ent.Adjustment) string { return fmt.Sprint(a.ID) }, func(p commerce.Page) (commerce.PageOf[*ent.Adjustment], error) {
					return s.Adjustments.List(ctx, admin, p)
				}),
			}
			for name, ids := range lists {
				if unique := slices.Compact(slices.Sorted(slices.Values(ids))); len(ids) < n || len(unique) != len(ids) {
					t.Errorf("%s in pages of %d: %d items, %d of them different, want %d or more", name, size, len(ids), len(unique), n)
				}
			}
		}
	})
}

func entryID(e *ent.Entry) string { return fmt.Sprint(e.ID) }
