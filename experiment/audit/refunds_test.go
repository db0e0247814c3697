package audit

import (
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/payment"
	"holdfast/experiment/claims"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// TestRefundsAreAudited: a return balances, in stock and money. A refund that the payment does not know of is found.
func TestRefundsAreAudited(t *testing.T) {
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
		Payment: commerce.PaymentSettings{Methods: "CARD", PointsPrice: 100, Timeout: 1e9},
	})
	admin := commerce.Viewer{UserID: "root", Admin: true}
	product, err := shop.Catalog.Create(ctx, admin, commerce.CreateProduct{
		SKU: "A", Name: "A", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Stock: 10,
	})
	must(t, err)
	asked := load.NewRequest(load.PlaceOrder, "alice")
	asked.Payment = "CARD"
	asked.Lines = []load.Line{{Product: product.ID, Quantity: 3}}
	placed, err := shop.Orders.Place(ctx, commerce.Viewer{UserID: "alice"}, commerce.PlaceOrder{
		Key: asked.Key, Lines: []commerce.Line{{ProductID: product.ID, Quantity: 3}}, Payment: &commerce.Payment{Method: payment.MethodCARD},
	})
	must(t, err)
	asked.Told.Told(claims.Reply{Object: placed.Order.ID, Status: "PAID", Payment: true})
	back := commerce.CreateRefund{
		Key: uuid.New(), OrderID: placed.Order.ID, Lines: []commerce.Line{{ProductID: product.ID, Quantity: 2}}, Restock: true, Reason: "test",
	}
	_, err = shop.Refunds.Create(ctx, admin, back)
	must(t, err)
	run := func() Result {
		t.Helper()
		a := &Auditor{DB: db.Ent, Requests: []*load.Request{asked}, Shared: true}
		result, err := a.Run(ctx)
		must(t, err)
		return result
	}
	if result := run(); len(result.Findings) != 0 {
		t.Errorf("found %+v", result.Findings)
	}
	must(t, db.Ent.Payment.Update().AddRefundedMinor(-500).Exec(ctx))
	if result := run(); result.LostMoney < 500 || len(result.Findings) != 1 || result.Findings[0].Kind != LostMoney {
		t.Errorf("found %+v", result)
	}
}
