package host

import (
	"strings"
	"testing"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestRedisInUseIsRefused(t *testing.T) {
	server := testenv.Redis(t)
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(server.URL)})
	must(t, err)
	defer r.Close()
	stores := Stores{RedisURL: server.URL}
	must(t, r.Client.Set(t.Context(), "somebody's", "data", 0).Err())
	if _, err := stores.Open(t.Context(), SQLite, RealRedis); err == nil || !strings.Contains(err.Error(), "holds 1 keys") {
		t.Errorf("took a Redis that somebody uses: %v", err)
	}
	if got := r.Client.Get(t.Context(), "somebody's").Val(); got != "data" {
		t.Errorf("and has lost it: %q", got)
	}
	must(t, r.Client.Del(t.Context(), "somebody's").Err())
	site, err := stores.Open(t.Context(), SQLite, RealRedis)
	must(t, err)
	must(t, r.Client.Set(t.Context(), "a server's", "data", 0).Err())
	must(t, site.Close())
	if n := r.Client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys are left for the next run", n)
	}
}

func TestEachRunHasADatabaseOfItsOwn(t *testing.T) {
	for _, server := range []struct {
		kind string
		url  func(*testing.T) string
		into func(*Stores, string)
	}{
		{Postgres, func(t *testing.T) string { return testenv.Postgres(t) }, func(s *Stores, url string) { s.PostgresURL = url }},
		{MariaDB, func(t *testing.T) string { return testenv.MariaDB(t) }, func(s *Stores, url string) { s.MariaDBURL = url }},
	} {
		t.Run(server.kind, func(t *testing.T) {
			var stores Stores
			server.into(&stores, server.url(t))
			first, err := stores.Open(t.Context(), server.kind, EmbeddedRedis)
			must(t, err)
			second, err := stores.Open(t.Context(), server.kind, EmbeddedRedis)
			must(t, err)
			defer func() { must(t, second.Close()) }()
			if first.DatabaseURL == second.DatabaseURL || first.RedisURL == second.RedisURL {
				t.Errorf("two runs share %s or %s", first.DatabaseURL, first.RedisURL)
			}
			db, err := clients.OpenDatabase(t.Context(), first.DatabaseURL, clients.DatabaseOptions{})
			must(t, err)
			applied, err := db.Migrate(t.Context())
			must(t, err)
			if len(applied) == 0 {
				t.Error("the database was not empty")
			}
			if n, err := first.Transactions(t.Context()); err != nil || n == nil || *n <= 0 {
				t.Errorf("transactions %v, %v", n, err)
			}
			if cpu := localCPU(first.DatabaseURL); cpu == nil || *cpu <= 0 {
				t.Errorf("CPU of the server: %v", cpu)
			}
			must(t, db.Close())
			must(t, first.Close())
			if db, err := clients.OpenDatabase(t.Context(), first.DatabaseURL, clients.DatabaseOptions{}); err == nil {
				t.Error("the database of the first run is still there")
				must(t, db.Close())
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
