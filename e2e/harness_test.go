package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // it reports every connection to a Redis that a test has killed
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	code, err := withProgram(m.Run)
	if err := errors.Join(err, testenv.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return max(code, 1)
	}
	return code
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// exitFailed is the exit code of a holdfast that failed.
const exitFailed = 1

// longEnough bounds everything that must happen, on a loaded machine too.
const longEnough = 3 * time.Minute

// process is one holdfast.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout output
	stderr output
	exited chan struct{} // closed when it has ended and all of its output is there
	url    string        // http://127.0.0.1:port, of a server that is ready
	admin  string        // the same of its metrics
}

// start runs holdfast with an environment of its own. It ends with the test, if not before.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, exited: make(chan struct{})}
	p.stdout.changed, p.stderr.changed = make(chan struct{}), make(chan struct{})
	p.cmd = exec.Command(program, args...) // ended by the test, or by the cleanup below
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + t.TempDir(),
		"GORACE=atexit_sleep_ms=0", // else every process that ends well takes a second to do so
	}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	must(t, spawn(p.cmd))
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in its state and on its stderr
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		testenv.Receive(t, p.exited, "holdfast to end after SIGKILL")
		if strings.Contains(p.stderr.String(), "DATA RACE") || t.Failed() {
			t.Errorf("holdfast %q wrote\n%s", args, tail(p.stderr.String()))
		}
	})
	return p
}

// boot runs a server and waits until it is ready.
func boot(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return start(t, env, serveArgs(args)...).ready()
}

func serveArgs(args []string) []string {
	return append([]string{"serve", "--listen", "127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"}, args...)
}

// addresses are what the server says it can be reached at.
var addresses = regexp.MustCompile(`graphql=(http://127\.0\.0\.1:\d+)/graphql admin=(http://127\.0\.0\.1:\d+) `)

func (p *process) ready() *process {
	p.t.Helper()
	line := p.logged("holdfast is ready")
	found := addresses.FindStringSubmatch(line)
	if found == nil {
		p.t.Fatalf("no addresses in %q", line)
	}
	p.url, p.admin = found[1], found[2]
	return p
}

// logged waits until the process has logged a line that contains the text.
func (p *process) logged(text string) string {
	p.t.Helper()
	timeout := time.NewTimer(longEnough)
	defer timeout.Stop()
	for {
		line, found, changed := p.stderr.line(text)
		if found {
			return line
		}
		select {
		case <-changed:
		case <-p.exited:
			if line, found, _ := p.stderr.line(text); found {
				return line
			}
			p.t.Fatalf("ended (%s) before it logged %q:\n%s", p.cmd.ProcessState, text, tail(p.stderr.String()))
		case <-timeout.C:
			p.t.Fatalf("did not log %q:\n%s", text, tail(p.stderr.String()))
		}
	}
}

// signal sends a signal; it does nothing to a process that has ended.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %s: %v", s, err)
	}
}

// wait returns the exit code of a process that is about to end, or -1 if a signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	timeout := time.NewTimer(longEnough)
	defer timeout.Stop()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-timeout.C:
		p.t.Fatalf("still running:\n%s", tail(p.stderr.String()))
		return 0
	}
}

// stop ends a server as an operator does, which must succeed.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("exit code %d after SIGTERM:\n%s", code, tail(p.stderr.String()))
	}
}

// command runs holdfast to its end and returns what it printed. It must succeed.
func command(t *testing.T, env []string, args ...string) string {
	t.Helper()
	p := start(t, env, args...)
	if code := p.wait(); code != 0 {
		t.Fatalf("holdfast %q: exit code %d:\n%s", args, code, tail(p.stderr.String()))
	}
	return p.stdout.String()
}

// output collects what a process writes, and wakes the goroutines that wait for more.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next write
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// line returns the first whole line that contains the text, or what to wait for.
func (o *output) line(text string) (line string, found bool, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(o.text.String()) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
			return line, true, nil
		}
	}
	return "", false, o.changed
}

// tail is the end of a log, for messages.
// tail is the end of a log, or all of it from the first report of the race detector on.
func tail(log string) string {
	const most = 6000
	if race := strings.Index(log, "WARNING: DATA RACE"); race >= 0 {
		return log[race:]
	}
	if len(log) > most {
		log = "..." + log[len(log)-most:]
	}
	return log
}

// stores are where a shop keeps its data.
type stores struct {
	database, redis string
	broker          string // "": the default, inside each server
}

// kinds of stores. A test is skipped if a server that it needs is not installed.
var kinds = []struct {
	name string
	open func(*testing.T) stores
}{
	{"sqlite", openSQLite},
	{"postgres", openPostgres},
	{"pgbouncer", openPgBouncer},
	{"mariadb", openMariaDB},
}

func openSQLite(t *testing.T) stores {
	t.Helper()
	return stores{database: sqliteFile(t), redis: clients.EmbeddedRedis}
}

func openPostgres(t *testing.T) stores {
	t.Helper()
	return stores{database: testenv.Postgres(t), redis: testenv.Redis(t).URL}
}

// openPgBouncer is a PostgreSQL whose sessions are shared, transaction by transaction.
func openPgBouncer(t *testing.T) stores {
	t.Helper()
	address := testenv.PgBouncer(t, testenv.Postgres(t), "pool_mode = transaction")
	return stores{database: address + "&pool=transaction", redis: testenv.Redis(t).URL}
}

func openMariaDB(t *testing.T) stores {
	t.Helper()
	return stores{database: testenv.MariaDB(t), redis: testenv.Redis(t).URL}
}

func sqliteFile(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "shop.db")
}

// testSecret signs the tokens of shops in production.
const testSecret = "a secret of the tests, 32 bytes or longer"

// production is the environment of a shop that is no development server: no demo data, no token known to everybody.
func (s stores) production() []string {
	return append(s.development(), "HOLDFAST_DEVELOPMENT=false", "HOLDFAST_AUTH_SECRET="+testSecret)
}

func (s stores) development() []string {
	return []string{"DATABASE_URL=" + s.database, "REDIS_URL=" + s.redis, "BROKER=" + s.broker}
}

// open connects to the database beside the servers.
func (s stores) open(t *testing.T) *clients.Database {
	t.Helper()
	db, err := clients.OpenDatabase(t.Context(), s.database, clients.DatabaseOptions{MaxOpen: 4})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// audit proves every balance of the shop from its journal.
func (s stores) audit(t *testing.T) {
	t.Helper()
	violations, err := ledger.Audit(t.Context(), s.open(t).Ent)
	must(t, err)
	for _, v := range violations {
		t.Errorf("%s: %s", v.Balance, v.Problem)
	}
}

// noLocksLeft asserts that no lock is held any more.
func (s stores) noLocksLeft(t *testing.T) {
	t.Helper()
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(s.redis)})
	must(t, err)
	defer redis.Close()
	keys, err := redis.Client.Keys(t.Context(), "lock:*").Result()
	must(t, err)
	if len(keys) > 0 {
		t.Errorf("these locks are left in Redis: %s", strings.Join(keys, ", "))
	}
}

// noLeaks asserts at the end of the test, after all other cleanups, that it has left no goroutine behind. It is called
// first.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, testenv.LeakOption(), before,
			// One a process, started by the first Kafka client and never stopped: it ticks for the library's meters.
			goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
	})
}

// together calls f for 0 to n-1 at the same moment and returns when all have ended. All errors are reported.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var racers sync.WaitGroup
	gate, errs := make(chan struct{}), make([]error, n)
	for i := range n {
		racers.Go(func() {
			<-gate
			errs[i] = f(i)
		})
	}
	close(gate)
	racers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// eventually calls f again and again until it returns true. The test fails after longEnough.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	ticker, timeout := time.NewTicker(5*time.Millisecond), time.NewTimer(longEnough)
	defer ticker.Stop()
	defer timeout.Stop()
	for !f() {
		select {
		case <-ticker.C:
		case <-timeout.C:
			t.Fatal("in vain waited until", what)
		}
	}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// all sets one strategy for all families.
func all(strategy lockprovider.Strategy, settings ...string) []string {
	var args []string
	for _, family := range lockprovider.Families {
		path := "locks." + strings.ToLower(string(family)) + "."
		args = append(args, "--set", path+"provider="+string(strategy))
		for _, setting := range settings {
			args = append(args, "--set", path+setting)
		}
	}
	return args
}

// set makes arguments of settings.
func set(settings ...string) []string {
	var args []string
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	return args
}
