package testenv

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/servers"
)

// PostgresPair is a PostgreSQL and a synchronous standby, for which its commits wait.
type PostgresPair struct {
	Primary, Standby *Server
	// URL names both, and asks for the one that takes writes.
	URL string
}

// PostgresWithStandby starts a private pair that stops with the test.
func PostgresWithStandby(t testing.TB) *PostgresPair {
	t.Helper()
	p := &PostgresPair{Primary: PostgresServer(t)}
	p.Standby = stopped(t, func() (*Server, error) { return servers.StartStandby(t.Context(), p.Primary) })
	p.URL = strings.Replace(p.Primary.URL, p.Primary.Addr, p.Primary.Addr+","+p.Standby.Addr, 1) + "&target_session_attrs=read-write"
	ctx, cancel := context.WithTimeout(t.Context(), promotionTimeout)
	defer cancel()
	if err := p.synchronize(ctx); err != nil {
		t.Fatalf("testenv: make the standby a synchronous one: %v\n%s", err, p.Standby.LogTail())
	}
	return p
}

// synchronize returns when commits wait for the standby.
func (p *PostgresPair) synchronize(ctx context.Context) error {
	primary, err := pgx.Connect(ctx, p.Primary.URL)
	if err != nil {
		return err
	}
	defer func() { _ = primary.Close(ctx) }()
	for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"} {
		if _, err := primary.Exec(ctx, statement); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		var synchronous bool
		err := primary.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')").Scan(&synchronous)
		if err != nil || synchronous {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Promote ends the primary, as a crash does, and makes the standby take its place.
func (p *PostgresPair) Promote(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), promotionTimeout)
	defer cancel()
	if err := p.Primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
}
