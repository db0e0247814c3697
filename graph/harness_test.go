package graph_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/auth"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/experiment"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// The users of the tests; "" is nobody.
const (
	nobody = ""
	alice  = "alice"
	bob    = "bob"
	carol  = "carol" // has nothing yet
	admin  = "admin"
)

const issuer = "holdfast-test"

var secret = []byte("a secret of the tests, 32 bytes or longer")

// api is the GraphQL API over real services, with the demo data.
type api struct {
	t          testing.TB
	server     *httptest.Server
	services   *commerce.Services
	db         *clients.Database
	redis      *clients.Redis
	log        *logBuffer
	live       *events.Live
	handler    *transport.Handler
	strategies map[lockprovider.Family]lockprovider.Strategy
	queries    *atomic.Int64 // of the database, by resolvers
}

// countQueries counts what resolvers ask the database; others ask as well. It must be told before anybody does.
func countQueries(client *ent.Client) *atomic.Int64 {
	var queries atomic.Int64
	client.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			if graphql.HasOperationContext(ctx) {
				queries.Add(1)
			}
			return next.Query(ctx, q)
		})
	}))
	return &queries
}

type settings struct {
	gateway payments.Gateway
	methods commerce.PaymentMethods
	limits  transport.Limits
	closed  bool // no introspection
	bare    bool // no demo data
	wait    time.Duration
	stock   lockprovider.Strategy // "" means setnx
	// accepting has lua decide for all families, and answer before the database does.
	accepting   bool
	persistWait time.Duration // 0 means wait
	streams     transport.Streams
	rates       transport.Rates
	origins     []string
	headers     []string // that pages of these origins may send, besides the usual ones
	proxies     int
	// lab replaces one whose experiments end at once; noLab has none.
	lab      *experiment.Lab
	noLab    bool
	safelist transport.SafelistSettings
	own      map[string][]byte // operations that are in the safelist besides
	served   served.Options
	// intercept is told of each query of the database, by whomever.
	intercept ent.Interceptor
	// verifier replaces the one of HS256 tokens.
	verifier *auth.Verifier
}

func newAPI(t testing.TB, s settings) *api {
	t.Helper()
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() }) // some tests close it before
	_, err = db.Migrate(ctx)
	must(t, err)
	queries := countQueries(db.Ent)
	if s.intercept != nil {
		db.Ent.Intercept(s.intercept)
	}
	redis, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: clients.EmbeddedRedis})
	must(t, err)
	t.Cleanup(func() { _ = redis.Close() })

	if s.wait == 0 {
		s.wait = longEnough
	}
	bounds := lockprovider.Settings{
		Wait: s.wait, Lease: time.Minute, Poll: 5 * time.Millisecond, Attempts: 50, Backoff: time.Millisecond,

		Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: cmp.Or(s.persistWait, s.wait), Backlog: 1000, Remember: time.Hour},
	}
	families := map[lockprovider.Family]lockprovider.FamilyConfig{
		lockprovider.Stock:    {Strategy: cmp.Or(s.stock, lockprovider.SetNX), Settings: bounds},
		lockprovider.Coupons:  {Strategy: lockprovider.AtomicSQL, Settings: bounds},
		lockprovider.Points:   {Strategy: lockprovider.Optimistic, Settings: bounds},
		lockprovider.Accounts: {Strategy: lockprovider.RowLock, Settings: bounds},
	}
	if s.accepting {
		bounds.Ack = lockprovider.AckAccepted
		for family := range families {
			families[family] = lockprovider.FamilyConfig{Strategy: lockprovider.Lua, Settings: bounds}
		}
	}
	log := &logBuffer{}
	live := events.NewLive(redis.Client, uuid.NewString(), textLogger(log))
	stopLive := events.Background(ctx, live.Run)
	t.Cleanup(func() { _ = stopLive() })
	happened, err := events.Start(ctx, events.Deps{
		Client: db.Ent, Live: live, Instance: "test", Settings: events.DefaultSettings(), Log: textLogger(log),
	})
	must(t, err)
	t.Cleanup(func() { _ = happened.Close() }) // a test may have closed what it works with
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 10})
	ledger.OnCommit(happened.Wake)
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: ledger, Redis: redis.Client, RedisNodes: redis.Nodes, Instance: "test",
		Worker: lockprovider.WorkerSettings{Batch: 100, Block: 20 * time.Millisecond, Retry: 20 * time.Millisecond},
	}, families)
	must(t, err)
	t.Cleanup(func() { _ = providers.Close() })
	if s.accepting {
		providers.PersistWith(events.Persisting(events.PersisterDeps{
			Ledger: ledger, Instance: "test", Settings: events.DefaultPersisterSettings(),
			Metrics: events.NewPersisterMetrics(prometheus.NewRegistry()), Log: textLogger(log),
		}))
	}
	stopStrategies := events.Background(ctx, providers.Run)
	t.Cleanup(func() { _ = stopStrategies() })
	if s.gateway == nil {
		s.gateway = payments.NewSimulated(payments.SimulatedSettings{})
	}
	services := commerce.New(commerce.Deps{
		Client: db.Ent, Ledger: ledger, Providers: providers, Gateway: s.gateway,
		Shop: commerce.ShopSettings{
			Currency: "USD", Reservation: 15 * time.Minute, MaxLines: 20, MaxQuantity: 1000,
		},
		Payment: commerce.PaymentSettings{Methods: cmp.Or(s.methods, "POINTS,ACCOUNT,CARD"), PointsPrice: 100, Timeout: longEnough},
	})
	if !s.bare {
		must(t, commerce.SeedDemo(ctx, services))
	}
	if s.lab == nil && !s.noLab {
		s.lab = idleLab(t)
	}
	if s.verifier == nil {
		s.verifier, err = auth.NewVerifier(secret, issuer, "")
		must(t, err)
	}
	handler, err := graph.NewHandler(graph.Options{
		Services: services, Client: db.Ent, Operations: graph.Operations{Experiments: s.lab, Locks: providers.Locks},
		Strategies: providers.Strategies(), Verifier: s.verifier, Limits: s.limits,
		Introspection: !s.closed, Logger: textLogger(log), Streams: s.streams, Rates: s.rates, Redis: redis.Client, Live: live,
		Origins: s.origins, OriginHeaders: s.headers, Proxies: s.proxies, Safelist: s.safelist, OwnOperations: s.own, Served: s.served,
	})
	must(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(func() { must(t, handler.Close(context.WithoutCancel(ctx))) })
	return &api{
		t: t, server: server, services: services, db: db, redis: redis, log: log, live: live, handler: handler,
		strategies: providers.Strategies(), queries: queries,
	}
}

func token(t testing.TB, user string) string {
	t.Helper()
	roles := []auth.Role{auth.Customer}
	if user == admin {
		roles = []auth.Role{auth.Admin}
	}
	text, err := auth.Issue(secret, issuer, "", user, roles, time.Hour)
	must(t, err)
	return text
}

// do sends one operation as a user.
func (a *api) do(user, query string, variables map[string]any) result {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	must(a.t, err)
	header := http.Header{"Content-Type": {"application/json"}}
	if user != nobody {
		header.Set("Authorization", "Bearer "+token(a.t, user))
	}
	return a.send(http.MethodPost, "", header, body)
}

// ok is do where no error is expected, of either kind.
func (a *api) ok(user, query string, variables map[string]any) result {
	a.t.Helper()
	r := a.do(user, query, variables)
	if len(r.Errors) > 0 {
		a.t.Fatalf("errors: %s", r.body)
	}
	for field := range r.Data {
		if failures, ok := r.at(field + ".userErrors").([]any); ok && len(failures) > 0 {
			a.t.Fatalf("userErrors: %s", r.body)
		}
	}
	return r
}

func (a *api) send(method, rawQuery string, header http.Header, body []byte) result {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.server.URL+"/graphql?"+rawQuery, bytes.NewReader(body))
	must(a.t, err)
	maps.Copy(req.Header, header)
	resp, err := a.server.Client().Do(req)
	must(a.t, err)
	defer resp.Body.Close()
	r := result{t: a.t, status: resp.StatusCode, header: resp.Header}
	raw, err := io.ReadAll(resp.Body)
	must(a.t, err)
	r.body = string(raw)
	if err := json.Unmarshal(raw, &r); err != nil && len(raw) > 0 {
		a.t.Fatalf("status %d, not JSON: %s", r.status, raw)
	}
	return r
}

type result struct {
	t      testing.TB
	status int
	header http.Header
	body   string
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
}

// at reads a value by its path, such as "placeOrder.order.lines.0.quantity"; nil where there is none.
func (r result) at(path string) any {
	var value any = r.Data
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// text is at for strings.
func (r result) text(path string) string {
	r.t.Helper()
	s, ok := r.at(path).(string)
	if !ok {
		r.t.Fatalf("%s is %v, want a string: %s", path, r.at(path), r.body)
	}
	return s
}

// want compares values by path, as fmt prints them.
func (r result) want(pairs ...any) result {
	r.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		path, _ := pairs[i].(string)
		if got, want := fmt.Sprint(r.at(path)), fmt.Sprint(pairs[i+1]); got != want {
			r.t.Errorf("%s is %s, want %s: %s", path, got, want, r.body)
		}
	}
	return r
}

// wantError asserts that errors[] holds one error with the code, and returns its message.
func (r result) wantError(code string) string {
	r.t.Helper()
	if len(r.Errors) == 0 || r.Errors[0].Extensions["code"] != code {
		r.t.Fatalf("status %d, want an error %s: %s", r.status, code, r.body)
	}
	return r.Errors[0].Message
}

// key is a fresh idempotency key.
func key() string { return uuid.NewString() }

// vars are variables that hold one input.
func vars(input map[string]any) map[string]any { return map[string]any{"input": input} }

type object = map[string]any

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func textLogger(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is a context of a user, for calling services directly.
func (a *api) as(user string) (context.Context, commerce.Viewer) {
	return a.t.Context(), commerce.Viewer{UserID: user, Name: user, Admin: user == admin}
}
