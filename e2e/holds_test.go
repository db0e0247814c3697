package e2e

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/ent/hold"
	"holdfast/ent/order"
	"holdfast/lockprovider"
)

// TestHoldsThroughKill9 kills the server among many requests that make holds, and then among many that take them over or release
// them. What is repeated after that is what was asked for, once. A hold whose server is dead ends at its deadline all the same.
func TestHoldsThroughKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills some servers")
	}
	for name, strategies := range map[string][]string{"locks": nil, "lua": all(lockprovider.Lua), "queue": all(lockprovider.Queue)} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s := openPostgres(t)
			const many, price, stock = 24, 700, 100
			args := slices.Concat(strategies, set("payment.latency=3ms", "locks.stock.lease=1s", "locks.points.lease=1s", "shop.maxHolds=100"))
			browser := browser(t)
			server := boot(t, s.production(), args...)
			root, ann := signIn(t, browser, "root", true, server), signIn(t, browser, "ann", false, server)
			product := root.product(t, price, stock)
			ann.do(t, "chargePoints", charge(many*price))
			lines := []object{{"productId": product, "quantity": 1}}

			// killed asks for all at the same moment, kills the server when the first is answered, and asks again at two instances.
			killed := func(ask func(i int) (operation string, input object)) []payload {
				t.Helper()
				var dead atomic.Bool
				var kill sync.Once
				together(t, many, func(i int) error {
					operation, input := ask(i)
					p, err := ann.ask(bounded(t), 0, operation, input)
					if err == nil && p.code() != "" {
						t.Errorf("%s is refused: %v", operation, p.UserErrors)
					}
					kill.Do(func() {
						dead.Store(true)
						server.signal(syscall.SIGKILL)
					})
					if dead.Load() {
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
					operation, input := ask(i)
					answers[i], err = ann.ask(bounded(t), i, operation, input)
					if err == nil && answers[i].code() != "" {
						t.Errorf("the repeat of %s is refused: %v", operation, answers[i].UserErrors)
					}
					return err
				})
				other.stop()
				ann = ann.at(server)
				return answers
			}

			requests := make([]object, many)
			for i := range requests {
				requests[i] = object{"idempotencyKey": key(), "lines": lines, "ttlSeconds": 1700}
			}
			holds := killed(func(i int) (string, object) { return "holdCreate", requests[i] })
			wantEqual(t, "stock beside all holds", root.stock(t, product), int64(stock-many))
			for i := range requests {
				requests[i] = object{"id": holds[i].Hold.ID}
				if i%2 == 0 {
					requests[i] = object{"idempotencyKey": key(), "lines": lines, "holdId": holds[i].Hold.ID, "payment": object{"method": "POINTS"}}
				}
			}
			for i, p := range killed(func(i int) (string, object) { return []string{"placeOrder", "holdRelease"}[i%2], requests[i] }) {
				if i%2 == 0 && (p.Order == nil || p.Order.Status != "PAID") || i%2 == 1 && (p.Hold == nil || p.Hold.Status != "RELEASED") {
					t.Errorf("answer %d is %+v", i, p)
				}
			}
			wantEqual(t, "stock", root.stock(t, product), int64(stock-many/2))
			wantEqual(t, "points", ann.points(t), int64(many/2*price))

			last := ann.do(t, "holdCreate", object{"idempotencyKey": key(), "lines": []object{{"productId": product, "quantity": 5}}, "ttlSeconds": 1}).Hold.ID
			server.signal(syscall.SIGKILL)
			server.wait()
			server = boot(t, s.production(), args...)
			root = root.at(server)
			eventually(t, "what was held is for sale again", func() bool { return root.stock(t, product) == stock-many/2 })
			server.stop()
			s.audit(t)
			db := s.open(t).Ent
			wantEqual(t, "the status of the last hold", db.Hold.GetX(t.Context(), last).Status, hold.StatusEXPIRED)
			wantEqual(t, "holds that are counted", db.Balance.GetX(t.Context(), lockprovider.HoldsKey("ann")).Amount, 0)
			wantEqual(t, "paid orders", db.Order.Query().Where(order.StatusEQ(order.StatusPAID)).CountX(t.Context()), many/2)
		})
	}
}
