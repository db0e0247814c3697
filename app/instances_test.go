package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/changelog"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// oneOfMany is one of several shops on the same database, each with a Redis inside of it.
type oneOfMany struct {
	*Shop
	metrics *prometheus.Registry
}

func openInstance(t *testing.T, databaseURL string, strategy lockprovider.Strategy, o Options) (*oneOfMany, error) {
	t.Helper()
	cfg := config.Default()
	cfg.Database.URL = setting.URL(databaseURL)
	for _, lock := range cfg.Locks {
		lock.Strategy = strategy
	}
	o.Metrics = NewMetrics()
	s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler), o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return &oneOfMany{s, o.Metrics}, nil
}

// relayed is how many events an instance has published.
func (i *oneOfMany) relayed(t *testing.T) (sum int) {
	t.Helper()
	families, err := i.metrics.Gather()
	must(t, err)
	at := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "holdfast_relayed_events_total" })
	if at < 0 {
		return 0
	}
	for _, m := range families[at].GetMetric() {
		sum += int(m.GetCounter().GetValue())
	}
	return sum
}

func (i *oneOfMany) charge(t *testing.T, user string) {
	t.Helper()
	v, err := commerce.NewViewer(user, "", false)
	must(t, err)
	_, err = i.Services.Points.Charge(t.Context(), v, commerce.ChargePoints{Key: uuid.New(), Amount: 1})
	must(t, err)
}

// awaitRelayed waits until all changes are published.
func (i *oneOfMany) awaitRelayed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		n, err := i.DB.Ent.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).Count(ctx)
		must(t, err)
		if n == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited %s until all events were published; %d changes are not", testenv.Patience, n)
		}
	}
}

// Instances that share the database and not Redis publish each event once, and one goes on when the other stops.
func TestOneRelayADatabase(t *testing.T) {
	address := testenv.Postgres(t)
	one, err := openInstance(t, address, lockprovider.RowLock, Options{Events: true})
	must(t, err)
	two, err := openInstance(t, address, lockprovider.RowLock, Options{Events: true})
	must(t, err)
	const charges = 100
	for range charges {
		one.charge(t, "alice")
		two.charge(t, "bob")
	}
	one.awaitRelayed(t)
	if got := one.relayed(t) + two.relayed(t); got != 2*charges {
		t.Errorf("%d events published for %d changes", got, 2*charges)
	}
	must(t, one.Events.Close())
	two.charge(t, "alice")
	two.awaitRelayed(t)
}
