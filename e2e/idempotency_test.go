package e2e

import (
	"encoding/json"
	"testing"
)

// TestThousandRepeats sends one request a thousand times at the same moment, half of them to each of two instances.
// It has one effect, and all get the same answer. A repeat after a restart gets that answer too.
func TestThousandRepeats(t *testing.T) {
	if testing.Short() {
		t.Skip("sends some thousand requests")
	}
	noLeaks(t)
	s := openPostgres(t)
	const repeats = 1000
	// A strategy of each kind: in Redis, by a lock, without one. All wait for as long as it takes.
	settings := set("locks.stock.provider=lua", "locks.coupons.provider=pubsub", "locks.points.provider=optimistic",
		"locks.accounts.provider=rowlock", "locks.coupons.wait=1m", "locks.coupons.lease=10s", "locks.accounts.wait=1m",
		"pipeline.persistWait=1m", "http.requestTimeout=3m")
	one, two := start(t, s.production(), serveArgs(settings)...), start(t, s.production(), serveArgs(settings)...)
	browser := browser(t)
	root, ann := signIn(t, browser, "root", true, one.ready(), two.ready()), signIn(t, browser, "ann", false, one, two)
	product, coupon := root.product(t, 100, repeats), root.coupon(t, repeats, repeats)
	from, to := root.account(t, "ann", repeats), root.account(t, "ben", 0)

	requests := map[string]object{
		"chargePoints": charge(1000), "issueCoupon": take(coupon), "transfer": move(from, to, 1), "placeOrder": buy(product, 1, "POINTS"),
	}
	answers := map[string]string{}
	for _, operation := range []string{"chargePoints", "issueCoupon", "transfer", "placeOrder"} { // an order needs the points
		got, ctx := make([]payload, repeats), bounded(t)
		together(t, repeats, func(i int) (err error) {
			got[i], err = ann.ask(ctx, i, operation, requests[operation])
			return err
		})
		firsts := 0
		for _, p := range got {
			if !p.Meta.Replayed {
				firsts++
			}
			if answers[operation] == "" {
				answers[operation] = said(t, p)
			} else if again := said(t, p); again != answers[operation] {
				t.Fatalf("%s: %s, but to another %s", operation, answers[operation], again)
			}
		}
		if code := got[0].code(); code != "" || firsts > 1 { // none if the first one was told to try again
			t.Errorf("%s: code %q, %d were told to be the first", operation, code, firsts)
		}
	}
	one.stop()
	two.stop()

	three := boot(t, s.production(), settings...)
	root, ann = root.at(three), ann.at(three)
	for operation, input := range requests {
		p := ann.do(t, operation, input)
		wantEqual(t, operation+": replayed after the restart", p.Meta.Replayed, true)
		if operation != "chargePoints" { // whose wallet has paid for the order since
			wantEqual(t, operation+" after the restart", said(t, p), answers[operation])
		}
	}
	wantEqual(t, "stock", root.stock(t, product), repeats-1)
	wantEqual(t, "issued", root.issued(t, coupon), 1)
	wantEqual(t, "points", ann.points(t), 1000-100)
	wantEqual(t, "from", ann.balance(t, from), repeats-1)
	wantEqual(t, "to", root.balance(t, to), 1)
	three.stop()
	s.audit(t)
}

// said is an answer without how it came about.
func said(t *testing.T, p payload) string {
	t.Helper()
	p.Meta = payload{}.Meta
	text, err := json.Marshal(p)
	must(t, err)
	return string(text)
}
