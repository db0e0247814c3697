package lockprovider_test

import (
	"database/sql"
	"net/url"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

// serverKinds are databases of servers with other defaults than the usual ones, or behind a pooler.
var serverKinds = []struct {
	name, dialect string
	url           func(*testing.T) string
	redis         []redisKind
}{
	{"postgres, serializable by default", dialect.Postgres, func(t *testing.T) string {
		return withDefault(t, testenv.Postgres(t), "default_transaction_isolation = 'serializable'")
	}, []redisKind{{}}},
	{"postgres, repeatable read by default", dialect.Postgres, func(t *testing.T) string {
		return withDefault(t, testenv.Postgres(t), "default_transaction_isolation = 'repeatable read'")
	}, []redisKind{{}}},
	{"pgbouncer, sessions shared", dialect.Postgres, func(t *testing.T) string {
		return testenv.PgBouncer(t, testenv.Postgres(t), "pool_mode = transaction") + "&pool=transaction"
	}, []redisKind{{}, embedded}},
	{"pgbouncer, sessions of their own", dialect.Postgres, func(t *testing.T) string {
		address := withDefault(t, testenv.Postgres(t), "default_transaction_isolation = 'serializable'")
		return testenv.PgBouncer(t, address, "pool_mode = session", "default_pool_size = 100") + "&pool=session"
	}, []redisKind{{}}},
	{"mariadb, serializable by default", dialect.MySQL, func(t *testing.T) string {
		return testenv.MariaDBServer(t, "--transaction-isolation=SERIALIZABLE", "--autocommit=0", "--completion-type=CHAIN",
			"--sql-mode=").URL
	}, []redisKind{{}}},
	{"mariadb, repeatable read by default", dialect.MySQL, func(t *testing.T) string {
		return testenv.MariaDBServer(t, "--transaction-isolation=REPEATABLE-READ").URL
	}, []redisKind{{}}},
	{"mariadb, read uncommitted by default", dialect.MySQL, func(t *testing.T) string {
		return testenv.MariaDBServer(t, "--transaction-isolation=READ-UNCOMMITTED").URL
	}, []redisKind{{}}},
}

// withDefault sets a parameter for all sessions of a database of PostgreSQL, and returns its URL.
func withDefault(t *testing.T, address, setting string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" SET "+setting); err != nil {
		t.Fatal(err)
	}
	return address
}

// TestConformanceOfServers runs the scenarios with one family on servers that are not set up as usual: a third of them on each
// server, in turn, and with HOLDFAST_CAMPAIGN=long all of them on all.
func TestConformanceOfServers(t *testing.T) {
	var envs sync.WaitGroup
	turns := make(chan struct{}, sideBySide)
	const parts = 3
	for i, server := range serverKinds {
		envs.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			t.Run(server.name, func(t *testing.T) {
				address := server.url(t)
				for _, kind := range server.redis {
					env := openEnv(t, server.name, address, kind)
					env.Families, env.Small = lockprovider.Families[1:2], true
					if !longCampaign() {
						env.Share, env.Of = i%parts, parts
					}
					for _, v := range variantsFor(kind, server.dialect) {
						if v.Strategy != lockprovider.SetNX && v.Strategy != lockprovider.Redsync { // they do the same in the database as pubsub
							providertest.Run(t, env, v)
						}
					}
				}
			})
		})
	}
	envs.Wait()
}
