package experiment

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Workload is what the customers of an experiment do.
type Workload struct {
	Name  string
	About string
	// Objects, Units and Users are how many products, accounts or wallets there are, what each begins with, and how many
	// customers share them, unless the plan says otherwise. Users 0 is as many as there are clients.
	Objects int
	Units   int64
	Users   int
	// Skew is the Zipf exponent by which objects are picked where the plan has none.
	Skew float64
	// Scarce tells that there is far less than what is asked for: Units are to be had, and no more.
	Scarce bool

	prepare func(ctx context.Context, s *shop, w *world) error
	next    func(w *world, dice *rand.Rand) []*ask
}

// Workloads are all there are, in the order of the documentation.
func Workloads() []Workload { return slices.Clone(workloads) }

var workloads = []Workload{
	{
		Name: "flash-sale", About: "One hot product, of which there is far less than customers ask for.",
		Objects: 1, Units: 200, Scarce: true, prepare: products,
		next: func(w *world, dice *rand.Rand) []*ask { return w.order(dice, "", w.pick(w.objects, dice)) },
	},
	{
		Name: "mixed-cart", About: "Carts of 2 to 5 products of many, in any order: locks of several products at once.",
		Objects: 50, Units: 1_000_000, Skew: 1, prepare: products,
		next: func(w *world, dice *rand.Rand) []*ask {
			size := min(2+dice.IntN(4), len(w.objects))
			cart := make([]string, 0, size)
			for len(cart) < size {
				if product := w.pick(w.objects, dice); !slices.Contains(cart, product) {
					cart = append(cart, product)
				}
			}
			return w.order(dice, "", cart...)
		},
	},
	{
		Name: "coupon-rush", About: "A limited coupon, one for each customer; customers ask again and again.",
		Objects: 1, Units: 100, Users: 400, Scarce: true, prepare: coupons(1),
		next: func(w *world, dice *rand.Rand) []*ask { return []*ask{w.take(w.user(dice), w.pick(w.objects, dice))} },
	},
	{
		Name: "points", About: "Points charged to the wallets of a few users.",
		Users: 4,
		next:  func(w *world, dice *rand.Rand) []*ask { return []*ask{w.charge(w.user(dice), 1)} },
	},
	{
		Name: "transfers", About: "Transfers of 1 between a few accounts, in both directions.",
		Objects: 4, Units: 1000, prepare: accounts,
		next: func(w *world, dice *rand.Rand) []*ask {
			from := w.index(len(w.objects), dice)
			to := (from + 1 + dice.IntN(len(w.objects)-1)) % len(w.objects)
			return []*ask{w.transfer(from, to, 1)}
		},
	},
	{
		Name: "checkout", About: "Take a coupon, order with it and pay by card; payments may fail, and then all is given back.",
		Objects: 4, Units: 1_000_000, prepare: func(ctx context.Context, s *shop, w *world) error {
			if err := products(ctx, s, w); err != nil {
				return err
			}
			w.coupons = make([]string, checkoutCoupons)
			return parallel(ctx, len(w.coupons), preparers, func(ctx context.Context, i int) (err error) {
				w.coupons[i], err = s.createCoupon(ctx, 1_000_000_000, mostPerUser)
				return err
			})
		},
		next: func(w *world, dice *rand.Rand) []*ask {
			taken := w.take(w.user(dice), w.coupons[dice.IntN(len(w.coupons))])
			order := w.order(dice, taken.object(), w.pick(w.objects, dice))[0]
			order.user, order.payment = taken.user, "CARD"
			order.change = changeID(order.operation, order.user, order.key)
			return []*ask{taken, order}
		},
	},
	{
		Name: "catalogue", About: "Orders of one of a thousand products: no contention to speak of.",
		Objects: 1000, Units: 1_000_000, prepare: products,
		next: func(w *world, dice *rand.Rand) []*ask { return w.order(dice, "", w.pick(w.objects, dice)) },
	},
}

// checkoutCoupons are enough for twenty thousand orders of each customer: the shop lets one take mostPerUser of a coupon.
const checkoutCoupons, mostPerUser = 20, 1000

func workloadOf(name string) (Workload, error) {
	for _, w := range workloads {
		if w.Name == name {
			return w, nil
		}
	}
	return Workload{}, fmt.Errorf("no workload %q", name)
}

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

// newWorld creates the objects of a load.
func newWorld(ctx context.Context, s *shop, w Workload, p Plan, clients int, label string) (*world, error) {
	out := &world{workload: w, units: w.Units, weights: map[int][]float64{}, skew: w.Skew}
	if p.Skew > 0 {
		out.skew = p.Skew
	}
	if p.Units > 0 {
		out.units = p.Units
	}
	users := w.Users
	if users == 0 {
		users = clients
	}
	if p.Users > 0 {
		users = p.Users
	}
	for i := range users {
		out.users = append(out.users, fmt.Sprintf("%s%d", label, i))
	}
	if w.Objects > 0 {
		out.objects = make([]string, w.Objects)
		if p.Objects > 0 {
			out.objects = make([]string, p.Objects)
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
