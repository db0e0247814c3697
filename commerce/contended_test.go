package commerce_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/coupon"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// variant is a strategy of the table, and when it answers, if it heeds that.
type variant struct {
	strategy lockprovider.Strategy
	ack      lockprovider.Ack
}

func (v variant) String() string {
	if v.ack == lockprovider.AckAccepted {
		return string(v.strategy) + "-" + string(v.ack)
	}
	return string(v.strategy)
}

// variants are all strategies that are allowed in a shop, each in all its ways to answer.
func variants(database string) []variant {
	var list []variant
	for _, name := range lockprovider.Usable(database) {
		list = append(list, variant{name, lockprovider.AckPersisted})
		if info, _ := lockprovider.Lookup(name); info.Traits.HeedsAck {
			list = append(list, variant{name, lockprovider.AckAccepted})
		}
	}
	return list
}

// open is a shop that runs all families in the variant.
func (v variant) open(t testing.TB, databaseURL, redisURL string, adjust ...func(*config.Config)) *shop {
	t.Helper()
	return openShop(t, lockprovider.FamilyConfig{Strategy: v.strategy}, databaseURL, redisURL, append(adjust, func(cfg *config.Config) {
		for _, lock := range cfg.Locks {
			lock.Settings.Ack = v.ack
		}
	})...)
}

// everyStrategy runs a test under each strategy, on the embedded stores.
func everyStrategy(t *testing.T, test func(t *testing.T, s *shop), adjust ...func(*config.Config)) {
	t.Helper()
	for _, v := range variants(dialect.SQLite) {
		t.Run(v.String(), func(t *testing.T) { test(t, v.open(t, "sqlite://:memory:", clients.EmbeddedRedis, adjust...)) })
	}
}

// everyStrategyOnServers runs a test under each strategy, on PostgreSQL and a Redis of its own.
func everyStrategyOnServers(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	redis := testenv.Redis(t)
	for _, v := range variants(dialect.Postgres) {
		t.Run(v.String(), func(t *testing.T) {
			s := v.open(t, postgres(t), redis.URL)
			t.Cleanup(func() { must(t, s.redis.FlushAll(context.WithoutCancel(t.Context())).Err()) }) // it ends before the shop
			test(t, s)
		})
	}
}

func TestTransfers(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a, b := s.account(t, alice, 1000), s.account(t, bob, 1000)
		together(60, func(i int) {
			from, to, viewer := a, b, alice
			if i%3 == 0 { // both directions
				from, to, viewer = b, a, bob
			}
			in := commerce.Transfer{Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 7, Currency: "USD"}}
			result, err := untilSettled(t, func() (commerce.TransferResult, error) { return s.Accounts.Transfer(t.Context(), viewer, in) })
			if err != nil || result.Transfer == nil || result.To != nil {
				t.Errorf("got %+v, %v", result, err)
			}
		})
		s.wantMoney(t, a, 1000-20*7)
		s.wantMoney(t, b, 1000+20*7)
		s.audit(t)
	})
}

func TestTransferRefusals(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	a, b := s.account(t, alice, 1000), s.account(t, bob, 1000)
	euros, err := s.Accounts.Open(t.Context(), bob, commerce.OpenAccount{Name: "Euros", Currency: "EUR"})
	must(t, err)
	usd := func(n int64) commerce.Money { return commerce.Money{Minor: n, Currency: "USD"} }
	for name, test := range map[string]struct {
		in   commerce.Transfer
		want string
	}{
		"too-much":       {commerce.Transfer{From: a, To: b, Amount: usd(1001)}, "INSUFFICIENT_FUNDS:input.amount.amountMinor"},
		"nothing":        {commerce.Transfer{From: a, To: b, Amount: usd(0)}, "INVALID_INPUT:input.amount.amountMinor"},
		"negative":       {commerce.Transfer{From: a, To: b, Amount: usd(-5)}, "INVALID_INPUT:input.amount.amountMinor"},
		"inexact":        {commerce.Transfer{From: a, To: b, Amount: usd(1 << 53)}, "INVALID_INPUT:input.amount.amountMinor"},
		"to-itself":      {commerce.Transfer{From: a, To: a, Amount: usd(1)}, "INVALID_INPUT:input.toAccountId"},
		"from-another's": {commerce.Transfer{From: b, To: a, Amount: usd(1)}, "NOT_FOUND:input.fromAccountId"},
		"from-nowhere":   {commerce.Transfer{From: "acct_no", To: a, Amount: usd(1)}, "NOT_FOUND:input.fromAccountId"},
		"to-nowhere":     {commerce.Transfer{From: a, To: "acct_no", Amount: usd(1)}, "NOT_FOUND:input.toAccountId"},
		"wrong-currency": {commerce.Transfer{From: a, To: b, Amount: commerce.Money{Minor: 1, Currency: "EUR"}}, "INVALID_INPUT:input.amount.currency"},
		"to-currency":    {commerce.Transfer{From: a, To: euros.ID, Amount: usd(1)}, "INVALID_INPUT:input.toAccountId"},
	} {
		t.Run(name, func(t *testing.T) {
			test.in.Key = uuid.New()
			_, err := s.Accounts.Transfer(t.Context(), alice, test.in)
			wantCodes(t, err, test.want)
		})
	}
	s.wantMoney(t, a, 1000)
	s.wantMoney(t, b, 1000)

	in := commerce.Transfer{Key: uuid.New(), From: a, To: b, Amount: usd(600)}
	for i := range 2 { // a repeat is told of the first, though a second would not be covered
		result, err := s.Accounts.Transfer(t.Context(), alice, in)
		must(t, err)
		if result.Meta.Replayed != (i == 1) {
			t.Errorf("replayed is %v", result.Meta.Replayed)
		}
	}
	in.Amount = usd(1)
	_, err = s.Accounts.Transfer(t.Context(), alice, in)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
	in.From, in.To, in.Amount = b, a, usd(1)
	_, err = s.Accounts.Transfer(t.Context(), bob, in) // another user's key is another key
	must(t, err)
	s.audit(t)
}

func TestCouponRush(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		id := s.coupon(t, commerce.CreateCoupon{Quota: 10, PerUserLimit: 1})
		var issued, exhausted, again atomic.Int32
		together(30, func(i int) { // each user asks twice, under two keys
			viewer, err := commerce.NewViewer(fmt.Sprintf("user%d", i%15), "", false)
			must(t, err)
			in := commerce.IssueCoupon{Key: uuid.New(), CouponID: id}
			result, err := untilSettled(t, func() (commerce.IssueResult, error) { return s.Coupons.Issue(t.Context(), viewer, in) })
			errs, _ := commerce.UserErrors(err)
			switch {
			case err == nil:
				issued.Add(1)
				if result.Issue.UserID != viewer.UserID || result.Issue.CouponID != id {
					t.Errorf("issued %+v", result.Issue)
				}
			case errs != nil && errs[0].Code == commerce.CouponExhausted:
				exhausted.Add(1)
			case errs != nil && errs[0].Code == commerce.CouponAlreadyIssued:
				again.Add(1)
			default:
				t.Error(err)
			}
		})
		if issued.Load() != 10 || exhausted.Load()+again.Load() != 20 {
			t.Errorf("%d issued, %d exhausted, %d again", issued.Load(), exhausted.Load(), again.Load())
		}
		s.audit(t)
	})
}

// TestStoppedCoupon: one that a customer has taken can be spent again when the coupon is resumed.
func TestStoppedCoupon(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	id, product := s.coupon(t, commerce.CreateCoupon{Quota: 10, PerUserLimit: 1}), s.product(t, 1000, 1)
	taken, err := s.Coupons.Issue(t.Context(), alice, commerce.IssueCoupon{Key: uuid.New(), CouponID: id})
	must(t, err)
	_, err = s.Coupons.Stop(t.Context(), admin, commerce.StopCoupon{ID: id})
	must(t, err)
	_, err = s.Coupons.Issue(t.Context(), bob, commerce.IssueCoupon{Key: uuid.New(), CouponID: id})
	wantCodes(t, err, "COUPON_NOT_VALID:input.couponId")
	in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, CouponIssueID: taken.Issue.ID}
	_, err = s.Orders.Place(t.Context(), alice, in)
	wantCodes(t, err, "COUPON_NOT_VALID:input.couponIssueId")
	_, err = s.Coupons.Resume(t.Context(), admin, commerce.StopCoupon{ID: id})
	must(t, err)
	placed, err := s.Orders.Place(t.Context(), alice, in)
	must(t, err)
	if placed.Order.DiscountMinor == 0 {
		t.Errorf("the coupon was not spent: %v", placed.Order)
	}
}

// TestCouponOfACancelledOrder: the same request as was refused succeeds when the order that has used the coupon is cancelled.
func TestCouponOfACancelledOrder(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	product, issue := s.product(t, 1000, 10), s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	s.points(t, alice, 10_000)
	in := func() commerce.PlaceOrder {
		return commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, CouponIssueID: issue, Payment: byPoints(),
		}
	}
	used, err := s.Orders.Place(t.Context(), alice, in())
	must(t, err)
	later := in()
	_, err = s.Orders.Place(t.Context(), alice, later)
	if errs := wantCodes(t, err, "COUPON_NOT_VALID:input.couponIssueId"); !errs[0].Retryable {
		t.Error("the refusal is not retryable")
	}
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: used.Order.ID})
	must(t, err)
	placed, err := s.Orders.Place(t.Context(), alice, later)
	must(t, err)
	if placed.Order.DiscountMinor == 0 {
		t.Errorf("the coupon was not spent: %v", placed.Order)
	}
}

func TestCouponValidity(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	from, until := s.clock.Now().Add(time.Hour), s.clock.Now().Add(2*time.Hour)
	id := s.coupon(t, commerce.CreateCoupon{Quota: 10, PerUserLimit: 1, ValidFrom: &from, ValidUntil: &until})
	in := commerce.IssueCoupon{Key: uuid.New(), CouponID: id}
	_, err := s.Coupons.Issue(t.Context(), alice, in)
	wantCodes(t, err, "COUPON_NOT_VALID:input.couponId")
	s.clock.advance(time.Hour)
	first, err := s.Coupons.Issue(t.Context(), alice, in)
	must(t, err)
	s.clock.advance(time.Hour)
	_, err = s.Coupons.Issue(t.Context(), bob, in)
	wantCodes(t, err, "COUPON_NOT_VALID:input.couponId")
	again, err := s.Coupons.Issue(t.Context(), alice, in) // what was issued stays the answer
	must(t, err)
	if again.Issue.ID != first.Issue.ID || !again.Meta.Replayed {
		t.Errorf("got %+v", again)
	}
	_, err = s.Coupons.Issue(t.Context(), alice, commerce.IssueCoupon{Key: uuid.New(), CouponID: "coup_no"})
	wantCodes(t, err, "NOT_FOUND:input.couponId")
}

func TestChargePoints(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		together(10, func(int) {
			in := commerce.ChargePoints{Key: uuid.New(), Amount: 1000}
			if _, err := untilSettled(t, func() (commerce.PointsResult, error) { return s.Points.Charge(t.Context(), alice, in) }); err != nil {
				t.Error(err)
			}
		})
		s.wantPoints(t, alice, 10_000)
		page, err := s.Points.Entries(t.Context(), alice, alice.UserID, commerce.EntryFilter{}, commerce.Page{First: 4})
		must(t, err)
		if len(page.Items) != 4 || !page.HasNext || page.Items[0].AmountAfter != 10_000 {
			t.Errorf("history %+v", page)
		}
		for _, amount := range []int64{0, -1, 1 << 53} {
			_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: amount})
			wantCodes(t, err, "INVALID_INPUT:input.amount")
		}
		_, err = s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount})
		wantCodes(t, err, "INVALID_INPUT:input.amount") // would overflow the wallet
		s.audit(t)
	})
}

func TestFlashSale(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		hot, other := s.product(t, 100, 25), s.product(t, 100, 1000)
		var sold, refused atomic.Int32
		together(60, func(i int) {
			viewer, err := commerce.NewViewer(fmt.Sprintf("user%d", i), "", false)
			must(t, err)
			lines := []commerce.Line{{ProductID: hot, Quantity: 1}, {ProductID: other, Quantity: 2}}
			if i%2 == 0 {
				lines[0], lines[1] = lines[1], lines[0]
			}
			in := commerce.PlaceOrder{Key: uuid.New(), Lines: lines}
			_, err = untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), viewer, in) })
			errs, _ := commerce.UserErrors(err)
			switch {
			case err == nil:
				sold.Add(1)
			case errs != nil && errs[0].Code == commerce.OutOfStock:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		if sold.Load() != 25 || refused.Load() != 35 {
			t.Errorf("%d sold, %d refused", sold.Load(), refused.Load())
		}
		s.wantStock(t, hot, 0)
		s.wantStock(t, other, 950)
		s.audit(t)
	})
}

func TestCatalog(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	usd := commerce.Money{Minor: 100, Currency: "USD"}
	_, err := s.Catalog.Create(t.Context(), alice, commerce.CreateProduct{SKU: "A", Name: "A", Price: usd})
	if err != commerce.ErrForbidden { //nolint:errorlint // returned as it is
		t.Errorf("got %v", err)
	}
	_, err = s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		Price: commerce.Money{Minor: -1, Currency: "EUR"}, Stock: -1,
	})
	wantCodes(t, err, "INVALID_INPUT:input.name", "INVALID_INPUT:input.sku", "INVALID_INPUT:input.price.amountMinor",
		"INVALID_INPUT:input.price.currency", "INVALID_INPUT:input.stock")
	a, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{SKU: "A", Name: "Anchor", Price: usd, Stock: 5})
	must(t, err)
	_, err = s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{SKU: "A", Name: "Other", Price: usd})
	wantCodes(t, err, "INVALID_INPUT:input.sku")

	name := "Anchor, large"
	updated, err := s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: a.ID, Version: a.Version, Name: &name})
	must(t, err)
	if updated.Name != name || updated.PriceMinor != 100 || updated.Version != a.Version+1 {
		t.Errorf("updated to %v", updated)
	}
	_, err = s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: a.ID, Version: a.Version, Name: &name})
	if errs := wantCodes(t, err, "VERSION_CONFLICT:input.version"); errs[0].Details != (commerce.VersionConflictDetails{Current: 2}) {
		t.Errorf("details %+v", errs[0].Details)
	}

	adjust := commerce.AdjustStock{Key: uuid.New(), ProductID: a.ID, Delta: -3}
	for range 2 {
		_, err = s.Catalog.AdjustStock(t.Context(), admin, adjust)
		must(t, err)
	}
	s.wantStock(t, a.ID, 2)
	_, err = s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: a.ID, Delta: -3})
	wantCodes(t, err, "OUT_OF_STOCK:input.delta")
	s.audit(t)

	for i := range 5 {
		_, err = s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
			SKU: fmt.Sprint("B", i), Name: fmt.Sprint("Buoy ", 5-i), Price: commerce.Money{Minor: int64(10 * (i % 2)), Currency: "USD"},
		})
		must(t, err)
	}
	for _, orderBy := range []commerce.ProductOrder{commerce.NewestFirst, commerce.ByName, commerce.PriceAscending, ""} {
		seen := map[string]bool{}
		for after := ""; ; {
			page, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Order: orderBy, Page: commerce.Page{First: 2, After: after}})
			must(t, err)
			for i, p := range page.Items {
				if seen[p.ID] {
					t.Fatalf("%s twice by %s", p.Name, orderBy)
				}
				seen[p.ID], after = true, page.Cursors[i]
			}
			if !page.HasNext {
				break
			}
		}
		if len(seen) != 6 {
			t.Errorf("%d products by %q", len(seen), orderBy)
		}
	}
	page, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Search: "bUOY", Page: commerce.Page{First: 100}})
	must(t, err)
	if len(page.Items) != 5 {
		t.Errorf("found %d", len(page.Items))
	}
}

func TestCreateCouponChecks(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	now := s.clock.Now()
	_, err := s.Coupons.Create(t.Context(), admin, commerce.CreateCoupon{
		DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 101, ValidFrom: &now, ValidUntil: &now,
	})
	wantCodes(t, err, "INVALID_INPUT:input.name", "INVALID_INPUT:input.discountValue", "INVALID_INPUT:input.quota",
		"INVALID_INPUT:input.perUserLimit", "INVALID_INPUT:input.validUntil")
}

func TestOpenAccountChecks(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	for _, in := range []commerce.OpenAccount{
		{Name: "Rich", Currency: "USD", Opening: 1}, {Name: "Other", Currency: "USD", UserID: "bob"},
	} {
		if _, err := s.Accounts.Open(t.Context(), alice, in); err != commerce.ErrForbidden { //nolint:errorlint // as it is
			t.Errorf("got %v", err)
		}
	}
	_, err := s.Accounts.Open(t.Context(), alice, commerce.OpenAccount{Currency: "usd"})
	wantCodes(t, err, "INVALID_INPUT:input.name", "INVALID_INPUT:input.currency")
	if _, err := commerce.NewViewer("a:b", "", false); err == nil {
		t.Error("a colon is accepted in a user ID")
	}
}

func TestSeedDemoIsRepeatable(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	for range 2 {
		must(t, commerce.SeedDemo(t.Context(), s.Services))
	}
	s.wantPoints(t, commerce.DemoAlice, 1_000_000)
	s.wantMoney(t, "acct_alice", 1_000_000_00)
	row, err := s.Orders.Get(t.Context(), commerce.DemoAlice, commerce.DemoOrderID)
	must(t, err)
	if row == nil {
		t.Error("no demo order")
	}
	s.wantCoupon(t, commerce.DemoAlice, commerce.DemoIssueID, "ISSUED")
	s.audit(t)
}
