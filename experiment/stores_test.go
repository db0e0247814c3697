package experiment

import (
	"slices"
	"strings"
	"testing"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestRedisInUseIsRefused(t *testing.T) {
	server := testenv.Redis(t)
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: server.URL})
	must(t, err)
	defer r.Close()
	stores := Stores{RedisURL: server.URL}
	must(t, r.Client.Set(t.Context(), "somebody's", "data", 0).Err())
	if _, err := stores.open(t.Context(), SQLite, RealRedis); err == nil || !strings.Contains(err.Error(), "holds 1 keys") {
		t.Errorf("took a Redis that somebody uses: %v", err)
	}
	if got := r.Client.Get(t.Context(), "somebody's").Val(); got != "data" {
		t.Errorf("and has lost it: %q", got)
	}
	must(t, r.Client.Del(t.Context(), "somebody's").Err())
	site, err := stores.open(t.Context(), SQLite, RealRedis)
	must(t, err)
	must(t, r.Client.Set(t.Context(), "a server's", "data", 0).Err())
	must(t, site.close())
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
			first, err := stores.open(t.Context(), server.kind, EmbeddedRedis)
			must(t, err)
			second, err := stores.open(t.Context(), server.kind, EmbeddedRedis)
			must(t, err)
			defer func() { must(t, second.close()) }()
			if first.databaseURL == second.databaseURL || first.redisURL == second.redisURL {
				t.Errorf("two runs share %s or %s", first.databaseURL, first.redisURL)
			}
			db, err := clients.OpenDatabase(t.Context(), first.databaseURL, clients.DatabaseOptions{})
			must(t, err)
			applied, err := db.Migrate(t.Context())
			must(t, err)
			if len(applied) == 0 {
				t.Error("the database was not empty")
			}
			if n, err := first.transactions(t.Context()); err != nil || n == nil || *n <= 0 {
				t.Errorf("transactions %v, %v", n, err)
			}
			if cpu := localCPU(first.databaseURL); cpu == nil || *cpu <= 0 {
				t.Errorf("CPU of the server: %v", cpu)
			}
			must(t, db.Close())
			must(t, first.close())
			if db, err := clients.OpenDatabase(t.Context(), first.databaseURL, clients.DatabaseOptions{}); err == nil {
				t.Error("the database of the first run is still there")
				must(t, db.Close())
			}
		})
	}
}

// TestDriftIsFound lets Redis say something else than the database.
func TestDriftIsFound(t *testing.T) {
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.Migrate(ctx)
	must(t, err)
	redis, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: clients.EmbeddedRedis})
	must(t, err)
	defer func() { must(t, redis.Close()) }()
	strategies := map[lockprovider.Family]lockprovider.Strategy{}
	for _, f := range lockprovider.Families {
		strategies[f] = lockprovider.Lua
	}
	deployment, err := lockprovider.Join(ctx, db.Ent, strategies, lockprovider.DeploymentSettings{Heartbeat: 1e9, Expiry: 5e9})
	must(t, err)
	defer func() { must(t, deployment.Leave(ctx)) }()
	right, wrong := lockprovider.StockKey("prod_1"), lockprovider.StockKey("prod_2")
	levels := map[string]ledger.Level{}
	for _, key := range []string{right, wrong} {
		levels[key] = ledger.Level{Amount: 10, Ceiling: 100}
		must(t, db.Ent.Balance.Create().SetID(key).SetFamily(string(lockprovider.Stock)).SetAmount(10).SetFloor(0).
			SetCeiling(100).SetOpening(10).Exec(ctx))
	}
	levels[wrong] = ledger.Level{Amount: 7, Ceiling: 100, Seq: 3}
	store := redisfirst.NewStore(redis.Client, lockprovider.Stock, deployment.Epochs()[lockprovider.Stock], "test",
		redisfirst.StoreSettings{})
	_, _, err = store.Prime(ctx, levels)
	must(t, err)
	findings, err := settle(ctx, db.Ent, redis)
	must(t, err)
	if len(findings) != 1 || findings[0].Kind != Drift || findings[0].Subject != wrong || findings[0].Units != 3 {
		t.Errorf("%+v", findings)
	}
}

// TestUnaskedChangesAreFound writes a change into the books that no customer has asked for.
func TestUnaskedChangesAreFound(t *testing.T) {
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.Migrate(ctx)
	must(t, err)
	asked := newAsk(chargePoints, "alice")
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, 1)
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger}, everywhere(lockprovider.AtomicSQL))
	must(t, err)
	defer func() { must(t, providers.Close()) }()
	_, err = providers.For(lockprovider.Points).Execute(ctx, lockprovider.Change{
		ID: asked.change, Family: lockprovider.Points,
		Moves:  []lockprovider.Move{{Balance: lockprovider.PointsKey("alice"), Delta: 5, Open: &lockprovider.Bounds{Ceiling: 1000}}},
		Record: lockprovider.Record{Kind: commerce.KindPointsCharged, Payload: []byte(`{}`), Fingerprint: "x"},
	})
	must(t, err)
	kinds := func(a *auditor, client *ent.Client) []string {
		t.Helper()
		a.db = client
		must(t, a.run(ctx))
		var found []string
		for _, f := range a.findings {
			found = append(found, f.Kind)
		}
		return found
	}
	if found := kinds(&auditor{}, db.Ent); !slices.Equal(found, []string{Unasked}) {
		t.Errorf("%v", found)
	}
	asked.outcome, asked.amount = granted, 5
	if found := kinds(&auditor{asks: []*ask{asked}}, db.Ent); found != nil {
		t.Errorf("%v", found)
	}
	asked.amount = 6
	if found := kinds(&auditor{asks: []*ask{asked}}, db.Ent); !slices.Equal(found, []string{LostMoney}) {
		t.Errorf("%v", found)
	}
}

func everywhere(s lockprovider.Strategy) map[lockprovider.Family]lockprovider.FamilyConfig {
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: s, Settings: lockprovider.Settings{Wait: 1e10, Attempts: 3, Backoff: 1e6}}
	}
	return families
}
