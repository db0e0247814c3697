package commerce_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/entry"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/payments"
)

// shop is a whole shop on an embedded database and Redis.
type shop struct {
	*commerce.Services
	opened  *app.Shop
	db      *clients.Database
	redis   goredis.UniversalClient
	gateway *gateway
	clock   *clock
	commits atomic.Int64 // group commits of lua
	accepts bool         // changes are answered before the database has them
}

var (
	alice = commerce.Viewer{UserID: "alice", Name: "Alice"}
	bob   = commerce.Viewer{UserID: "bob", Name: "Bob"}
	admin = commerce.Viewer{UserID: "root", Name: "Root", Admin: true}
)

// longEnough bounds what must happen, on a loaded machine too.
const longEnough = 2 * time.Minute

// newShop is an embedded shop that runs all families under one strategy.
func newShop(t testing.TB, strategy lockprovider.Strategy) *shop {
	t.Helper()
	return openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, "sqlite://:memory:", clients.EmbeddedRedis)
}

// openShop is a shop on any database and Redis. Of family, the strategy and its fallback are used; the bounds are
// those of the tests, which adjust changes.
func openShop(
	t testing.TB, family lockprovider.FamilyConfig, databaseURL, redisURL string, adjust ...func(*config.Config),
) *shop {
	t.Helper()
	cfg := config.Default()
	cfg.Database.URL, cfg.Redis.URL, cfg.Redis.PoolSize = setting.URL(databaseURL), setting.URL(redisURL), 256
	for _, lock := range cfg.Locks {
		*lock = lockprovider.FamilyConfig{Strategy: family.Strategy, Fallback: family.Fallback, Settings: lockprovider.Settings{
			Wait: longEnough, Lease: time.Minute, Poll: 20 * time.Millisecond,
			Attempts: 100, Backoff: time.Millisecond, Ack: lockprovider.AckPersisted,
		}}
	}
	cfg.Pipeline.RequestTimeout = testenv.Scaled(30 * time.Second)
	cfg.Pipeline.PersistWait, cfg.Pipeline.Block, cfg.Pipeline.Remember = testenv.Scaled(20*time.Second), 50*time.Millisecond, time.Hour
	cfg.Deployment = lockprovider.DeploymentSettings{Heartbeat: time.Second, Expiry: 5 * time.Second}
	cfg.Payment.Timeout = longEnough
	for _, a := range adjust {
		a(&cfg)
	}

	s := &shop{gateway: &gateway{}, clock: &clock{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)}}
	opened, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{
		Gateway: s.gateway, Now: s.clock.Now,
	})
	must(t, err)
	t.Cleanup(func() { must(t, opened.Close()) })
	if family.Strategy == lockprovider.Lua {
		opened.Ledger.OnCommit(func() { s.commits.Add(1) })
	}
	s.accepts = family.Strategy == lockprovider.Lua && cfg.Locks[lockprovider.Stock].Settings.Ack == lockprovider.AckAccepted
	s.opened, s.db, s.redis, s.Services = opened, opened.DB, opened.Redis.Client, opened.Services
	return s
}

func TestMain(m *testing.M) { testenv.Main(m) }

// postgres is a database of PostgreSQL with the tables of a shop.
func postgres(t testing.TB) string {
	t.Helper()
	return testenv.PostgresWith(t, "shop", func(ctx context.Context, databaseURL string) error {
		db, err := clients.OpenDatabase(ctx, databaseURL, clients.DatabaseOptions{})
		if err != nil {
			return err
		}
		_, err = db.Migrate(ctx)
		return errors.Join(err, db.Close())
	})
}

// clock stands still unless it is moved.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	reads atomic.Int64 // how often it was looked at
}

func (c *clock) Now() time.Time {
	c.reads.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// gateway is a payment gateway with a ledger of its own: what it has taken and given back can be compared with what the
// shop believes. fail decides on each call, which it is told with what is paid, such as the ID of an order; nil lets all succeed.
// errDeclined has the gateway refuse the call, and errAction has it wait for the customer.
type gateway struct {
	mu       sync.Mutex
	fail     func(call, subject string) error
	state    map[string]string           // attempt → authorized, captured, declined or cancelled
	part     map[string]int64            // attempt → the part that was captured by hand
	back     map[string]int64            // attempt → the part that was given back by hand
	refunds  map[string]map[string]int64 // attempt → refund → what was given back
	held     map[string]bool             // attempt → it was authorized and then cancelled
	price    map[string]int64            // attempt → what was authorized
	subjects map[string]string           // attempt → what is paid
	asked    map[string]payments.Authorization
	latest   map[string]string // what is paid → its last attempt
	calls    []string
	lose     string   // the call whose next answer is lost
	next     *gateway // that is asked instead, if it is not nil
	step     int64    // what amounts must be multiples of
}

var (
	errDeclined = errors.New("declined")
	errAction   = errors.New("the customer has something to do")
)

// taken is the sum of what is captured and not given back.
func (g *gateway) taken() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := int64(0)
	for attempt, state := range g.state {
		if state == "captured" {
			sum += g.capturedOf(attempt) - g.backOf(attempt)
		}
	}
	return sum
}

// confirm is what the customers do for whom payments wait.
func (g *gateway) confirm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for attempt, state := range g.state {
		g.state[attempt] = instead(state, "waiting", "authorized")
	}
}

// set changes the state of the last payment of something, behind the back of the shop.
func (g *gateway) set(subject, state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state[g.latest[subject]] = state
}

func (g *gateway) do(call, attempt string, change func(state string) string) (payments.Answer, error) {
	if g.next != nil {
		return g.next.do(call, attempt, change)
	}
	g.mu.Lock()
	fail, subject := g.fail, g.subjects[attempt]
	g.mu.Unlock()
	refused, waits := false, false
	if fail != nil {
		err := fail(call, subject)
		refused, waits = errors.Is(err, errDeclined), errors.Is(err, errAction)
		if err != nil && !refused && !waits {
			return payments.Answer{}, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == nil {
		g.state = map[string]string{}
	}
	g.calls = append(g.calls, call)
	state := g.state[attempt]
	switch {
	case state == "" && call != "authorize":
		return payments.Answer{State: payments.StateNotFound}, nil
	case refused && (state == "" || state == "authorized" && call == "capture"):
		state = "declined"
	case waits && state == "":
		state = "waiting"
		if p, ok := g.asked[attempt]; ok {
			g.price[attempt], g.latest[p.Subject] = p.Amount.Minor, attempt
		}
	case !refused && !waits:
		before := state
		if state = change(state); before == "authorized" && state == "cancelled" {
			if g.held == nil {
				g.held = map[string]bool{}
			}
			g.held[attempt] = true
		}
	}
	g.state[attempt] = state
	if g.lose == call {
		g.lose = ""
		return payments.Answer{}, errLost
	}
	answer := payments.Answer{Reference: "ref_" + attempt}
	switch state {
	case "waiting":
		answer.State, answer.ClientSecret, answer.RedirectURL = payments.StateRequiresAction, "secret_"+attempt, "https://bank.example/"+attempt
	case "authorized":
		answer.State = payments.StateAuthorized
	case "captured":
		answer.State, answer.Captured, answer.Refunded = payments.StateCaptured, g.capturedOf(attempt), g.backOf(attempt)
	case "declined":
		answer.State, answer.Reason = payments.StateDeclined, "declined"
	case "cancelled":
		answer.State, answer.Held = payments.StateVoided, g.held[attempt]
	case "refunded":
		answer.State, answer.Captured, answer.Refunded = payments.StateRefunded, g.capturedOf(attempt), g.capturedOf(attempt)
	}
	return answer, nil
}

func (g *gateway) Authorize(ctx context.Context, a payments.Authorization) (payments.Answer, error) {
	if g.next != nil {
		return g.next.Authorize(ctx, a)
	}
	g.mu.Lock()
	if g.price == nil {
		g.price, g.subjects, g.latest = map[string]int64{}, map[string]string{}, map[string]string{}
		g.asked = map[string]payments.Authorization{}
	}
	g.asked[a.Attempt] = a
	g.subjects[a.Attempt] = a.Subject
	before, known := g.price[a.Attempt]
	g.mu.Unlock()
	if known && before != a.Amount.Minor {
		return payments.Answer{}, payments.ErrMismatch
	}
	return g.do("authorize", a.Attempt, func(state string) string {
		if state == "" {
			g.price[a.Attempt], g.latest[a.Subject] = a.Amount.Minor, a.Attempt
			return "authorized"
		}
		return state
	})
}

func (g *gateway) Capture(_ context.Context, p payments.Ref, _ payments.Amount) (payments.Answer, error) {
	return g.do("capture", p.Attempt, func(state string) string { return instead(state, "authorized", "captured") })
}

func (g *gateway) Void(_ context.Context, p payments.Ref) (payments.Answer, error) {
	return g.do("cancel", p.Attempt, func(state string) string {
		return instead(instead(state, "waiting", "cancelled"), "authorized", "cancelled")
	})
}

func (g *gateway) Refund(_ context.Context, p payments.Ref, refund string, amount payments.Amount) (payments.Answer, error) {
	at := g.at()
	answer, err := g.do("cancel", p.Attempt, func(state string) string {
		left := at.capturedOf(p.Attempt) - at.backOf(p.Attempt)
		if _, repeated := at.refunds[p.Attempt][refund]; repeated || state != "captured" || amount.Minor > left {
			return state
		}
		if at.refunds == nil {
			at.refunds = map[string]map[string]int64{}
		}
		if at.refunds[p.Attempt] == nil {
			at.refunds[p.Attempt] = map[string]int64{}
		}
		at.refunds[p.Attempt][refund] = amount.Minor
		if amount.Minor < left {
			return state
		}
		return "refunded"
	})
	at.mu.Lock()
	defer at.mu.Unlock()
	_, made := at.refunds[p.Attempt][refund]
	answer.Made = made && err == nil
	return answer, err
}

// Step implements payments.Stepped.
func (g *gateway) Step(string) int64 { return max(g.step, 1) }

// backOf is what was given back of a payment that is not given back as a whole.
func (g *gateway) backOf(attempt string) int64 {
	sum := g.back[attempt]
	for _, amount := range g.refunds[attempt] {
		sum += amount
	}
	return sum
}

// at is the gateway that is asked.
func (g *gateway) at() *gateway {
	if g.next != nil {
		return g.next
	}
	return g
}

// capturedOf is what was captured of a payment.
func (g *gateway) capturedOf(attempt string) int64 {
	if part := g.part[attempt]; part > 0 {
		return part
	}
	return g.price[attempt]
}

func (*gateway) List(context.Context, time.Time, time.Time, string) (payments.Page, error) {
	return payments.Page{}, errors.New("this gateway lists nothing")
}

func (*gateway) Movements(context.Context, payments.Ref) ([]payments.Movement, error) {
	return nil, errors.New("this gateway lists nothing")
}

func (g *gateway) Lookup(_ context.Context, p payments.Ref) (payments.Answer, error) {
	return g.do("lookup", p.Attempt, func(state string) string { return state })
}

// webhookSecret signs the messages of the gateway.
const webhookSecret = "a secret of the tests, 32 bytes or longer"

// signed reads messages in the form of the simulated gateway.
var signed = payments.NewSimulated(payments.SimulatedSettings{WebhookSecret: webhookSecret})

func (g *gateway) ParseWebhook(header http.Header, body []byte, now time.Time) ([]payments.Notification, error) {
	return signed.ParseWebhook(header, body, now)
}

// instead is next if the state is from.
func instead(state, from, next string) string {
	if state == from {
		return next
	}
	return state
}

// stateOf is the state of the last payment of something, such as an order: cancelled if it was voided or refunded.
func (g *gateway) stateOf(subject string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return instead(g.state[g.latest[subject]], "refunded", "cancelled")
}

func (s *shop) product(t testing.TB, price, stock int64) string {
	t.Helper()
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: uuid.NewString(), Name: "Thing", Price: commerce.Money{Minor: price, Currency: "USD"}, Stock: stock,
	})
	must(t, err)
	return row.ID
}

func (s *shop) account(t testing.TB, owner commerce.Viewer, opening int64) string {
	t.Helper()
	row, err := s.Accounts.Open(t.Context(), admin, commerce.OpenAccount{
		Name: "Account", Currency: "USD", UserID: owner.UserID, Opening: opening,
	})
	must(t, err)
	return row.ID
}

func (s *shop) points(t testing.TB, owner commerce.Viewer, amount int64) {
	t.Helper()
	charge := commerce.ChargePoints{Key: uuid.New(), Amount: amount}
	_, err := untilSettled(t, func() (commerce.PointsResult, error) { return s.Points.Charge(t.Context(), owner, charge) })
	must(t, err)
}

func (s *shop) coupon(t testing.TB, in commerce.CreateCoupon) string {
	t.Helper()
	if in.Name == "" {
		in.Name = "Coupon"
	}
	if in.DiscountKind == "" {
		in.DiscountKind, in.DiscountValue = coupon.DiscountKindFIXED, 100
	}
	in.Quota, in.PerUserLimit = max(in.Quota, 1), max(in.PerUserLimit, 1)
	row, err := s.Coupons.Create(t.Context(), admin, in)
	must(t, err)
	return row.ID
}

func (s *shop) issue(t testing.TB, to commerce.Viewer, couponID string) string {
	t.Helper()
	result, err := s.Coupons.Issue(t.Context(), to, commerce.IssueCoupon{Key: uuid.New(), CouponID: couponID})
	must(t, err)
	return result.Issue.ID
}

// settle waits until the database has confirmed all that was accepted.
func (s *shop) settle(t testing.TB) {
	t.Helper()
	for _, family := range lockprovider.Families {
		store, ok := lockprovider.As[lockprovider.Reconciler](s.opened.Providers.For(family))
		if !ok {
			continue
		}
		for deadline := time.Now().Add(longEnough); ; {
			inFlight, err := store.InFlight(t.Context())
			must(t, err)
			if len(inFlight) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v are in flight after %s", inFlight, longEnough)
			}
		}
	}
}

func (s *shop) wantStock(t testing.TB, productID string, want int64) {
	t.Helper()
	s.settle(t)
	stock, err := s.Catalog.Stock(t.Context(), []string{productID})
	must(t, err)
	if stock[productID].Amount != want {
		t.Errorf("stock of %s is %d, want %d", productID, stock[productID].Amount, want)
	}
}

func (s *shop) wantPoints(t testing.TB, owner commerce.Viewer, want int64) {
	t.Helper()
	s.settle(t)
	balance, err := s.Points.Balance(t.Context(), owner, owner.UserID)
	must(t, err)
	if balance != want {
		t.Errorf("%s has %d points, want %d", owner.UserID, balance, want)
	}
}

func (s *shop) wantMoney(t testing.TB, accountID string, want int64) {
	t.Helper()
	s.settle(t)
	balances, err := s.Accounts.Balances(t.Context(), []string{accountID})
	must(t, err)
	if balances[accountID].Amount != want {
		t.Errorf("%s holds %d, want %d", accountID, balances[accountID].Amount, want)
	}
}

// wantUnspent proves that an issued coupon can be used.
func (s *shop) wantCoupon(t testing.TB, owner commerce.Viewer, issueID, status string) {
	t.Helper()
	s.settle(t)
	row, err := s.Coupons.GetIssue(t.Context(), owner, issueID)
	must(t, err)
	if row.Status.String() != status {
		t.Errorf("coupon is %s, want %s", row.Status, status)
	}
	amounts, err := s.db.Ent.Balance.Query().All(t.Context())
	must(t, err)
	want := int64(0)
	if status == "USED" {
		want = 1
	}
	for _, b := range amounts {
		if b.ID == lockprovider.CouponUseKey(issueID) && b.Amount != want {
			t.Errorf("use of the coupon is %d, want %d", b.Amount, want)
		}
	}
}

// audit proves every balance from its journal.
func (s *shop) audit(t testing.TB) {
	t.Helper()
	s.settle(t)
	violations, err := ledger.Audit(t.Context(), s.db.Ent)
	must(t, err)
	for _, v := range violations {
		t.Errorf("%s: %s", v.Balance, v.Problem)
	}
}

func (s *shop) entriesOf(t testing.TB, balance string) []*ent.Entry {
	t.Helper()
	rows, err := s.db.Ent.Entry.Query().Where(entry.Balance(balance)).All(t.Context())
	must(t, err)
	return rows
}

// wantCodes asserts the business failures of err, in their order, each as CODE or CODE:path.
func wantCodes(t testing.TB, err error, want ...string) []*commerce.Error {
	t.Helper()
	errs, ok := commerce.UserErrors(err)
	if !ok {
		t.Fatalf("got %v, want business failures %v", err, want)
	}
	var got []string
	for i, e := range errs {
		code := string(e.Code)
		if i < len(want) && strings.Contains(want[i], ":") {
			code += ":" + strings.Join(e.Field, ".")
		}
		got = append(got, code)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("got %v, want %v", got, want)
	}
	return errs
}

// settling is longer than a change that Redis has lost is waited for, several times.
const settling = 10 * time.Minute

// untilSettled repeats an operation, with the same key, as long as its error says that it may succeed later.
func untilSettled[T any](t testing.TB, operation func() (T, error)) (T, error) {
	t.Helper()
	for deadline := time.Now().Add(settling); ; {
		result, err := operation()
		errs, ok := commerce.UserErrors(err)
		if err == nil || !ok || errs[0].RetryAfter == 0 {
			return result, err
		}
		if time.Now().After(deadline) {
			t.Errorf("still contended after %s", settling)
			return result, err
		}
	}
}

// together runs n calls at the same moment and waits for all.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errGatewayDown is what the client of a gateway returns that does not listen.
var errGatewayDown error = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
