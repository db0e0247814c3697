package load

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"

	"holdfast/lockprovider"
)

// Dataset is the objects and customers that one load works with. The warm-up has a dataset of its own.
type Dataset struct {
	Workload Workload
	Units    int64
	Objects  []string // products, coupons or accounts
	coupons  []string // that customers take to order with
	accounts []string
	users    []string // names
	owners   []string // of the accounts
	// weights are the cumulated probabilities by which objects and users are picked: few are hot, many are not.
	weights map[int][]float64
	skew    float64
}

// Size replaces what a workload says of its objects and its customers. A field that is 0 leaves what the workload says.
type Size struct {
	Objects int
	Units   int64
	Users   int
	Skew    float64
}

// Prepare creates the objects of a load in the shop. label begins the names of its customers.
func Prepare(ctx context.Context, s *Shop, w Workload, as Size, clients int, label string) (*Dataset, error) {
	out := &Dataset{Workload: w, Units: w.Units, weights: map[int][]float64{}, skew: w.Skew}
	if as.Skew > 0 {
		out.skew = as.Skew
	}
	if as.Units > 0 {
		out.Units = as.Units
	}
	users := w.Users
	if users == 0 {
		users = clients
	}
	if as.Users > 0 {
		users = as.Users
	}
	for i := range users {
		out.users = append(out.users, fmt.Sprintf("%s%d", label, i))
	}
	if w.Objects > 0 {
		out.Objects = make([]string, w.Objects)
		if as.Objects > 0 {
			out.Objects = make([]string, as.Objects)
		}
	}
	if w.prepare != nil {
		if err := w.prepare(ctx, s, out); err != nil {
			return nil, fmt.Errorf("prepare %s: %w", w.Name, err)
		}
	}
	for _, n := range []int{len(out.Objects), len(out.users)} {
		out.weights[n] = zipf(n, out.skew)
	}
	return out, nil
}

// zipf returns the cumulated weights 1/k^s of the ranks 1 to n.
func zipf(n int, s float64) []float64 {
	weights := make([]float64, n)
	sum := 0.0
	for k := range weights {
		sum += math.Pow(float64(k+1), -s)
		weights[k] = sum
	}
	return weights
}

// index picks one of n.
func (w *Dataset) index(n int, dice *rand.Rand) int {
	weights := w.weights[n]
	return min(sort.SearchFloat64s(weights, dice.Float64()*weights[n-1]), n-1)
}

func (w *Dataset) pick(from []string, dice *rand.Rand) string { return from[w.index(len(from), dice)] }

func (w *Dataset) user(dice *rand.Rand) string { return w.users[w.index(len(w.users), dice)] }

// preparers bounds how many objects are created at the same time.
const preparers = 8

func products(ctx context.Context, s *Shop, w *Dataset) error {
	return parallel(ctx, len(w.Objects), preparers, func(ctx context.Context, i int) (err error) {
		w.Objects[i], err = s.createProduct(ctx, w.Units)
		return err
	})
}

func coupons(perUser int) func(ctx context.Context, s *Shop, w *Dataset) error {
	return func(ctx context.Context, s *Shop, w *Dataset) error {
		return parallel(ctx, len(w.Objects), preparers, func(ctx context.Context, i int) (err error) {
			w.Objects[i], err = s.createCoupon(ctx, w.Units, perUser)
			return err
		})
	}
}

func accounts(ctx context.Context, s *Shop, w *Dataset) error {
	w.accounts = w.Objects
	return openAccounts(ctx, s, w, w.Units)
}

// openAccounts fills the accounts.
func openAccounts(ctx context.Context, s *Shop, w *Dataset, opening int64) error {
	w.owners = make([]string, len(w.accounts))
	return parallel(ctx, len(w.accounts), preparers, func(ctx context.Context, i int) (err error) {
		w.owners[i] = w.users[i%len(w.users)]
		w.accounts[i], err = s.createAccount(ctx, w.owners[i], opening)
		return err
	})
}

// handOut creates coupons of which there are enough, for customers to take and to spend.
func handOut(ctx context.Context, s *Shop, w *Dataset) error {
	w.coupons = make([]string, manyCoupons)
	return parallel(ctx, len(w.coupons), preparers, func(ctx context.Context, i int) (err error) {
		w.coupons[i], err = s.createCoupon(ctx, 1_000_000_000, mostPerUser)
		return err
	})
}

// inTurn prepares one thing after the other.
func inTurn(prepare ...func(ctx context.Context, s *Shop, w *Dataset) error) func(ctx context.Context, s *Shop, w *Dataset) error {
	return func(ctx context.Context, s *Shop, w *Dataset) error {
		for _, p := range prepare {
			if err := p(ctx, s, w); err != nil {
				return err
			}
		}
		return nil
	}
}

// fewAccounts opens accounts beside the products: so few that transfers go round in circles, with so little that some are refused.
func fewAccounts(ctx context.Context, s *Shop, w *Dataset) error {
	w.accounts = make([]string, 3)
	return openAccounts(ctx, s, w, 20)
}

// BalanceKeys returns the keys of the balances that the requests of this dataset contend for.
func (w *Dataset) BalanceKeys() []string {
	var keys []string
	for _, id := range w.Objects {
		switch {
		case strings.HasPrefix(id, "prod_"):
			keys = append(keys, lockprovider.StockKey(id))
		case strings.HasPrefix(id, "coup_"):
			keys = append(keys, lockprovider.CouponKey(id))
		case strings.HasPrefix(id, "acct_"):
			keys = append(keys, lockprovider.AccountKey(id))
		}
	}
	return keys
}
