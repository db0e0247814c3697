package e2e

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/lockprovider"
)

// TestACartIsOneOrderThroughKill9 checks out the cart of a guest many times at the same moment, and kills the server as soon as the
// first of them is answered. The others are repeated at two instances: the cart is one order, which is paid once.
func TestACartIsOneOrderThroughKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills some servers")
	}
	for name, strategies := range map[string][]string{"locks": nil, "lua": all(lockprovider.Lua), "queue": all(lockprovider.Queue)} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s := openPostgres(t)
			const rounds, many, price, stock = 2, 24, 700, 100
			args := slices.Concat(strategies, set("payment.latency=3ms", "locks.stock.lease=1s", "locks.points.lease=1s"))
			browser := browser(t)
			server := boot(t, s.production(), args...)
			root, ann := signIn(t, browser, "root", true, server), signIn(t, browser, "ann", false, server)
			product := root.product(t, price, stock)
			ann.do(t, "chargePoints", charge(rounds*price))
			for round := range rounds {
				guest := user{http: browser}.at(server)
				cart := guest.do(t, "cartCreate", object{"lines": []object{{"productId": product, "quantity": 1}}}).Cart.ID
				requests := make([]object, many)
				var killed atomic.Bool
				var kill sync.Once
				together(t, many, func(i int) error {
					requests[i] = object{"idempotencyKey": key(), "cartId": cart, "payment": object{"method": "POINTS"}}
					p, err := ann.ask(bounded(t), 0, "cartCheckout", requests[i])
					if pending := p.code() == "INVALID_STATE" && p.Order != nil && p.Order.Status == "PENDING"; err == nil && p.code() != "" && !pending {
						t.Errorf("refused: %v", p.UserErrors)
					}
					kill.Do(func() {
						killed.Store(true)
						server.signal(syscall.SIGKILL)
					})
					if killed.Load() {
						return nil
					}
					return err
				})
				if code := server.wait(); code != -1 {
					t.Fatalf("exit code %d: the server ended by itself", code)
				}
				server = start(t, s.production(), serveArgs(args)...)
				other := start(t, s.production(), serveArgs(args)...)
				ann, root = ann.at(server.ready(), other.ready()), root.at(server)
				answers := make([]payload, many)
				together(t, many, func(i int) (err error) {
					ctx := bounded(t)
					for err == nil && ctx.Err() == nil {
						answers[i], err = ann.ask(ctx, i, "cartCheckout", requests[i])
						if p := answers[i]; p.code() != "INVALID_STATE" || p.Order == nil || p.Order.Status != "PENDING" {
							break // else the request that placed the order has not repeated its payment yet
						}
					}
					return err
				})
				for _, p := range answers {
					if p.code() != "" || p.Order == nil || p.Order.ID != answers[0].Order.ID {
						t.Fatalf("answers %+v and %+v", answers[0], p)
					}
				}
				again := ann.do(t, "cartCheckout", requests[0])
				wantEqual(t, "the status of the order", again.Order.Status, "PAID")
				wantEqual(t, "the order of the cart", again.Cart.Order.ID, answers[0].Order.ID)
				wantEqual(t, "stock", root.stock(t, product), int64(stock-round-1))
				wantEqual(t, "points", ann.points(t), int64((rounds-round-1)*price))
				other.stop()
				ann = ann.at(server)
			}
			server.stop()
			s.audit(t)
		})
	}
}
