package experiment

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"

	"holdfast/lockprovider"
)

// world is the objects that one load fights over. The warm-up has one of its own.
type world struct {
	workload Workload
	units    int64
	objects  []string // products, coupons or accounts
	coupons  []string // of checkout
	users    []string // names
	owners   []string // of the accounts
	// weights are the cumulated probabilities by which objects and users are picked: few are hot, many are not.
	weights map[int][]float64
	skew    float64
}

// size replaces what a workload says of its objects and its customers. A zero leaves what the workload says.
type size struct {
	objects int
	units   int64
	users   int
	skew    float64
}

// newWorld creates the objects of a load.
func newWorld(ctx context.Context, s *shop, w Workload, as size, clients int, label string) (*world, error) {
	out := &world{workload: w, units: w.Units, weights: map[int][]float64{}, skew: w.Skew}
	if as.skew > 0 {
		out.skew = as.skew
	}
	if as.units > 0 {
		out.units = as.units
	}
	users := w.Users
	if users == 0 {
		users = clients
	}
	if as.users > 0 {
		users = as.users
	}
	for i := range users {
		out.users = append(out.users, fmt.Sprintf("%s%d", label, i))
	}
	if w.Objects > 0 {
		out.objects = make([]string, w.Objects)
		if as.objects > 0 {
			out.objects = make([]string, as.objects)
		}
	}
	if w.prepare != nil {
		if err := w.prepare(ctx, s, out); err != nil {
			return nil, fmt.Errorf("prepare %s: %w", w.Name, err)
		}
	}
	for _, n := range []int{len(out.objects), len(out.users)} {
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
func (w *world) index(n int, dice *rand.Rand) int {
	weights := w.weights[n]
	return min(sort.SearchFloat64s(weights, dice.Float64()*weights[n-1]), n-1)
}

func (w *world) pick(from []string, dice *rand.Rand) string { return from[w.index(len(from), dice)] }

func (w *world) user(dice *rand.Rand) string { return w.users[w.index(len(w.users), dice)] }

// preparers bounds how many objects are created at the same time.
const preparers = 8

func products(ctx context.Context, s *shop, w *world) error {
	return parallel(ctx, len(w.objects), preparers, func(ctx context.Context, i int) (err error) {
		w.objects[i], err = s.createProduct(ctx, w.units)
		return err
	})
}

func coupons(perUser int) func(ctx context.Context, s *shop, w *world) error {
	return func(ctx context.Context, s *shop, w *world) error {
		return parallel(ctx, len(w.objects), preparers, func(ctx context.Context, i int) (err error) {
			w.objects[i], err = s.createCoupon(ctx, w.units, perUser)
			return err
		})
	}
}

func accounts(ctx context.Context, s *shop, w *world) error {
	w.owners = make([]string, len(w.objects))
	return parallel(ctx, len(w.objects), preparers, func(ctx context.Context, i int) (err error) {
		w.owners[i] = w.users[i%len(w.users)]
		w.objects[i], err = s.createAccount(ctx, w.owners[i], w.units)
		return err
	})
}

// balances are the keys of what a world fights over.
func (w *world) balances() []string {
	var keys []string
	for _, id := range w.objects {
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
