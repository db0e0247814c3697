package audit

import (
	"context"
	"slices"
	"testing"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/experiment/claims"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

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
		redisfirst.StoreSettings{Database: deployment.Database()})
	_, _, err = store.Prime(ctx, []string{right, wrong}, func(context.Context, []string) (map[string]ledger.Level, error) {
		return levels, nil
	})
	must(t, err)
	findings, err := CompareStores(ctx, db.Ent, redis)
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
	asked := load.NewRequest(load.ChargePoints, "alice")
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 1})
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger}, everywhere(lockprovider.AtomicSQL))
	must(t, err)
	defer func() { must(t, providers.Close()) }()
	_, err = providers.For(lockprovider.Points).Execute(ctx, lockprovider.Change{
		ID: asked.Change, Family: lockprovider.Points,
		Moves:  []lockprovider.Move{{Balance: lockprovider.PointsKey("alice"), Delta: 5, Open: &lockprovider.Bounds{Ceiling: 1000}}},
		Record: lockprovider.Record{Kind: commerce.KindPointsCharged, Payload: []byte(`{}`), Fingerprint: "x"},
	})
	must(t, err)
	kinds := func(a *Auditor, client *ent.Client) []string {
		t.Helper()
		a.DB = client
		result, err := a.Run(ctx)
		must(t, err)
		var found []string
		for _, f := range result.Findings {
			found = append(found, f.Kind)
		}
		return found
	}
	if found := kinds(&Auditor{}, db.Ent); !slices.Equal(found, []string{Unasked}) {
		t.Errorf("%v", found)
	}
	asked.Outcome, asked.Amount = load.Granted, 5
	asked.Told.Told(claims.Reply{Object: "wallet_alice"})
	if found := kinds(&Auditor{Requests: []*load.Request{asked}}, db.Ent); found != nil {
		t.Errorf("%v", found)
	}
	asked.Amount = 6
	if found := kinds(&Auditor{Requests: []*load.Request{asked}}, db.Ent); !slices.Equal(found, []string{LostMoney}) {
		t.Errorf("%v", found)
	}
}

// TestRefusalsByALimit: a limit of the shop is a setting that the books do not have. Who never had an order that waits has too many of none.
func TestRefusalsByALimit(t *testing.T) {
	for _, test := range []struct {
		user, code string
		right      bool
	}{
		{"alice", "TOO_MANY_PENDING_ORDERS", true}, {"bob", "TOO_MANY_PENDING_ORDERS", false}, {"bob", "PURCHASE_LIMIT", true},
	} {
		asked := load.NewRequest(load.PlaceOrder, test.user)
		asked.Code = test.code
		a := &Auditor{books: books{high: map[string]int64{lockprovider.PendingKey("alice"): 10}}}
		if got := a.refusal(asked, false); got != test.right || (len(a.result.Findings) == 0) != test.right {
			t.Errorf("%s of %s is right: %v, with %v", test.code, test.user, got, a.result.Findings)
		}
	}
}

func everywhere(s lockprovider.Strategy) map[lockprovider.Family]lockprovider.FamilyConfig {
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: s, Settings: lockprovider.Settings{Wait: 1e10, Attempts: 3, Backoff: 1e6}}
	}
	return families
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
