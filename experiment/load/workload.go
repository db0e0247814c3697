package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
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

	prepare func(ctx context.Context, s *Shop, w *Dataset) error
	next    func(w *Dataset, dice *rand.Rand) []*Request
}

// Workloads are all there are, in the order of the documentation.
func Workloads() []Workload { return slices.Clone(workloads) }

var workloads = []Workload{
	{
		Name: "flash-sale", About: "One hot product, of which there is far less than customers ask for.",
		Objects: 1, Units: 200, Scarce: true, prepare: products,
		next: func(w *Dataset, dice *rand.Rand) []*Request { return w.order(dice, "", w.pick(w.Objects, dice)) },
	},
	{
		Name: "mixed-cart", About: "Carts of 2 to 5 products of many, in any order: locks of several products at once.",
		Objects: 50, Units: 1_000_000, Skew: 1, prepare: products,
		next: func(w *Dataset, dice *rand.Rand) []*Request {
			size := min(2+dice.IntN(4), len(w.Objects))
			cart := make([]string, 0, size)
			for len(cart) < size {
				if product := w.pick(w.Objects, dice); !slices.Contains(cart, product) {
					cart = append(cart, product)
				}
			}
			return w.order(dice, "", cart...)
		},
	},
	{
		Name: "coupon-rush", About: "A limited coupon, one for each customer; customers ask again and again.",
		Objects: 1, Units: 100, Users: 400, Scarce: true, prepare: coupons(1),
		next: func(w *Dataset, dice *rand.Rand) []*Request {
			return []*Request{w.take(w.user(dice), w.pick(w.Objects, dice))}
		},
	},
	{
		Name: "points", About: "Points charged to the wallets of a few users.",
		Users: 4,
		next:  func(w *Dataset, dice *rand.Rand) []*Request { return []*Request{w.charge(w.user(dice), 1)} },
	},
	{
		Name: "transfers", About: "Transfers of 1 between a few accounts, in both directions.",
		Objects: 4, Units: 1000, prepare: accounts,
		next: func(w *Dataset, dice *rand.Rand) []*Request {
			from := w.index(len(w.Objects), dice)
			to := (from + 1 + dice.IntN(len(w.Objects)-1)) % len(w.Objects)
			return []*Request{w.transfer(from, to, 1)}
		},
	},
	{
		Name: "checkout", About: "Take a coupon, order with it and pay by card; payments may fail, and then all is given back.",
		Objects: 4, Units: 1_000_000, prepare: inTurn(products, handOut),
		next: func(w *Dataset, dice *rand.Rand) []*Request {
			taken := w.take(w.user(dice), w.coupons[dice.IntN(len(w.coupons))])
			order := w.order(dice, taken.ID(), w.pick(w.Objects, dice))[0]
			order.User, order.Payment = taken.User, "CARD"
			order.Change = changeID(order.Operation, order.User, order.Key)
			return []*Request{taken, order}
		},
	},
	{
		Name: "catalogue", About: "Orders of one of a thousand products: no contention to speak of.",
		Objects: 1000, Units: 1_000_000, prepare: products,
		next: func(w *Dataset, dice *rand.Rand) []*Request { return w.order(dice, "", w.pick(w.Objects, dice)) },
	},
	{
		Name: "mixed-all", About: "Everything at once: orders paid at once, later or never, cancelled and refunded; coupons, points and transfers.",
		Objects: 3, Units: 1_000_000, Skew: 1, prepare: inTurn(products, handOut, fewAccounts), next: (*Dataset).anything,
	},
	{
		Name:    "adversary",
		About:   "Customers who click twice, ask again, go away in between, pay and cancel at the same moment, and send their money round in circles.",
		Objects: 2, Units: 1_000_000, Users: 4, prepare: inTurn(products, fewAccounts), next: (*Dataset).nastiness,
	},
}

// manyCoupons are enough for twenty thousand orders of each customer: the shop lets one take mostPerUser of a coupon.
const manyCoupons, mostPerUser = 20, 1000

// WorkloadByName returns the workload of that name, or an error if there is none.
func WorkloadByName(name string) (Workload, error) {
	for _, w := range workloads {
		if w.Name == name {
			return w, nil
		}
	}
	return Workload{}, fmt.Errorf("no workload %q", name)
}
