package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/lockprovider"
	"holdfast/payments"
	"holdfast/payments/stripe"
	"holdfast/payments/stripe/stripetest"
)

// TestCampaignPaymentKills kills the server before and after each effect of a payment: a statement that writes, a commit, a call of the gateway. The effects
// of a scenario are counted by a proxy in front of PostgreSQL and by a Stripe of the tests; the k-th kills the server, for k = 1, 2, … until a run has
// no k-th. The server is started again, events of Stripe are delivered 0, 1 or 3 times, in both orders, before and after the order has expired, and the
// jobs run. Then the books must be right. The short form has a sample of the points, of which it prints the seed. In the long form with
// atomicsql each commit and each call of a payment, and of one that expires, meets all deliveries: other statements are rolled back, so that their points
// leave behind what the commit before them did.
func TestCampaignPaymentKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for _, strategy := range []lockprovider.Strategy{lockprovider.AtomicSQL, lockprovider.Lua} {
		for _, name := range slices.Sorted(maps.Keys(paymentScenarios)) {
			if !longCampaign() && (strategy != lockprovider.AtomicSQL || name != "pay" && dice.IntN(len(paymentScenarios)) > 0) {
				continue
			}
			t.Run(string(strategy)+"/"+name, func(t *testing.T) {
				first, step := 1, 1
				if !longCampaign() {
					step = 9 // at about three points of a scenario
					first += dice.IntN(step)
				}
				k := newPaymentKills(t, strategy)
				every := longCampaign() && strategy == lockprovider.AtomicSQL && (name == "pay" || name == "expire")
				k.sweep(t, paymentScenarios[name], first, step, every)
			})
		}
	}
}

// paymentKills is a shop that takes payments by Stripe and is killed.
type paymentKills struct {
	stores
	*killer
	stripe       *stripetest.Server
	db           *clients.Database
	raw          *sql.DB // the same
	server       *process
	root, alice  user
	product      string
	args         []string
	env          []string
	captureEarly bool         // the negative control
	early        atomic.Int64 // captures before the order was confirmed
	uncovered    int          // captures that a killed server has left without an order
	points       map[string]int
}

// sweep kills the server at every step-th effect of a scenario from the first on. After each effect that lasts the events come in one way, or in every.
func (k *paymentKills) sweep(t *testing.T, scenario paymentScenario, first, step int, every bool) {
	t.Helper()
	hits, turn := 0, 0
	for n := first; ; n += step {
		for _, after := range []bool{false, true} {
			for range deliveries {
				d := deliveries[turn%len(deliveries)]
				turn++
				hit := k.run(t, scenario, n, after, d)
				if t.Failed() {
					t.Fatalf("killed at effect %d (%s), after it: %v, %+v", n, k.what(), after, d)
				}
				if hit {
					hits++
				}
				if !every || !lasting.MatchString(k.what()) {
					break
				}
			}
		}
		if !k.wasHit() {
			break
		}
	}
	if longCampaign() && hits < 6 {
		t.Errorf("killed %d times only", hits)
	}
	t.Logf("killed %d times", hits)
	for what, n := range k.points {
		t.Logf("%4d × %s", n, what)
	}
	k.server.stop()
	k.audit(t)
}

// delivery is how the events of Stripe come after a crash.
type delivery struct {
	expired   bool // after the order has expired
	times     int
	backwards bool
}

var deliveries = []delivery{
	{false, 1, false},
	{true, 0, false},
	{false, 3, true},
	{true, 1, true},
	{false, 0, false},
	{true, 3, false},
	{false, 1, true},
	{true, 1, false},
	{false, 3, false},
	{true, 3, true},
}

// lasting are the effects that are not undone by a crash.
var lasting = regexp.MustCompile("^(commit|stripe )|, alone$")

// TestCampaignPaymentKillsFindsEarlyCaptures is the negative control: a payment that is captured when it is authorized is found, at the call and, if
// the server is killed before the order is confirmed, in the books.
func TestCampaignPaymentKillsFindsEarlyCaptures(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	k := newPaymentKills(t, lockprovider.AtomicSQL)
	k.captureEarly = true
	for n := 1; k.uncovered == 0; n += 2 {
		if !k.run(t, paymentScenarios["pay"], n, false, delivery{times: 1}) {
			t.Error("no capture without an order was found in the books")
			break
		}
	}
	k.server.stop()
	if k.early.Load() == 0 {
		t.Error("a capture before the confirmation of its order was not found at the call")
	}
}

const killStock = 100_000

func newPaymentKills(t *testing.T, strategy lockprovider.Strategy) *paymentKills {
	t.Helper()
	s := openPostgres(t)
	k := &paymentKills{stores: s, stripe: stripetest.New(t), db: s.open(t), points: map[string]int{}}
	raw, err := sql.Open("pgx", s.database)
	must(t, err)
	t.Cleanup(func() { must(t, raw.Close()) })
	k.raw = raw
	k.killer = newKiller(t, s.database)
	k.stripe.Fault = k.gatewayCall
	through := s
	through.database = k.url
	k.env = append(through.production(), "HOLDFAST_PAYMENT_STRIPE_SECRET_KEY="+stripetest.SecretKey,
		"HOLDFAST_PAYMENT_STRIPE_WEBHOOK_SECRET="+stripetest.WebhookSecret)
	k.args = slices.Concat(all(strategy), set("payment.gateway=stripe", "payment.stripe.url="+k.stripe.URL,
		"payment.timeout=2s", "shop.maxPending=1000", "jobs.expire=200ms", "jobs.sweep=1s", "jobs.sweepAfter=1s"))
	k.boot(t)
	b := browser(t)
	k.root, k.alice = signIn(t, b, "root", true, k.server), signIn(t, b, "alice", false, k.server)
	k.product = k.root.product(t, 1000, killStock)
	return k
}

func (k *paymentKills) boot(t *testing.T) {
	t.Helper()
	k.server = boot(t, k.env, k.args...)
	k.kill = func() { k.server.signal(syscall.SIGKILL) }
	k.root, k.alice = k.root.at(k.server), k.alice.at(k.server)
}

// gatewayCall counts the calls of Stripe that change something, and sees that nothing is captured before its order is confirmed.
func (k *paymentKills) gatewayCall(call string) stripetest.Fault {
	if !strings.HasPrefix(call, "POST ") {
		return stripetest.None
	}
	if id, found := strings.CutSuffix(strings.TrimPrefix(call, "POST /v1/payment_intents/"), "/capture"); found && !k.confirmed(id) {
		k.early.Add(1)
	}
	switch k.effect("stripe " + unnumbered.ReplaceAllString(call, "_…")) {
	case killBefore:
		k.kill()
		return stripetest.Unreached
	case killAfter:
		k.kill()
		return stripetest.LostAnswer
	}
	return stripetest.None
}

var unnumbered = regexp.MustCompile(`_\d+`)

// confirmed reports whether the database says that the payment of an attempt is authorized, and is about to be captured.
func (k *paymentKills) confirmed(reference string) bool {
	a, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.Reference(reference)).WithOrder(func(q *ent.OrderQuery) { q.WithPayment() }).
		Only(k.ctx)
	if err != nil || a.Status != paymentattempt.StatusCAPTURING && a.Status != paymentattempt.StatusUNKNOWN {
		return false
	}
	return a.OrderID == nil || a.Edges.Order.Edges.Payment != nil
}

// paymentScenario is what is done while effects are counted. It returns at the first request that has no answer.
type paymentScenario struct {
	prepare func(k *paymentKills, t *testing.T) string           // before; it returns the order, or ""
	do      func(k *paymentKills, t *testing.T, id string) error // its effects count
}

var paymentScenarios = map[string]paymentScenario{
	"pay": {(*paymentKills).place, (*paymentKills).pay},
	"expire": {(*paymentKills).place, func(k *paymentKills, t *testing.T, id string) error {
		in := payCardOf(id)
		if _, err := k.once("payOrder", in); err != nil {
			return err
		}
		k.confirm(t, id)
		k.expire(t, id)
		return k.ended(t, id)
	}},
	"refund": {(*paymentKills).paid, func(k *paymentKills, _ *testing.T, id string) error {
		_, err := k.once("refundCreate", object{
			"idempotencyKey": key(), "orderId": id, "reason": "test", "amount": object{"amountMinor": "300", "currency": "USD"},
		})
		return err
	}},
	"return": {(*paymentKills).paid, func(k *paymentKills, _ *testing.T, id string) error {
		if _, err := k.once("orderFulfil", object{"idempotencyKey": key(), "orderId": id}); err != nil {
			return err
		}
		_, err := k.once("returnCreate", object{
			"idempotencyKey": key(), "orderId": id, "reason": "test", "restock": true, "refund": true,
			"lines": []object{{"productId": k.product, "quantity": 1}},
		})
		return err
	}},
	"topup": {func(*paymentKills, *testing.T) string { return "" }, func(k *paymentKills, t *testing.T, _ string) error {
		in := charge(500)
		if _, err := k.once("chargePoints", in); err != nil {
			return err
		}
		k.confirm(t, "")
		_, err := k.once("chargePoints", in)
		return err
	}},
}

func payCardOf(id string) object {
	return object{"idempotencyKey": key(), "orderId": id, "payment": object{"method": "CARD"}}
}

func (k *paymentKills) place(t *testing.T) string {
	in := buy(k.product, 2, "CARD")
	delete(in, "payment")
	return k.alice.do(t, "placeOrder", in).object()
}

func (k *paymentKills) pay(t *testing.T, id string) error {
	in := payCardOf(id)
	if _, err := k.once("payOrder", in); err != nil {
		return err
	}
	k.confirm(t, id)
	_, err := k.once("payOrder", in)
	return err
}

func (k *paymentKills) paid(t *testing.T) string {
	id := k.place(t)
	must(t, k.pay(t, id))
	return id
}

// once sends a mutation once: the customer does not repeat it after the crash. What was begun, the jobs go on with.
func (k *paymentKills) once(operation string, input object) (payload, error) {
	who := k.alice
	if strings.HasPrefix(operation, "re") || operation == "orderFulfil" {
		who = k.root
	}
	p, _, err := who.try(k.ctx, k.server.url, operation, input)
	return p, err
}

// confirm is what the browser of the customer does, if it knows the payment: of an order, or the last one of points.
func (k *paymentKills) confirm(t *testing.T, orderID string) {
	query := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.StatusEQ(paymentattempt.StatusREQUIRES_ACTION))
	if orderID != "" {
		query.Where(paymentattempt.OrderID(orderID))
	} else {
		query.Where(paymentattempt.PointsNotNil())
	}
	rows, err := query.All(t.Context())
	must(t, err)
	gateway := stripe.New(stripe.Settings{SecretKey: stripetest.SecretKey, URL: setting.URL(k.stripe.URL)})
	for _, a := range rows {
		ref := payments.Ref{Attempt: a.ID, Reference: a.Reference}
		now, err := gateway.Lookup(t.Context(), ref)
		must(t, err)
		if now.State != payments.StateRequiresAction { // confirmed, or cancelled, before the shop could note it
			continue
		}
		k.stripe.Confirm(t, a.ClientSecret, stripetest.Visa)
		if k.captureEarly {
			_, err := gateway.Capture(t.Context(), ref, payments.Amount{Minor: a.AmountMinor, Currency: a.Currency})
			must(t, err)
		}
	}
}

// expire has the reservation of an order end, if it still waits; or the time of purchases of points that wait for their customer.
func (k *paymentKills) expire(t *testing.T, id string) {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	var err error
	if id != "" {
		_, err = k.raw.ExecContext(t.Context(), "UPDATE orders SET expires_at = $1, next_attempt_at = $1 WHERE id = $2 AND status = 'PENDING'", past, id)
	} else {
		_, err = k.raw.ExecContext(t.Context(), "UPDATE payment_attempts SET created_at = $1 WHERE points IS NOT NULL AND look_at IS NOT NULL", past)
	}
	must(t, err)
}

// ended waits until nothing is to be done for an order, or the server was killed.
func (k *paymentKills) ended(t *testing.T, id string) error {
	ctx := t.Context()
	eventually(t, "nothing is to be done for "+id, func() bool {
		if k.wasHit() && k.armed() {
			return true
		}
		owed, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.LookAtNotNil()).Exist(ctx)
		must(t, err)
		back, err := k.db.Ent.Refund.Query().Where(refund.LookAtNotNil()).Exist(ctx)
		must(t, err)
		open, err := k.db.Ent.Order.Query().Where(order.Or(order.Settled(false), order.StatusEQ(order.StatusPENDING))).Exist(ctx)
		must(t, err)
		return !owed && !back && !open
	})
	return nil
}

// run does a scenario and kills the server at the n-th effect, before or after it. It returns whether there was one.
func (k *paymentKills) run(t *testing.T, s paymentScenario, n int, after bool, d delivery) bool {
	t.Helper()
	seen := len(k.stripe.Events())
	k.ctx = bounded(t)
	id := s.prepare(k, t)
	k.arm(n, after)
	err := s.do(k, t, id)
	hit := k.disarm()
	switch {
	case hit:
		k.points[k.what()]++
		if code := k.server.wait(); code != -1 {
			t.Fatalf("exit code %d: the server ended by itself", code)
		}
		k.covered(t)
		// The claims of its jobs end by themselves, after 30 seconds.
		_, err := k.raw.ExecContext(t.Context(), "UPDATE scheduler_jobs SET held_until = NULL")
		must(t, err)
		k.boot(t)
	case err != nil:
		t.Fatal(err)
	}
	if d.expired {
		k.expire(t, id)
	}
	k.deliver(t, seen, d.times, d.backwards)
	if !d.expired {
		k.confirm(t, id)
		k.deliver(t, seen, d.times, d.backwards)
	}
	k.expire(t, id)
	must(t, k.ended(t, id))
	k.check(t)
	k.deliver(t, seen, 3, !d.backwards) // repeats, and those that never came
	must(t, k.ended(t, id))
	k.check(t)
	return hit
}

// deliver sends the events of Stripe from the n-th on.
func (k *paymentKills) deliver(t *testing.T, from, times int, backwards bool) {
	t.Helper()
	events := k.stripe.Events()[from:]
	if backwards {
		slices.Reverse(events)
	}
	for _, e := range events {
		for range times {
			req, err := http.NewRequestWithContext(k.ctx, http.MethodPost, k.server.url+"/webhooks/stripe", bytes.NewReader(e.Body))
			must(t, err)
			req.Header = stripetest.Sign(e.Body, stripetest.WebhookSecret, time.Now())
			resp, err := k.alice.http.Do(req)
			must(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s is answered %s", e.Type, resp.Status)
			}
		}
	}
}

// covered sees, while no server runs, that what Stripe has captured belongs to a payment that the database has confirmed.
func (k *paymentKills) covered(t *testing.T) {
	t.Helper()
	for id := range k.stripe.Captured() {
		a, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.Reference(id)).WithOrder(func(q *ent.OrderQuery) { q.WithPayment() }).Only(t.Context())
		if err == nil && (a.OrderID == nil || a.Edges.Order.Edges.Payment != nil) {
			continue
		}
		k.uncovered++
		if !k.captureEarly {
			t.Errorf("captured without a confirmed order: %s (%v)", id, err)
		}
	}
}

// check compares the money and the goods of the whole shop.
func (k *paymentKills) check(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var kept, sold int64
	orders, err := k.db.Ent.Order.Query().WithPayment().WithLines().WithPaymentAttempts().All(ctx)
	must(t, err)
	for _, row := range orders {
		captured := 0
		for _, a := range row.Edges.PaymentAttempts {
			if a.Status == paymentattempt.StatusCAPTURED || a.Status == paymentattempt.StatusREFUNDED && row.Status == order.StatusPAID {
				captured++
			}
		}
		made := row.Edges.Payment
		switch {
		case row.Status == order.StatusPAID:
			if captured != 1 || made == nil || made.Status != payment.StatusCAPTURED && made.Status != payment.StatusREFUNDED {
				t.Errorf("paid order without a capture: %s has %d captured attempts, and the payment %v", row.ID, captured, made)
				continue
			}
			kept += made.AmountMinor - made.RefundedMinor
			for _, l := range row.Edges.Lines {
				sold += l.Quantity
			}
		case captured > 0:
			t.Errorf("capture without an order: %s is %s", row.ID, row.Status)
		}
	}
	topups, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.PointsNotNil(), paymentattempt.CreditedAtNotNil()).All(ctx)
	must(t, err)
	var points int64
	for _, a := range topups {
		kept, points = kept+a.AmountMinor, points+*a.Points
	}
	returned, err := k.db.Ent.Refund.Query().Where(refund.RestockedAtNotNil()).WithLines().All(ctx)
	must(t, err)
	for _, f := range returned {
		for _, l := range f.Edges.Lines {
			sold -= l.Quantity
		}
	}
	wantEqual(t, "captured at Stripe and not refunded", k.stripe.Taken(), kept)
	wantEqual(t, "stock", k.root.stock(t, k.product), killStock-sold)
	eventually(t, "no order is counted as waiting for payment", func() bool { // a change may be written behind
		waiting, err := k.db.Ent.Balance.Query().Where(balance.AmountNEQ(0), func(s *entsql.Selector) {
			s.Where(entsql.HasPrefix(s.C(balance.FieldID), lockprovider.PendingKey("")))
		}).Exist(ctx)
		must(t, err)
		return !waiting
	})
	wantEqual(t, "holds at Stripe that nobody captures or voids", k.stripe.Held(), 0)
	if points > 0 {
		wantEqual(t, "points", k.alice.points(t), points)
	}
	if !k.captureEarly {
		wantEqual(t, "captures before their order was confirmed", k.early.Load(), 0)
	}
}

// Results of an effect.
const (
	goOn = iota
	killBefore
	killAfter
)

// killer counts the effects of a server, and kills it at one of them. It is a proxy in front of PostgreSQL.
type killer struct {
	url  string // of the database, by the proxy
	kill func()
	ctx  context.Context

	mu     sync.Mutex
	on     bool
	at, n  int
	after  bool
	struck string
}

func (k *killer) arm(n int, after bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on, k.at, k.n, k.after, k.struck = true, n, 0, after, ""
}

func (k *killer) disarm() (hit bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = false
	return k.struck != ""
}

func (k *killer) armed() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.on }

func (k *killer) wasHit() bool { return k.what() != "" }

func (k *killer) what() string { k.mu.Lock(); defer k.mu.Unlock(); return k.struck }

// effect counts one, and says whether the server is to be killed.
func (k *killer) effect(what string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on || k.struck != "" {
		return goOn
	}
	k.n++
	if k.n != k.at {
		return goOn
	}
	k.struck = what
	if k.after {
		return killAfter
	}
	return killBefore
}

func newKiller(t *testing.T, database string) *killer {
	t.Helper()
	to, err := url.Parse(database)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	k := &killer{kill: func() {}, ctx: t.Context()}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	target := to.Host
	to.Host = listener.Addr().String()
	k.url = to.String()
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { k.serve(client, target) })
		}
	})
	return k
}

// serve copies one connection of the server to PostgreSQL, message by message.
func (k *killer) serve(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var mute atomic.Bool
	go func() { // ends with the connections
		defer client.Close()
		defer server.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if mute.Load() { // PostgreSQL has done it, and the server does not hear of it
				k.kill()
				return
			}
			if n > 0 {
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	message := func(header int) ([]byte, error) {
		head := make([]byte, header)
		if _, err := io.ReadFull(client, head); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[header-4:])-4)
		_, err := io.ReadFull(client, body)
		return slices.Concat(head, body), err
	}
	first, err := message(4)
	if err != nil {
		return
	}
	if _, err := server.Write(first); err != nil {
		return
	}
	statements, begun, wrote := map[string]string{}, false, false
	for {
		m, err := message(5)
		if err != nil {
			return
		}
		text := ""
		switch m[0] {
		case 'P':
			name, rest, _ := bytes.Cut(m[5:], []byte{0})
			sql, _, _ := bytes.Cut(rest, []byte{0})
			statements[string(name)] = string(sql)
		case 'B':
			_, rest, _ := bytes.Cut(m[5:], []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			text = statements[string(name)]
		case 'Q':
			sql, _, _ := bytes.Cut(m[5:], []byte{0})
			text = string(sql)
		}
		what := ""
		switch found := writing.FindStringSubmatch(text); {
		case found != nil && !strings.Contains(text, `SET "published_at"`):
			what, wrote = strings.ToLower(found[1])+" "+found[2], true
			if !begun {
				what += ", alone"
			}
		case strings.EqualFold(text, "commit") && wrote:
			what = "commit"
		}
		switch verb, _, _ := strings.Cut(strings.ToLower(text), " "); verb {
		case "begin", "commit", "rollback":
			begun, wrote = verb == "begin", false
		}
		if what != "" {
			switch k.effect(what) {
			case killBefore:
				k.kill()
				return
			case killAfter:
				mute.Store(true)
			}
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

// writing is a statement that writes to a table of payments, orders or balances.
var writing = regexp.MustCompile(`(?is)^\s*(INSERT INTO|UPDATE|DELETE FROM) "?(orders|order_lines|payments|payment_attempts|refunds|refund_lines|balances|entries|change_logs?|operations|webhook_events)"?`)
