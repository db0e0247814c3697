package experiment_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/app"
	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/experiment"
	"holdfast/experiment/audit"
	"holdfast/experiment/plans"
	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// breakage is a provider that is right, except that it now and then does what it must not.
type breakage struct {
	lockprovider.Provider
	every int64
	n     atomic.Int64
	do    func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error)
}

func (b *breakage) Execute(ctx context.Context, c lockprovider.Change) (lockprovider.Receipt, error) {
	if b.n.Add(1)%b.every == 0 {
		return b.do(ctx, b.Provider, c)
	}
	return b.Provider.Execute(ctx, c)
}

// TestBrokenProvidersAreCaught runs experiments on shops whose stock is served by a provider with a fault: through the API,
// by concurrent customers, as real ones are.
func TestBrokenProvidersAreCaught(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error)
		want  []string // kinds of findings
		truth bool     // no answer is false, whatever else is wrong
	}{
		{
			name: "confirms what it does not do",
			do: func(_ context.Context, _ lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				return lockprovider.Receipt{ChangeID: c.ID, State: lockprovider.Committed, Attempts: 1}, nil
			},
			want: []string{audit.Missing},
		},
		{
			name: "accepts what it forgets",
			do: func(_ context.Context, _ lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				return lockprovider.Receipt{ChangeID: c.ID, State: lockprovider.Accepted, Attempts: 1}, nil
			},
			want: []string{audit.Missing},
		},
		{
			name: "does it, and says that the wait was too long",
			do:   then(lockprovider.ErrLockTimeout),
			want: []string{audit.Phantom},
		},
		{
			name: "does it, and says that the lock was lost",
			do:   then(lockprovider.ErrLockLost),
			want: []string{audit.Phantom},
		},
		{
			name: "does it, and says that others were in the way",
			do:   then(lockprovider.ErrConflict),
			want: []string{audit.Phantom},
		},
		{
			name: "does it, and says that this is not known",
			do:   then(fmt.Errorf("%w: %w", lockprovider.ErrUnavailable, lockprovider.ErrUnknown)),
		},
		{
			name: "does nothing, and says so",
			do: func(context.Context, lockprovider.Provider, lockprovider.Change) (lockprovider.Receipt, error) {
				return lockprovider.Receipt{}, lockprovider.ErrLockTimeout
			},
		},
		{
			name: "refuses while there are units left",
			do: func(_ context.Context, _ lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				return lockprovider.Receipt{}, &lockprovider.Refused{Refusals: []lockprovider.Refusal{{
					Balance: c.Moves[0].Balance, Delta: c.Moves[0].Delta, Reason: lockprovider.ErrInsufficient,
				}}}
			},
			want: []string{audit.WrongRefusal},
		},
		{
			name: "refuses what it does",
			do: func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				if _, err := next.Execute(ctx, c); err != nil {
					return lockprovider.Receipt{}, err
				}
				return lockprovider.Receipt{}, &lockprovider.Refused{Refusals: []lockprovider.Refusal{{
					Balance: c.Moves[0].Balance, Delta: c.Moves[0].Delta, Reason: lockprovider.ErrInsufficient,
				}}}
			},
			want: []string{audit.Phantom, audit.WrongRefusal},
		},
		{
			name: "takes the stock twice",
			do: func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				receipt, err := next.Execute(ctx, c)
				c.ID, c.Record = uuid.New(), lockprovider.Record{Kind: commerce.KindStockAdjusted, Payload: []byte(`{}`), Fingerprint: "x"}
				if err == nil {
					_, err = next.Execute(ctx, c)
				}
				return receipt, err
			},
			want: []string{audit.LostUnits}, truth: true,
		},
		{
			name: "is right",
			do: func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
				return next.Execute(ctx, c)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			const fault lockprovider.Strategy = "fault"
			right, _ := lockprovider.Lookup(lockprovider.RowLock)
			defer lockprovider.Register(lockprovider.Info{
				Name: fault,
				New: func(d lockprovider.Deps) (lockprovider.Provider, error) {
					next, err := right.New(d)
					return &breakage{Provider: next, every: 7, do: test.do}, err
				},
			})()
			url, database := openShop(t, fault)
			plan := plans.Default()
			plan.Workloads, plan.Clients, plan.Rounds = []string{"flash-sale"}, []int{4}, 1
			plan.Units, plan.Operations, plan.Duration, plan.WarmUp = 1_000, 40, plans.Duration(time.Minute), 0
			r := experiment.Runner{URLs: []string{url}, RunningDatabase: database, Secret: []byte(testSecret), Issuer: "holdfast", Currency: "USD"}
			report, err := r.Run(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			run := report.Runs[0]
			if run.Successes+run.Refusals != 40 {
				t.Errorf("%d of 40 were answered: %v", run.Successes+run.Refusals, run.Retries)
			}
			if len(test.want) == 0 && run.Violations > 0 {
				t.Errorf("found where nothing is: %v", run.Findings)
			}
			for _, kind := range test.want {
				if !slices.ContainsFunc(run.Findings, func(f audit.Finding) bool { return f.Kind == kind }) {
					t.Errorf("no finding %q, but %v", kind, run.Findings)
				}
			}
			if truth := test.truth || len(test.want) == 0; run.Answers < 40 || truth != (run.FalseAnswers == 0) {
				t.Errorf("%d of %d answers are said to be false", run.FalseAnswers, run.Answers)
			}
			said := strings.Join(report.Conclusion, "\n")
			if line := fmt.Sprintf("%d of %d answers to customers were false.", run.FalseAnswers, run.Answers); !strings.Contains(said, line) {
				t.Errorf("%q is not in the conclusion %s", line, said)
			}
			if broken := len(test.want) > 0; broken != strings.Contains(said, "FAULT under flash-sale") || broken != (len(report.Violated()) == 1) {
				t.Errorf("the conclusion is %s", said)
			}
		})
	}
}

// then does what it is asked for, and says something else.
func then(lie error) func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
	return func(ctx context.Context, next lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
		receipt, err := next.Execute(ctx, c)
		if err != nil || receipt.Replayed {
			return receipt, err
		}
		return lockprovider.Receipt{}, lie
	}
}

const testSecret = "a secret of the tests, 32 bytes or longer"

// openShop serves a shop whose stock is under the strategy, from inside this process.
func openShop(t *testing.T, stock lockprovider.Strategy) (url, database string) {
	t.Helper()
	database = "sqlite://" + filepath.Join(t.TempDir(), "shop.db")
	cfg := config.Default()
	cfg.Database.URL = setting.URL(database)
	for family, lock := range cfg.Locks {
		*lock = lockprovider.FamilyConfig{Strategy: lockprovider.RowLock, Settings: lockprovider.Settings{
			Wait: 2 * time.Minute, Attempts: 10, Backoff: time.Millisecond,
		}}
		if family == lockprovider.Stock {
			lock.Strategy = stock
		}
	}
	shop, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{Events: true})
	must(t, err)
	t.Cleanup(func() { must(t, shop.Close()) })
	strategies := map[lockprovider.Family]lockprovider.Strategy{} // the API has no name for a fault
	for _, f := range lockprovider.Families {
		strategies[f] = stock
	}
	return serve(t, shop, strategies), database
}

// serve serves the API of a shop, and returns its URL.
func serve(t *testing.T, shop *app.Shop, strategies map[lockprovider.Family]lockprovider.Strategy) string {
	t.Helper()
	verifier, err := auth.NewVerifier([]byte(testSecret), "holdfast", "")
	must(t, err)
	handler, err := graph.NewHandler(graph.Options{
		Services: shop.Services, Client: shop.DB.Ent, Strategies: strategies, Verifier: verifier, Logger: slog.New(slog.DiscardHandler),
		Limits: transport.Limits{MaxBodyBytes: 1 << 16, MaxDepth: 12, MaxComplexity: 10_000, RequestTimeout: 5 * time.Minute},
	})
	must(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
