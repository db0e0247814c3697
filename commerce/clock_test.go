package commerce_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/order"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// instance opens a shop of its own on a shared database, in a process whose clock is ahead by a skew.
func instance(t *testing.T, databaseURL string, strategy lockprovider.Strategy, skew time.Duration) (*app.Shop, error) {
	t.Helper()
	cfg := config.Default()
	cfg.Database.URL, cfg.Redis.URL = setting.URL(databaseURL), clients.EmbeddedRedis
	for _, l := range cfg.Locks {
		l.Strategy = strategy
	}
	cfg.Deployment = lockprovider.DeploymentSettings{Heartbeat: time.Second, Expiry: longEnough}
	shop, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{
		Gateway: &gateway{}, Local: func() time.Time { return time.Now().Add(skew) },
	})
	if err == nil {
		t.Cleanup(func() { must(t, shop.Close()) })
	}
	return shop, err
}

// Instances whose clocks are ahead or behind by more than a reservation or an expiry agree with the others: on which orders are
// overdue, which coupons are valid, and who is live.
func TestInstancesGoByTheClockOfTheDatabase(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite://" + t.TempDir() + "/shop.db" },
		"postgres": testenv.Postgres,
		"mariadb":  testenv.MariaDB,
	} {
		for direction, skew := range map[string]time.Duration{"ahead": 16 * time.Minute, "behind": -16 * time.Minute} {
			t.Run(name+"/"+direction, func(t *testing.T) { goesByTheClockOfTheDatabase(t, url(t), skew) })
		}
	}
}

func goesByTheClockOfTheDatabase(t *testing.T, databaseURL string, skew time.Duration) {
	ctx := t.Context()
	honest, err := instance(t, databaseURL, lockprovider.AtomicSQL, 0)
	must(t, err)
	skewed, err := instance(t, databaseURL, lockprovider.AtomicSQL, skew)
	must(t, err)
	both := []*app.Shop{honest, skewed}

	product, err := honest.Services.Catalog.Create(ctx, admin, commerce.CreateProduct{
		SKU: uuid.NewString(), Name: "Thing", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Stock: 100,
	})
	must(t, err)
	place := func(s *app.Shop) string {
		t.Helper()
		placed, err := s.Services.Orders.Place(ctx, alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product.ID, Quantity: 1}},
		})
		must(t, err)
		return placed.Order.ID
	}
	for _, places := range both {
		id := place(places)
		for _, expires := range both {
			done, failed, err := expires.Services.Orders.ExpireOverdue(ctx, expiryLimit)
			must(t, err)
			if done+failed != 0 {
				t.Errorf("%d fresh orders expired, %d were tried", done, failed)
			}
		}
		row, err := honest.DB.Ent.Order.Get(ctx, id)
		must(t, err)
		if row.Status != order.StatusPENDING {
			t.Errorf("a fresh order is %s", row.Status)
		}
	}
	for _, expires := range both {
		id := place(honest)
		overdue := honest.Clock.Now().Add(-time.Minute).Truncate(time.Microsecond)
		must(t, honest.DB.Ent.Order.UpdateOneID(id).SetNextAttemptAt(overdue).Exec(ctx)) // as if its time had come
		done, _, err := expires.Services.Orders.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		if done != 1 {
			t.Errorf("%d of 1 overdue order finished", done)
		}
	}

	at := func(d time.Duration) *time.Time {
		when := honest.Clock.Now().Add(d).Truncate(time.Second)
		return &when
	}
	for window, c := range map[string]struct {
		from, until *time.Time
		valid       bool
	}{
		"until in 10 minutes":        {nil, at(10 * time.Minute), true},
		"since 10 minutes ago":       {at(-10 * time.Minute), nil, true},
		"ended 10 minutes ago":       {nil, at(-10 * time.Minute), false},
		"begins in 10 minutes":       {at(10 * time.Minute), nil, false},
		"between now ±10 minutes":    {at(-10 * time.Minute), at(10 * time.Minute), true},
		"from 5 to 10 minutes ago":   {at(-10 * time.Minute), at(-5 * time.Minute), false},
		"from in 5 to in 10 minutes": {at(5 * time.Minute), at(10 * time.Minute), false},
	} {
		row, err := honest.Services.Coupons.Create(ctx, admin, commerce.CreateCoupon{
			Name: window, DiscountKind: "FIXED", DiscountValue: 100, Quota: 10, PerUserLimit: 10, ValidFrom: c.from, ValidUntil: c.until,
		})
		must(t, err)
		for _, issues := range both {
			_, err := issues.Services.Coupons.Issue(ctx, alice, commerce.IssueCoupon{Key: uuid.New(), CouponID: row.ID})
			if c.valid {
				must(t, err)
			} else {
				wantCodes(t, err, "COUPON_NOT_VALID")
			}
		}
	}

	// Whoever starts with another strategy sees that the others are live, whichever of the clocks is wrong.
	for _, skew := range []time.Duration{0, skew} {
		if _, err := instance(t, databaseURL, lockprovider.RowLock, skew); !errors.Is(err, lockprovider.ErrStrategyMismatch) {
			t.Errorf("an instance with another strategy, %s ahead: %v", skew, err)
		}
	}
	must(t, honest.Close())
	if _, err := instance(t, databaseURL, lockprovider.RowLock, 0); !errors.Is(err, lockprovider.ErrStrategyMismatch) {
		t.Errorf("an instance with another strategy, beside one whose clock is wrong: %v", err)
	}
}
