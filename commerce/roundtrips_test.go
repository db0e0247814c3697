package commerce_test

import (
	"context"
	"math"
	"net/url"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// TestRoundTrips counts the round trips to PostgreSQL of an order and of a transfer. The catalogue or the accounts are read in one,
// and two are while the rows are locked, before COMMIT.
func TestRoundTrips(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.AtomicSQL} {
		t.Run(string(strategy), func(t *testing.T) {
			address, trips := testenv.RoundTrips(t, postgres(t))
			s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, address, clients.EmbeddedRedis)
			product, from, to := s.product(t, 100, 1000), s.account(t, alice, 1000), s.account(t, bob, 0)
			wantRoundTrips(t, trips, 4, func(ctx context.Context) error {
				_, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}},
				})
				return err
			})
			wantRoundTrips(t, trips, 4, func(ctx context.Context) error {
				_, err := s.Accounts.Transfer(ctx, alice, commerce.Transfer{
					Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 1, Currency: "USD"},
				})
				return err
			})
			s.audit(t)
		})
	}
}

// wantRoundTrips does something again and again: connections learn statements, and jobs make round trips of their own. The fewest
// count.
func wantRoundTrips(t *testing.T, trips func() int64, want int64, do func(ctx context.Context) error) {
	t.Helper()
	fewest := int64(math.MaxInt64)
	for range 20 {
		before := trips()
		must(t, do(t.Context()))
		fewest = min(fewest, trips()-before)
	}
	if fewest != want {
		t.Errorf("%d round trips, want %d", fewest, want)
	}
}

// TestOrdersInEachModeOfExecution places, pays and refuses orders in all modes in which pgx executes statements, as poolers need them.
func TestOrdersInEachModeOfExecution(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			address, err := url.Parse(postgres(t))
			must(t, err)
			query := address.Query()
			query.Set("default_query_exec_mode", mode)
			address.RawQuery = query.Encode()
			for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.AtomicSQL} {
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, address.String(), clients.EmbeddedRedis)
				product := s.product(t, 100, 2)
				s.points(t, alice, 1000)
				in := commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}},
					ShippingAddress: &commerce.Address{
						Name: "Alice", Lines: []string{"1 Main Street"}, City: "Springfield", PostalCode: "12345", Country: "US",
					},
				}
				placed, err := s.Orders.Place(t.Context(), alice, in)
				must(t, err)
				repeated, err := s.Orders.Place(t.Context(), alice, in)
				must(t, err)
				if !repeated.Meta.Replayed || repeated.Order.ID != placed.Order.ID {
					t.Errorf("%s: the repeat is %+v", strategy, repeated)
				}
				in.Lines[0].Quantity = 2
				_, err = s.Orders.Place(t.Context(), alice, in)
				wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
				in.Key = uuid.New()
				_, err = s.Orders.Place(t.Context(), alice, in)
				wantCodes(t, err, "OUT_OF_STOCK")
				_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{
					Key: uuid.New(), OrderID: placed.Order.ID, Payment: commerce.Payment{Method: "POINTS"},
				})
				must(t, err)
				s.wantStock(t, product, 1)
				s.audit(t)
				must(t, s.opened.Close())
			}
		})
	}
}
