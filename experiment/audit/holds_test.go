package audit

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/hold"
	"holdfast/experiment/claims"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// TestHoldsAreAudited: what is held balances. A hold whose stock was not taken is found, and so is a count that differs from the holds.
func TestHoldsAreAudited(t *testing.T) {
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.Migrate(ctx)
	must(t, err)
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 1})
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger}, everywhere(lockprovider.AtomicSQL))
	must(t, err)
	defer func() { must(t, providers.Close()) }()
	shop := commerce.New(commerce.Deps{
		Client: db.Ent, Ledger: ledger, Providers: providers, Gateway: payments.NewSimulated(payments.SimulatedSettings{}),
	})
	product, err := shop.Catalog.Create(ctx, commerce.Viewer{UserID: "root", Admin: true}, commerce.CreateProduct{
		SKU: "A", Name: "A", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Stock: 10,
	})
	must(t, err)
	customer, lines := commerce.Viewer{UserID: "alice"}, []commerce.Line{{ProductID: product.ID, Quantity: 2}}
	made, err := shop.Holds.Create(ctx, customer, commerce.CreateHold{Key: uuid.New(), Lines: lines, TTL: time.Minute})
	must(t, err)
	asked := load.NewRequest(load.PlaceOrder, "alice")
	asked.Lines = []load.Line{{Product: product.ID, Quantity: 2}}
	placed, err := shop.Orders.Place(ctx, customer, commerce.PlaceOrder{Key: asked.Key, Lines: lines})
	must(t, err)
	asked.Told.Told(claims.Reply{Object: placed.Order.ID, Status: "PENDING"})
	run := func(want ...string) {
		t.Helper()
		a := &Auditor{DB: db.Ent, Requests: []*load.Request{asked}, Shared: true}
		result, err := a.Run(ctx)
		must(t, err)
		var found []string
		for _, f := range result.Findings {
			found = append(found, f.Subject)
			if f.Kind != LostUnits {
				t.Errorf("found %+v", f)
			}
		}
		if len(found) != len(want) || len(want) == 2 && (found[0] != want[0] || found[1] != want[1]) {
			t.Errorf("found %v, want %v", found, want)
		}
	}
	run()
	must(t, db.Ent.Hold.UpdateOneID(made.Hold.ID).SetStatus(hold.StatusRELEASED).Exec(ctx))
	run(lockprovider.HoldsKey("alice"), lockprovider.StockKey(product.ID))
}
