package commerce_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/payment"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// Databases compare text in different ways: MariaDB without the spaces at its end, others without regard to case. A shop must not:
// two customers would share a row, or one customer would get round a limit.
func TestIdentifiersAreExact(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "sqlite://:memory:" },
		"postgres": testenv.Postgres,
		"mariadb":  testenv.MariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url(t), clients.EmbeddedRedis)
			t.Run("users", s.usersAreExact)
			t.Run("skus", s.skusAreExact)
			t.Run("ids", s.idsAreExact)
			s.audit(t)
		})
	}
}

func (s *shop) usersAreExact(t *testing.T) {
	for i, subject := range []string{"alice", "Alice", "ALICE"} {
		v, err := commerce.NewViewer(subject, "", false)
		must(t, err)
		s.points(t, v, int64(i+1))
	}
	for i, subject := range []string{"alice", "Alice", "ALICE"} {
		s.wantPoints(t, commerce.Viewer{UserID: subject}, int64(i+1))
	}
	for _, subject := range []string{"alice ", " alice", "alice\u00a0", "alicé", "alice\t", "alice\n", "ß"} {
		if _, err := commerce.NewViewer(subject, "", false); err == nil {
			t.Errorf("%q is a user", subject)
		}
	}
}

func (s *shop) skusAreExact(t *testing.T) {
	create := func(sku string) error {
		_, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
			SKU: sku, Name: "Thing", Price: commerce.Money{Minor: 1, Currency: "USD"},
		})
		return err
	}
	for _, sku := range []string{"MASS", "mass", "MAß", "MASS1", "MÄSS", "MA SS", "MASS\u200b", "e\u0301", "\u00e9"} {
		if err := create(sku); err != nil {
			t.Errorf("%q: %v, want a product of its own", sku, err)
		}
	}
	for _, sku := range []string{"MASS ", " MASS", "MASS\t", "MASS\u00a0"} { // without the spaces it is one of those above
		wantCodes(t, create(sku), "INVALID_INPUT:input.sku")
	}
}

// idsAreExact: an ID with a space at its end, or in another case, names nothing.
func (s *shop) idsAreExact(t *testing.T) {
	ctx := t.Context()
	product, account, other := s.product(t, 100, 10), s.account(t, alice, 1000), s.account(t, bob, 1000)
	couponID := s.coupon(t, commerce.CreateCoupon{Quota: 10, PerUserLimit: 1})
	issue := s.issue(t, alice, couponID)
	placed, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}})
	must(t, err)
	order, usd := placed.Order.ID, commerce.Money{Minor: 1, Currency: "USD"}
	lines, name := []commerce.Line{{ProductID: product, Quantity: 1}}, "Renamed"
	byAccount := func(id string) *commerce.Payment {
		return &commerce.Payment{Method: payment.MethodACCOUNT, AccountID: id}
	}
	for operation, call := range map[string]struct {
		id string
		do func(id string) (any, error)
	}{
		"place": {product, func(id string) (any, error) {
			return s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: id, Quantity: 1}}})
		}},
		"place, paid by an account": {account, func(id string) (any, error) {
			return s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines, Payment: byAccount(id)})
		}},
		"place with a coupon": {issue, func(id string) (any, error) {
			return s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines, CouponIssueID: id})
		}},
		"pay": {order, func(id string) (any, error) {
			return s.Orders.Pay(ctx, alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byAccount(account)})
		}},
		"cancel": {order, func(id string) (any, error) {
			return s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		}},
		"issue": {couponID, func(id string) (any, error) {
			return s.Coupons.Issue(ctx, bob, commerce.IssueCoupon{Key: uuid.New(), CouponID: id})
		}},
		"transfer from": {account, func(id string) (any, error) {
			return s.Accounts.Transfer(ctx, alice, commerce.Transfer{Key: uuid.New(), From: id, To: other, Amount: usd})
		}},
		"transfer to": {other, func(id string) (any, error) {
			return s.Accounts.Transfer(ctx, alice, commerce.Transfer{Key: uuid.New(), From: account, To: id, Amount: usd})
		}},
		"adjust": {product, func(id string) (any, error) {
			return s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), ProductID: id, Delta: 1})
		}},
		"update": {product, func(id string) (any, error) {
			return s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: 1, Name: &name})
		}},
		"archive":    {product, func(id string) (any, error) { return s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: id}) }},
		"unarchive":  {product, func(id string) (any, error) { return s.Catalog.Unarchive(ctx, admin, commerce.ArchiveProduct{ID: id}) }},
		"a product":  {product, func(id string) (any, error) { return s.Catalog.Product(ctx, id) }},
		"an order":   {order, func(id string) (any, error) { return s.Orders.Get(ctx, alice, id) }},
		"an account": {account, func(id string) (any, error) { return s.Accounts.Get(ctx, alice, id) }},
		"a coupon":   {couponID, func(id string) (any, error) { return s.Coupons.Get(ctx, id) }},
		"an issue":   {issue, func(id string) (any, error) { return s.Coupons.GetIssue(ctx, alice, id) }},
	} {
		answer := func(id string) string {
			result, err := call.do(id)
			errs, ok := commerce.UserErrors(err)
			if err != nil && !ok {
				return err.Error()
			}
			if err != nil {
				return string(errs[0].Code)
			}
			return fmt.Sprint(result)
		}
		unknown := answer("unknown")
		for _, id := range []string{call.id + " ", call.id + "  ", strings.ToUpper(call.id)} {
			if got := answer(id); got != unknown {
				t.Errorf("%s %q: %s, want %s, as of an ID that does not exist", operation, id, got, unknown)
			}
		}
	}
	s.wantStock(t, product, 9)
	s.wantMoney(t, account, 1000)
	s.wantMoney(t, other, 1000)
	s.wantCoupon(t, alice, issue, "ISSUED")
	row, err := s.Catalog.Product(ctx, product)
	must(t, err)
	if row.Version != 1 || row.Name == name || row.ArchivedAt != nil {
		t.Errorf("the product was changed: %v", row)
	}
}
