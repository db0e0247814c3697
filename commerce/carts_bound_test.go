package commerce_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/lockprovider"
)

// A customer who has more open carts than the shop allows loses the one that was not changed for longest, however the newest became the
// customer's. Carts that were checked out do not count, nor do those of others.
func TestOpenCartsAreBounded(t *testing.T) {
	const most = 3
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Shop.MaxCarts = most })
		ctx, a := t.Context(), s.product(t, 1000, 10)
		carl := commerce.Viewer{UserID: "carl-" + uuid.NewString(), Name: "Carl"}
		line := commerce.Line{ProductID: a, Quantity: 1}
		made := func(v commerce.Viewer) string {
			t.Helper()
			s.clock.advance(time.Second)
			return s.cart(t, v, line).ID
		}
		bobs, anybodys := made(bob), made(guest)
		ordered := made(carl)
		placed, err := s.Carts.Checkout(ctx, carl, commerce.CheckoutCart{Key: uuid.New(), CartID: ordered})
		must(t, err)
		first, second, third := made(carl), made(carl), made(carl)
		s.clock.advance(time.Second)
		_, err = s.Carts.AddLines(ctx, carl, commerce.ChangeCart{CartID: first, Lines: []commerce.Line{line}})
		must(t, err)
		fourth := made(carl)
		s.wantNoCart(t, carl, second)
		s.clock.advance(time.Second)
		_, err = s.Carts.Claim(ctx, carl, commerce.ChangeCart{CartID: anybodys})
		must(t, err)
		s.wantNoCart(t, carl, third)
		s.wantCart(t, carl, first, commerce.Line{ProductID: a, Quantity: 2})
		for _, id := range []string{fourth, anybodys} {
			s.wantCart(t, carl, id, line)
		}
		if c := s.wantCart(t, carl, ordered, line); c.OrderID != placed.Order.ID {
			t.Errorf("the cart that was checked out has the order %q", c.OrderID)
		}
		s.wantCart(t, bob, bobs, line)

		together(16, func(int) { // all of the same moment
			if _, err := s.Carts.Create(ctx, carl, []commerce.Line{line}); err != nil {
				t.Error(err)
			}
		})
		last := made(carl)
		s.wantCart(t, carl, last, line)
		open := 0
		for _, row := range s.db.Ent.Cart.Query().AllX(ctx) {
			if row.UserID != nil && *row.UserID == carl.UserID && row.OrderID == nil {
				open++
			}
		}
		if open != most {
			t.Errorf("%d carts are open, want %d", open, most)
		}
	})
}
