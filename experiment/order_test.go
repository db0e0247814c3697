package experiment_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/experiment"
	"holdfast/experiment/audit"
	"holdfast/experiment/history"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

var printProof = flag.Bool("proof.table", false, "print what was checked, and which shops that are wrong on purpose were found")

func TestMain(m *testing.M) { testenv.Main(m) }

// prove prints a line of the table of what is proven.
func prove(what string, columns ...any) {
	if *printProof {
		fmt.Printf("%-68s%s\n", what, strings.TrimSuffix(fmt.Sprintln(columns...), "\n"))
	}
}

// control is a provider that is wrong in a way that sums and answers may not show.
type control struct {
	lockprovider.Provider
	deps lockprovider.Deps

	mu   sync.Mutex
	n    int
	late []lockprovider.Change
	told lockprovider.Receipt
	seen map[uuid.UUID]bool

	known map[string]ledger.Balance // by an instance of an epoch that has ended

	execute func(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error)
}

func (k *control) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	return k.execute(ctx, k, c)
}

// count returns how many changes have come.
func (k *control) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	return k.n
}

// answersEarly says of every third change that it is committed, and commits it behind the next one that comes.
func answersEarly(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error) {
	if k.count()%3 == 0 {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.late = append(k.late, c)
		return lockprovider.Receipt{ChangeID: c.ID, State: lockprovider.Committed, Attempts: 1, Payload: c.Record.Payload}, nil
	}
	receipt, err := k.Provider.Execute(ctx, c)
	k.mu.Lock()
	late := k.late
	k.late = nil
	k.mu.Unlock()
	for _, c := range late {
		if _, err := k.Provider.Execute(ctx, c); err != nil {
			return receipt, err
		}
	}
	return receipt, err
}

// unlocksEarly lets the next one in before it has committed: each change is computed alone, and not written alone.
func unlocksEarly(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error) {
	return k.deps.Ledger.Once(ctx, c, func(ctx context.Context) (lockprovider.Receipt, error) {
		k.mu.Lock()
		read, err := k.deps.Ledger.Read(ctx, c.Moves)
		k.mu.Unlock()
		if err != nil {
			return lockprovider.Receipt{}, err
		}
		after, err := ledger.Check(read, c.Moves)
		if err != nil {
			return lockprovider.Receipt{}, err
		}
		return k.deps.Ledger.Run(ctx, lockprovider.SetNX, func(tx *ledger.Tx) error {
			return tx.Write(ctx, c, read, after, ledger.Unconditional)
		})
	})
}

// tellsAnothers tells every seventh caller what became of the change before, and does nothing.
func tellsAnothers(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error) {
	n := k.count()
	k.mu.Lock()
	told := k.told
	k.mu.Unlock()
	if n%7 == 0 && told.ChangeID != uuid.Nil {
		return told, nil
	}
	receipt, err := k.Provider.Execute(ctx, c)
	if err == nil {
		k.mu.Lock()
		k.told = receipt
		k.mu.Unlock()
	}
	return receipt, err
}

// forgets knows nothing of a change any more when its repeat comes: not its key, nor its journal, nor its order.
func forgets(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error) {
	k.mu.Lock()
	repeat := k.seen[c.ID]
	k.seen[c.ID] = true
	k.mu.Unlock()
	if repeat {
		db := k.deps.Ledger.Ent()
		rows, err := db.Entry.Query().Where(entry.ChangeID(c.ID)).All(ctx)
		if err != nil || len(rows) == 0 {
			return k.Provider.Execute(ctx, c) // it was refused
		}
		orders := strings.TrimPrefix(string(c.Record.Payload), "{")
		_, id, _ := strings.Cut(orders, `"ord_`)
		id, _, _ = strings.Cut(id, `"`)
		for _, err := range []error{
			second(db.OrderLine.Delete().Where(orderline.OrderID("ord_" + id)).Exec(ctx)),
			second(db.Order.Delete().Where(order.ID("ord_" + id)).Exec(ctx)),
			second(db.Entry.Delete().Where(entry.ChangeID(c.ID)).Exec(ctx)),
			second(db.ChangeLog.Delete().Where(changelog.ChangeID(c.ID)).Exec(ctx)),
		} {
			if err != nil {
				return lockprovider.Receipt{}, err
			}
		}
	}
	return k.Provider.Execute(ctx, c)
}

func second(_ int, err error) error { return err }

// isNotFenced has every fifth change made by an instance that goes on from the balances as they were when its epoch ended: it has seen none of the
// changes of the others since.
func isNotFenced(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error) {
	if k.count()%5 != 0 {
		return k.Provider.Execute(ctx, c)
	}
	return k.deps.Ledger.Once(ctx, c, func(ctx context.Context) (lockprovider.Receipt, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.known == nil {
			k.known = map[string]ledger.Balance{}
		}
		now, err := k.deps.Ledger.Read(ctx, c.Moves)
		if err != nil {
			return lockprovider.Receipt{}, err
		}
		for i, m := range c.Moves {
			if old, ok := k.known[m.Balance]; ok {
				now[i] = old
			}
		}
		after, err := ledger.Check(now, c.Moves)
		if err != nil {
			return lockprovider.Receipt{}, err
		}
		for i, m := range c.Moves {
			b := now[i]
			b.Amount, b.Version, b.Applied, b.Missing = after[i], b.Version+1, b.Applied+1, false
			k.known[m.Balance] = b
		}
		return k.deps.Ledger.Run(ctx, lockprovider.SetNX, func(tx *ledger.Tx) error {
			return tx.Write(ctx, c, now, after, ledger.Unconditional)
		})
	})
}

// lag is a replica that is one read behind: it tells what it was last asked to tell.
func lag(t *testing.T, shop string) (url string) {
	t.Helper()
	var mu sync.Mutex
	before := map[string][]byte{}
	replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		forwarded, err := http.NewRequestWithContext(r.Context(), r.Method, shop+r.URL.Path, bytes.NewReader(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		forwarded.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(forwarded)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		now, _ := io.ReadAll(answer.Body) // what is cut off is no answer
		if question := string(body); strings.Contains(question, "{ product(id:") {
			mu.Lock()
			old, ok := before[question]
			before[question] = now
			mu.Unlock()
			if ok {
				now = old
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(now) // the client has gone
	}))
	t.Cleanup(replica.Close)
	return replica.URL
}

// TestOrderControlsAreCaught runs experiments on shops that are wrong on purpose, through the API, and has each found by its name.
func TestOrderControlsAreCaught(t *testing.T) {
	for _, test := range []struct {
		name    string
		base    lockprovider.Strategy
		execute func(ctx context.Context, k *control, c lockprovider.Change) (lockprovider.Receipt, error)
		lags    bool
		want    []history.Name // all of these; nil is none at all
	}{
		{name: "compares no version (none is optimistic without it)", base: lockprovider.None, want: []history.Name{history.LostUpdate}},
		{
			name: "releases its lock before the commit", base: lockprovider.RowLock, execute: unlocksEarly,
			want: []history.Name{history.LostUpdate},
		},
		{
			name: "does not fence an epoch that has ended", base: lockprovider.RowLock, execute: isNotFenced,
			want: []history.Name{history.LostUpdate},
		},
		{
			name: "answers before the commit and says that it is persisted", base: lockprovider.RowLock, execute: answersEarly,
			want: []history.Name{history.StaleRead, history.RealTimeViolation},
		},
		{name: "reads from a replica that lags", base: lockprovider.RowLock, lags: true, want: []history.Name{history.StaleRead}},
		{
			name: "tells a waiter what became of another", base: lockprovider.RowLock, execute: tellsAnothers,
			want: []history.Name{history.VanishedEffect},
		},
		{
			name: "forgets keys too early", base: lockprovider.RowLock, execute: forgets,
			want: []history.Name{history.DuplicatedEffect},
		},
		{name: "is right", base: lockprovider.RowLock},
		{name: "is right in another way", base: lockprovider.GroupCommit},
	} {
		t.Run(test.name, func(t *testing.T) {
			const fault lockprovider.Strategy = "fault"
			right, _ := lockprovider.Lookup(test.base)
			defer lockprovider.Register(lockprovider.Info{
				Name: fault,
				New: func(d lockprovider.Deps) (lockprovider.Provider, error) {
					next, err := right.New(d)
					if test.execute == nil {
						return next, err
					}
					return &control{Provider: next, deps: d, execute: test.execute, seen: map[uuid.UUID]bool{}}, err
				},
			})()
			url, database := openShop(t, fault)
			if test.lags {
				url = lag(t, url)
			}
			run, said := recorded(t, running{urls: []string{url}, database: database}, "flash-sale", 200)
			if run.History < 200 {
				t.Errorf("%d operations were checked", run.History)
			}
			for _, name := range test.want {
				if !slices.ContainsFunc(run.Anomalies, func(a history.Anomaly) bool { return a.Name == name }) {
					t.Errorf("no %q, but %s", name, tellAll(run.Anomalies))
				}
			}
			if test.want == nil {
				if len(run.Anomalies) > 0 {
					t.Errorf("found where nothing is: %s", tellAll(run.Anomalies))
				}
				return
			}
			if first := run.Anomalies[0]; len(run.Findings) == 0 || run.Findings[0].Kind != string(first.Name) ||
				!strings.Contains(said, strings.ToUpper(string(first.Name))+": ") {
				t.Errorf("the report does not begin with %q: %v\n%s", first.Name, run.Findings, said)
			}
			if !t.Failed() {
				prove("a shop that "+test.name, "found as", named(test.want))
			}
		})
	}
}

// TestLostEventIsFound: a relay that keeps a position skips what is committed late, with a lower number. The sums of what its events have told are
// then too low.
func TestLostEventIsFound(t *testing.T) {
	t.Parallel() // what never comes is waited for
	for _, skips := range []bool{false, true} {
		url, database := openShop(t, lockprovider.RowLock)
		db, err := clients.OpenDatabase(t.Context(), database, clients.DatabaseOptions{})
		must(t, err)
		t.Cleanup(func() { must(t, db.Close()) })
		if skips { // SQLite has one writer, which commits nothing late: the rows look as if they were published
			_, err := db.Pools()["writer"].ExecContext(t.Context(), `CREATE TRIGGER skips AFTER INSERT ON change_logs WHEN NEW.id % 2 = 0
				BEGIN UPDATE change_logs SET published_at = NEW.created_at WHERE id = NEW.id; END`)
			must(t, err)
		}
		recorded(t, running{urls: []string{url}, database: database}, "mixed-all", 200)
		must(t, audit.Settled(t.Context(), db.Ent))
		found, err := audit.CompareSales(t.Context(), db.Ent)
		must(t, err)
		if paid := db.Ent.Order.Query().Where(order.StatusEQ(order.StatusPAID)).CountX(t.Context()); paid == 0 {
			t.Error("nothing was sold")
		}
		if !skips && len(found) > 0 {
			t.Errorf("found where nothing is: %v", found)
		}
		if skips && (len(found) == 0 || found[0].Kind != audit.Untold || found[0].Units == 0) {
			t.Errorf("the skipped events are not found: %v", found)
		}
	}
	if !t.Failed() {
		prove("a shop that has a relay which skips late commits", "found as", audit.Untold)
	}
}

// running is a shop that runs.
type running struct {
	urls            []string // of its instances
	database, redis string   // redis is "" if the strategy does not need it
}

// TestStrategiesKeepTheOrder runs two instances of a shop under each strategy. What the strategy promises is kept: no anomaly is found.
func TestStrategiesKeepTheOrder(t *testing.T) {
	for _, info := range lockprovider.Strategies {
		if info.Control || info.Needs.Redis && !testenv.Have(testenv.KindRedis) {
			continue
		}
		acks := []lockprovider.Ack{lockprovider.AckPersisted}
		if info.Traits.HeedsAck {
			acks = append(acks, lockprovider.AckAccepted)
		}
		for _, ack := range acks {
			t.Run(fmt.Sprintf("%s/%s", info.Name, ack), func(t *testing.T) {
				shop := openInstances(t, info, ack)
				if told := ackToldBy(t, shop); told != ack {
					t.Fatalf("the shop answers as with the ack %s", told)
				}
				for _, workload := range []string{"transfers", "flash-sale", "mixed-all", "adversary"} {
					const operations = 60
					run, said := recorded(t, shop, workload, operations)
					if run.History < operations {
						t.Errorf("%s: %d operations were checked", workload, run.History)
					}
					if len(run.Anomalies)+run.Violations > 0 {
						t.Errorf("%s: found where nothing is: %s\n%s", workload, tellAll(run.Anomalies), said)
						continue
					}
					prove(fmt.Sprintf("%s, %s, %s", info.Name, ack, workload), run.History, "operations in order,", run.Answers, "answers true")
				}
			})
		}
	}
}

// ackToldBy asks a shop for some transfers, and returns the ack that the answers show.
func ackToldBy(t *testing.T, shop running) lockprovider.Ack {
	t.Helper()
	w, err := load.WorkloadByName("transfers")
	must(t, err)
	s := load.NewShop(shop.urls, []byte(testSecret), "holdfast", "", "USD", 1)
	t.Cleanup(s.Close)
	data, err := load.Prepare(t.Context(), s, w, load.Size{Objects: 2, Units: 1_000}, 1, "ack")
	must(t, err)
	l := load.Generator{Shop: s, Dataset: data, Clients: 1, Operations: 5, Seed: 1, Label: "ack", History: true}
	return experiment.AckOf(l.Run(t.Context()).History)
}

// openInstances opens two instances of a shop, all of whose families use one strategy.
func openInstances(t *testing.T, info lockprovider.Info, ack lockprovider.Ack) running {
	t.Helper()
	out := running{database: "sqlite://" + filepath.Join(t.TempDir(), "shop.db")}
	cfg := config.Default()
	cfg.Database.URL = setting.URL(out.database)
	if info.Needs.Redis {
		out.redis = testenv.Redis(t).URL
		cfg.Redis.URL = setting.URL(out.redis)
	}
	strategies := map[lockprovider.Family]lockprovider.Strategy{}
	for family, lock := range cfg.Locks {
		lock.Strategy, lock.Settings.Ack, lock.Settings.Wait = info.Name, ack, time.Minute
		strategies[family] = info.Name
	}
	for range 2 {
		shop, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, shop.Close()) })
		out.urls = append(out.urls, serve(t, shop, strategies))
	}
	return out
}

// recorded runs operations of 4 clients, and returns what the run found and what the terminal shows.
func recorded(t *testing.T, shop running, workload string, operations int) (run report.Run, said string) {
	t.Helper()
	plan := plans.Default()
	plan.Workloads, plan.Clients, plan.Rounds = []string{workload}, []int{4}, 1
	plan.Units, plan.Operations, plan.Duration, plan.WarmUp, plan.History = 1_000, operations, plans.Duration(time.Minute), 0, true
	r := experiment.Runner{
		URLs: shop.urls, RunningDatabase: shop.database, RunningRedis: shop.redis,
		Secret: []byte(testSecret), Issuer: "holdfast", Currency: "USD",
	}
	measured, err := r.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	must(t, measured.WriteTable(&table, true))
	return measured.Runs[0], table.String()
}

func named(names []history.Name) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

func tellAll(found []history.Anomaly) string {
	var texts []string
	for _, a := range found {
		texts = append(texts, a.Text)
	}
	return strings.Join(texts, "\n")
}

// TestWhatIsAcceptedIsNotAwaited: without the Redis of running servers, nobody knows when what they accepted is persisted. What is not
// there yet has not vanished.
func TestWhatIsAcceptedIsNotAwaited(t *testing.T) {
	told := []history.Operation{{Outcome: history.Accepted, Change: uuid.New()}, {Outcome: history.Persisted, Change: uuid.New()}}
	if found := history.Check(&history.History{Operations: told}); len(found) != 1 || found[0].Count != 2 {
		t.Fatalf("found %+v", found)
	}
	found := history.Check(&history.History{Operations: experiment.WithoutAccepted(told)})
	if len(found) != 1 || found[0].Count != 1 || told[0].Outcome != history.Accepted {
		t.Errorf("found %+v", found)
	}
}

// TestFindingsTellWhatIsPromised: the report says of an anomaly whether the strategy promises that there is none, and from when on.
func TestFindingsTellWhatIsPromised(t *testing.T) {
	for _, test := range []struct {
		strategy lockprovider.Strategy
		outcome  history.Outcome
		want     string
	}{
		{lockprovider.None, history.Persisted, "is not promised."},
		{lockprovider.RowLock, history.Persisted, "is promised from the answer on."},
		{lockprovider.Lua, history.Persisted, "is promised from the answer on."},
		{lockprovider.Lua, history.Accepted, "is promised from the commit on."},
	} {
		info, _ := lockprovider.Lookup(test.strategy)
		ack := experiment.AckOf([]history.Operation{{Outcome: history.Refused}, {Outcome: test.outcome}})
		found := experiment.Anomalies([]history.Anomaly{{Name: history.StaleRead, Count: 1}}, info, ack)
		if len(found) != 1 || !strings.HasSuffix(found[0].Subject, test.want) {
			t.Errorf("%s: %+v, want %q", test.strategy, found, test.want)
		}
	}
}

// TestEveryAnomalyBreaksAGuarantee: what a strategy promises is a table, and every anomaly has its place in it.
func TestEveryAnomalyBreaksAGuarantee(t *testing.T) {
	for _, name := range history.Names() {
		g := experiment.GuaranteeOf(name)
		if !slices.Contains(lockprovider.Guarantees(), g) {
			t.Errorf("%s breaks %q, which is no guarantee", name, g)
		}
		for _, info := range lockprovider.Strategies {
			if promised := info.Guarantees(g, lockprovider.AckPersisted) == lockprovider.SinceAnswer; promised == info.Control {
				t.Errorf("%s: %q is promised: %t", info.Name, g, promised)
			}
		}
	}
}
