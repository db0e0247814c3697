package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// TestServer shops at the real program, over HTTP, with tokens that it printed itself, on every kind of stores.
func TestServer(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			noLeaks(t)
			s := kind.open(t)
			env := s.production()
			if kind.name == "sqlite" { // what `go run .` does, with nothing configured
				env = s.development()
			}
			server := boot(t, env)
			browser := browser(t)
			signIn := func(args ...string) user {
				token := strings.TrimSpace(command(t, env, append([]string{"token"}, args...)...))
				return user{http: browser, token: token}.at(server)
			}
			root, alice := signIn("--user", "root", "--admin"), signIn("--user", "ann")
			shopping(t, root, alice, "ann")

			for _, path := range []string{"/livez", "/readyz", "/"} {
				status, _ := get(t, browser, server.url+path)
				wantEqual(t, path, status, http.StatusOK)
			}
			status, _ := get(t, browser, server.admin+"/metrics")
			wantEqual(t, "/metrics of admin.listen", status, http.StatusOK)
			server.stop()
			s.audit(t)
			if s.redis != clients.EmbeddedRedis {
				s.noLocksLeft(t)
			}
		})
	}
}

// shopping makes each of the four mutations, twice with the same key.
func shopping(t *testing.T, root, alice user, name string) {
	t.Helper()
	product, coupon := root.product(t, 250, 10), root.coupon(t, 10, 1)
	from, to := root.account(t, name, 1000), root.account(t, "ben", 0)

	twice := func(operation, strategy string, input object) payload {
		t.Helper()
		first, again := alice.do(t, operation, input), alice.do(t, operation, input)
		wantEqual(t, operation+": strategy", first.Meta.Strategy, strategy)
		wantEqual(t, operation+": replayed at first", first.Meta.Replayed, false)
		wantEqual(t, operation+": replayed again", again.Meta.Replayed, true)
		wantEqual(t, operation+" again", again.object(), first.object())
		return first
	}
	charged := twice("chargePoints", "REDSYNC", charge(1000))
	wantEqual(t, "wallet", charged.Wallet.Balance, 1000)

	issued := twice("issueCoupon", "PUBSUB", take(coupon))
	wantEqual(t, "issued", issued.Coupon.Issued, 1)

	order := buy(product, 2, "POINTS")
	order["couponIssueId"] = issued.CouponIssue.ID
	bought := twice("placeOrder", "PUBSUB", order)
	wantEqual(t, "order", bought.Order.Status, "PAID")
	wantEqual(t, "payment", bought.Order.Payment.Status, "CAPTURED")
	wantEqual(t, "wallet after the order", bought.Wallet.Balance, 1000-(2*250-50))

	moved := twice("transfer", "REDSYNC", move(from, to, 300))
	wantEqual(t, "account", moved.FromAccount.Balance.AmountMinor, 700)

	wantEqual(t, "stock in the end", root.stock(t, product), 8)
	wantEqual(t, "issued in the end", root.issued(t, coupon), 1)
	wantEqual(t, "points in the end", alice.points(t), 550)
	wantEqual(t, "from in the end", root.balance(t, from), 700)
	wantEqual(t, "to in the end", root.balance(t, to), 300)
}

// TestShutdownLetsRequestsFinish stops a server under load: each request that is being served gets an answer, and no
// lock stays behind.
func TestShutdownLetsRequestsFinish(t *testing.T) {
	noLeaks(t)
	s := stores{database: sqliteFile(t), redis: testenv.Redis(t).URL}
	browser := browser(t)
	server := boot(t, s.production(), set("payment.latency=400ms")...)
	root, alice := signIn(t, browser, "root", true, server), signIn(t, browser, "alice", false, server)
	product := root.product(t, 250, 10)

	// Charges of one wallet, one after another, until the server is gone. Which of the last ones were done is unknown.
	const chargers = 8
	var lost [chargers][]object
	var done [chargers]int64
	var charging sync.WaitGroup
	var begun sync.WaitGroup
	begun.Add(chargers)
	for i := range chargers {
		charging.Go(func() {
			first := sync.OnceFunc(begun.Done)
			defer first()
			for {
				input := charge(10)
				if _, err := alice.ask(t.Context(), 0, "chargePoints", input); err != nil {
					lost[i] = append(lost[i], input)
					return
				}
				done[i]++
				first()
			}
		})
	}
	begun.Wait()

	// An order that waits for the payment gateway.
	answered := make(chan error, 1)
	order := buy(product, 1, "CARD")
	go func() {
		p, err := alice.ask(t.Context(), 0, "placeOrder", order)
		if err == nil && (p.code() != "" || p.Order.Status != "PAID") {
			err = fmt.Errorf("%+v, %v", p.Order, p.UserErrors)
		}
		answered <- err
	}()
	eventually(t, "the order is being paid", func() bool { return root.stock(t, product) == 9 })

	server.signal(syscall.SIGTERM)
	server.logged("stopping: requests in flight finish")
	if err := testenv.Receive(t, answered, "the order in flight"); err != nil {
		t.Errorf("the order in flight: %v", err)
	}
	if code := server.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	charging.Wait()
	s.noLocksLeft(t)

	var sum int64
	alice = alice.at(boot(t, s.production()))
	for i := range chargers {
		sum += 10 * (done[i] + int64(len(lost[i])))
		for _, input := range lost[i] {
			alice.do(t, "chargePoints", input)
		}
	}
	wantEqual(t, "points", alice.points(t), sum)
	if again := alice.do(t, "placeOrder", order); !again.Meta.Replayed || again.Order.Status != "PAID" {
		t.Errorf("after the restart the order is %+v, %+v", again.Order, again.Meta)
	}
	s.audit(t)
}

// TestShutdownIsBounded stops a server while a slow payment gateway works on an order. The order is cut off: its client is told
// to repeat it. When the client does, the order goes on from where it was.
func TestShutdownIsBounded(t *testing.T) {
	noLeaks(t)
	s := openSQLite(t)
	browser := browser(t)
	server := boot(t, s.production(), set("payment.latency=1m", "payment.timeout=2m", "http.shutdownTimeout=50ms")...)
	root, alice := signIn(t, browser, "root", true, server), signIn(t, browser, "alice", false, server)
	product := root.product(t, 250, 10)

	answered := make(chan error, 1)
	order := buy(product, 1, "CARD")
	go func() {
		p, busy, err := alice.try(t.Context(), alice.servers[0], "placeOrder", order)
		if err == nil && !busy {
			err = fmt.Errorf("%+v, %v", p.Order, p.UserErrors)
		}
		answered <- err
	}()
	eventually(t, "the order is being paid", func() bool { return root.stock(t, product) == 9 })

	server.signal(syscall.SIGTERM)
	wantEqual(t, "exit code", server.wait(), exitFailed)
	server.logged("requests were cut off after 50ms")
	if err := testenv.Receive(t, answered, "the order in flight"); err != nil {
		t.Errorf("the order in flight was not told to be repeated: %v", err)
	}

	alice = alice.at(boot(t, s.production()))
	again := alice.do(t, "placeOrder", order)
	wantEqual(t, "order", again.Order.Status, "PAID")
	wantEqual(t, "replayed", again.Meta.Replayed, true)
	wantEqual(t, "stock", alice.stock(t, product), 9)
	s.audit(t)
}

// TestRedisThatEvictsIsRefused: lua and queue keep changes there that are nowhere else, and Redis would drop them
// without a word.
func TestRedisThatEvictsIsRefused(t *testing.T) {
	noLeaks(t)
	server := testenv.Redis(t, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
	s := stores{database: sqliteFile(t), redis: server.URL}
	one := func(strategy lockprovider.Strategy) []string {
		return append(all(lockprovider.RowLock), set("locks.accounts.provider="+string(strategy))...)
	}
	for _, strategy := range []lockprovider.Strategy{lockprovider.Lua, lockprovider.Queue} {
		refused := start(t, s.production(), serveArgs(one(strategy))...)
		wantEqual(t, "exit code", refused.wait(), exitFailed)
		for _, part := range []string{"ACCOUNTS", string(strategy), "maxmemory-policy allkeys-lru", "set it to noeviction"} {
			if !strings.Contains(refused.stderr.String(), part) {
				t.Errorf("the refusal does not name %s: %s", part, refused.stderr.String())
			}
		}
	}
	boot(t, s.production(), one(lockprovider.PubSub)...).stop() // a lock that is lost is noticed

	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(server.URL)})
	must(t, err)
	defer redis.Close()
	must(t, redis.Client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	told := boot(t, s.production(), append(one(lockprovider.Lua), "--takeover")...)
	told.stop()
	if log := told.stderr.String(); strings.Contains(log, "maxmemory") {
		t.Errorf("a Redis that does not evict is complained about: %s", log)
	}
	must(t, redis.Client.Do(t.Context(), "ACL", "SETUSER", "default", "-config").Err())
	warned := boot(t, s.production(), one(lockprovider.Lua)...)
	warned.logged("make sure that maxmemory-policy is noeviction")
	warned.stop()
}

func get(t *testing.T, browser *http.Client, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	resp, err := browser.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(raw)
}
