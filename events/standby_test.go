package events

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// No event tells of a change that a synchronous standby does not have: the standby may become the primary without it.
func TestRelayWaitsForTheStandby(t *testing.T) {
	p := testenv.PostgresWithStandby(t)
	db, err := clients.OpenDatabase(t.Context(), p.URL, clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	must(t, err)
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{CommitTimeout: testenv.Scaled(500 * time.Millisecond)})
	running, err := start(t.Context(), Deps{Client: db.Ent, Durable: ledger.Replicated, Settings: DefaultSettings(), Exclusive: never}, nil)
	must(t, err)
	t.Cleanup(func() { must(t, running.Close()) })

	must(t, p.Standby.Kill())
	c := lockprovider.Change{ID: uuid.New(), Family: lockprovider.Points, Record: lockprovider.Record{Kind: commerce.KindPointsCharged}}
	if _, err := ledger.Apply(t.Context(), c); lockprovider.EffectOf(err) != lockprovider.EffectUnknown {
		t.Fatalf("without a standby: %v, want an unknown outcome", err)
	}
	// PostgreSQL shows the commit when it has heard that the client gave up, which is some time after the client did.
	relayUntil(t, running.relay, "the relay saw the change and refused it", func(n int, err error) bool {
		if n != 0 {
			t.Fatalf("without a standby, %d changes are published", n)
		}
		return err != nil
	})
	must(t, p.Standby.Restart())
	relayUntil(t, running.relay, "the change was published", func(n int, err error) bool { return n == 1 && err == nil })
}

// relayUntil runs the relay again and again until done says so of what it did.
func relayUntil(t *testing.T, r *Relay, what string, done func(n int, err error) bool) {
	t.Helper()
	ticker, timeout := time.NewTicker(20*time.Millisecond), time.NewTimer(testenv.Patience)
	defer ticker.Stop()
	defer timeout.Stop()
	for {
		n, err := r.runOnce(t.Context())
		if done(n, err) {
			return
		}
		select {
		case <-ticker.C:
		case <-timeout.C:
			t.Fatalf("waited %s until %s: %d, error %v", testenv.Patience, what, n, err)
		}
	}
}

// never keeps the relay of a test from running by itself.
func never(ctx context.Context, _ string, _ func(context.Context) error) error {
	<-ctx.Done()
	return ctx.Err()
}
