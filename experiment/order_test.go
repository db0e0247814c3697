package experiment_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/experiment"
	"holdfast/experiment/history"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/lockprovider"
)

// control is a provider that is wrong in a way that sums and answers may not show.
type control struct {
	lockprovider.Provider
	deps lockprovider.Deps

	mu   sync.Mutex
	n    int
	late []lockprovider.Change
	told lockprovider.Receipt
	seen map[uuid.UUID]bool

	execute func(k *control, ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error)
}

func (k *control) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	return k.execute(k, ctx, c)
}

// count returns how many changes have come.
func (k *control) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	return k.n
}

// answersEarly says of every third change that it is committed, and commits it behind the next one that comes.
func answersEarly(k *control, ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
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

// tellsAnothers tells every seventh caller what became of the change before, and does nothing.
func tellsAnothers(k *control, ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
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
func forgets(k *control, ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
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
		execute func(k *control, ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error)
		lags    bool
		want    []history.Name // all of these; nil is none at all
	}{
		{name: "nobody is kept out", base: lockprovider.None, want: []history.Name{history.LostUpdate}},
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
			run, said := recorded(t, url, database)
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
		})
	}
}

// recorded runs 200 operations of 4 clients, and returns what the run found and what the terminal shows.
func recorded(t *testing.T, url, database string) (run report.Run, said string) {
	t.Helper()
	plan := plans.Default()
	plan.Workloads, plan.Clients, plan.Rounds = []string{"flash-sale"}, []int{4}, 1
	plan.Units, plan.Operations, plan.Duration, plan.WarmUp, plan.History = 1_000, 200, plans.Duration(time.Minute), 0, true
	r := experiment.Runner{URLs: []string{url}, RunningDatabase: database, Secret: []byte(testSecret), Issuer: "holdfast", Currency: "USD"}
	measured, err := r.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	must(t, measured.WriteTable(&table))
	return measured.Runs[0], table.String()
}

func tellAll(found []history.Anomaly) string {
	var texts []string
	for _, a := range found {
		texts = append(texts, a.Text)
	}
	return strings.Join(texts, "\n")
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
