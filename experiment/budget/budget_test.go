package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/servers"
	"holdfast/internal/testenv"
)

// TestMain also serves references: measure starts this program for them.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "reference" {
		main()
		return
	}
	testenv.Main(m)
}

// TestBudget measures some orders once. What an order costs is the machine's business; that all of them are counted, and that the
// parts make up the whole, is not.
func TestBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs PostgreSQL")
	}
	for _, kind := range []servers.Kind{servers.KindPostgres, servers.KindRedis} {
		if !testenv.Have(kind) {
			t.Skipf("it needs %s", kind)
		}
	}
	program, remove, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	const orders, clients = 200, 8
	report, err := measure(t.Context(), options{
		Strategies: []string{"rowlock", "lua-accepted"}, References: []string{"transaction", "statement", "script", "nothing"},
		Products: []int{3}, Clients: clients, Rounds: 1, Duration: testenv.Scaled(time.Minute), WarmUp: testenv.Scaled(time.Minute), Orders: orders,
		Build: map[string]string{"": program}, Statements: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) != 6 {
		t.Fatalf("%d cases", len(report.Cases))
	}
	for _, c := range report.Cases {
		if c.Orders != orders || c.PerSecond.Median <= 0 {
			t.Errorf("%s: %d orders, %v a second, want %d", c.label(), c.Orders, c.PerSecond, orders)
		}
		if c.Server == nil || c.Redis == nil {
			t.Errorf("%s: CPU times of server and Redis: %v, %v", c.label(), c.Server, c.Redis)
			continue
		}
		sum := 0.0
		for _, ms := range c.Parts {
			sum += ms
		}
		if len(c.Parts) > 0 && (sum < 0.99*c.Server.Median || sum > 1.01*c.Server.Median) {
			t.Errorf("%s: the parts %v do not add up to %v", c.label(), c.Parts, c.Server)
		}
		usesDatabase := !slices.Contains([]string{"script", "nothing"}, c.Name)
		writes := slices.ContainsFunc(c.Statements, func(s Statement) bool {
			text := strings.ToLower(s.Text)
			return strings.Contains(text, "insert into") && strings.Contains(text, "orders") && s.Calls > 0
		})
		if writes != usesDatabase {
			t.Errorf("%s: orders in the database: %v, want %v: %+v", c.label(), writes, usesDatabase, c.Statements)
		}
	}
	var table strings.Builder
	if err := report.writeTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 products, 8 clients", "lua-accepted", "one round does not tell"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}

func TestPartOf(t *testing.T) {
	request := []string{"net/http.(*conn).serve", "holdfast/auth.Middleware.func1", "holdfast/graph/transport.plainHTTP.Do"}
	placing := append([]string{"holdfast/commerce.(*Orders).Place"}, request...)
	for _, client := range []string{"github.com/jackc/pgx/v5.(*Conn).Query", "github.com/redis/go-redis/v9.(*Client).Process"} {
		for want, caller := range map[string][]string{
			partCommerce: placing, partHTTP: {"holdfast/internal/limits.Allow", "net/http.(*conn).serve"},
			partStrategy: append([]string{"holdfast/lockprovider/ledger.(*Ledger).Run"}, placing...),
		} {
			if got := partOf(append([]string{client}, caller...)); got != want {
				t.Errorf("%s called by %v: %s, want %s", client, caller, got, want)
			}
		}
	}
	for want, stack := range map[string][]string{
		partHTTP:     {"net/http.(*conn).readRequest", "net/http.(*conn).serve"},
		partGraphQL:  request,
		partTokens:   append([]string{"holdfast/auth.(*Verifier).Check"}, request...),
		partCommerce: append([]string{"holdfast/commerce.(*Orders).draft"}, request...),
		partStrategy: append([]string{"holdfast/lockprovider/ledger.(*Ledger).Run", "holdfast/commerce.(*Orders).Place"}, request...),
		partPersist:  {"holdfast/commerce.WriteRecords", "holdfast/lockprovider/ledger.(*Ledger).Persist", "holdfast/events.(*Persister).commit"},
		partRelay:    {"holdfast/ent.(*ChangeLogQuery).All", "holdfast/events.(*Relay).runOnce"},
		partHandlers: {"holdfast/events.stockAlerts.handle", "github.com/ThreeDotsLabs/watermill/message.(*handler).handleMessage"},
		partGC:       append([]string{"runtime.gcAssistAlloc", "runtime.mallocgc", "holdfast/commerce.(*Orders).draft"}, request...),
		partRuntime:  {"runtime.futex", "runtime.findRunnable", "runtime.mcall"},
		partOther:    {"database/sql.(*DB).connectionOpener"},
	} {
		if got := partOf(stack); got != want {
			t.Errorf("%v: %s, want %s", stack, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	good := options{
		Strategies: []string{"lua", "lua-accepted"}, References: []string{"none"}, Products: []int{1}, Clients: 1, Rounds: 1, Duration: time.Second,
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	build := good
	build.Build = map[string]string{"here": "main.go"}
	if err := build.Validate(); err != nil || !filepath.IsAbs(build.Build["here"]) { // servers run in another directory
		t.Errorf("a build in this directory: %v, %v", build.Build, err)
	}
	for want, change := range map[string]func(*options){
		"--build: gone":            func(o *options) { o.Build = map[string]string{"gone": "gone"} },
		"--set: broker.url":        func(o *options) { o.Set = []string{"http.shop=false", "broker.url=redis"} },
		`no strategy "luna"`:       func(o *options) { o.Strategies = []string{"luna"} },
		`no reference "something"`: func(o *options) { o.References = []string{"something"} },
		"--products: 1001":         func(o *options) { o.Products = []int{1001} },
		"--clients: 0":             func(o *options) { o.Clients = 0 },
		"--rounds: 101":            func(o *options) { o.Rounds = 101 },
		"--duration: 1ms":          func(o *options) { o.Duration = time.Millisecond },
		"--warm-up: -1s":           func(o *options) { o.WarmUp = -time.Second },
		"--orders: -1":             func(o *options) { o.Orders = -1 },
		"nothing to measure":       func(o *options) { o.Strategies = []string{"none"} },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A run that fails loses nothing of what was measured before it.
func TestCutShort(t *testing.T) {
	o := options{Strategies: []string{"rowlock", "lua"}, References: []string{"statement"}, Products: []int{1}, Build: map[string]string{"": "x"}}
	failure := errors.New("an order was refused")
	runs := map[theCase][]run{}
	err := repeat(o.cases(), 2, func(c theCase, round int) error {
		if c.Name == "lua" && round == 1 {
			return failure
		}
		cost := float64(len(c.Name))
		runs[c] = append(runs[c], run{orders: 1, perSecond: 1, sum: &cost})
		return nil
	})
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "lua, 1 product, round 2") {
		t.Errorf("error %v", err)
	}
	report := Report{Cases: o.summaries(runs)}
	orders := map[string]int64{}
	for _, c := range report.Cases {
		if orders[c.Name] = c.Orders; c.CPURatio == nil || c.CPURatio.Rounds != 1 {
			t.Errorf("%s is compared in the rounds that have both: %v", c.Name, c.CPURatio)
		}
	}
	if want := map[string]int64{"statement": 1, "rowlock": 2, "lua": 1}; !maps.Equal(orders, want) {
		t.Errorf("orders %v, want %v", orders, want)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, bytes.Repeat([]byte("before"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(report.writeTable(io.Discard), report.writeJSON(path)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(text, &read); err != nil || len(read.Cases) != 3 {
		t.Errorf("%v in %.200s", err, text)
	}
	o.JSON = filepath.Join(t.TempDir(), "none", "report.json")
	if err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--json") {
		t.Errorf("a file that cannot be written: %v", err)
	}
}

// A strategy is compared with its first build, everything else with the first case.
func TestBase(t *testing.T) {
	o := options{Strategies: []string{"rowlock", "lua"}, References: []string{"statement"}, Products: []int{1, 9}, Build: map[string]string{"": "x"}}
	if got := o.base(theCase{"lua", "", 9}); got != (theCase{"statement", "", 9}) {
		t.Errorf("one build: %v", got)
	}
	o.Build = map[string]string{"new": "x", "before": "y"}
	if got := o.base(theCase{"lua", "new", 9}); got != (theCase{"lua", "before", 9}) {
		t.Errorf("two builds: %v", got)
	}
	if n := len(o.cases()); n != 2*(1+2*2) {
		t.Errorf("%d cases", n)
	}
}
