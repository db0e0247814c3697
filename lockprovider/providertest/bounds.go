package providertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"holdfast/lockprovider"
)

// Every unit finds its winner, none finds two, and what is refused leaves nothing.
var boundScenarios = []Scenario{
	{
		Name: "exact_floor", Needs: excludes, Func: exactFloor,
		Why: "more orders than stock, or stock that nobody could buy",
	},
	{
		Name: "exact_ceiling", Needs: excludes, Func: exactCeiling,
		Why: "more coupons issued than the quota, or fewer",
	},
	{
		Name: "exact_limit", Needs: excludes, Func: exactLimit,
		Why: "a customer takes more of a product than one may, or the limit of yesterday is applied",
	},
	{
		Name: "opposite_orders", Needs: excludes, Func: oppositeOrders,
		Why: "two carts with the same products block each other, or lose money between two accounts",
	},
	{
		Name: "open_once", Needs: excludes, Func: openOnce,
		Why: "the first claims of a user pass the limit together, because there is no row yet to lock",
	},
	{
		Name: "refusal_leaves_nothing", Func: refusalLeavesNothing,
		Why: "half a cart reserved, or a message that names the wrong product",
	},
	{
		Name: "merged_moves", Func: mergedMoves,
		Why: "a cart that lists a product twice passes the check twice",
	},
}

func exactFloor(t testing.TB, h *Harness) {
	units, racers := h.size(20, 3), h.size(64, 8)
	balance := h.open(t, int64(units), 0, unlimited)
	outcomes := race(t, racers, func(int) lockprovider.Change { return h.change(move(balance, -1)) }, h.start(t), h.start(t))
	checkWinners(t, h, outcomes, balance, units, lockprovider.ErrInsufficient)
	h.checkAmount(t, balance, 0)
}

func exactCeiling(t testing.TB, h *Harness) {
	units, racers := h.size(10, 3), h.size(64, 8)
	balance := h.open(t, 0, 0, int64(units))
	outcomes := race(t, racers, func(int) lockprovider.Change { return h.change(move(balance, +1)) }, h.start(t), h.start(t))
	checkWinners(t, h, outcomes, balance, units, lockprovider.ErrLimit)
	h.checkAmount(t, balance, int64(units))
}

func openOnce(t testing.TB, h *Harness) {
	units, racers := h.size(10, 3), h.size(64, 8)
	balance := h.unopened()
	outcomes := race(t, racers, func(int) lockprovider.Change {
		return h.change(lockprovider.Move{
			Balance: balance, Delta: 1, Open: &lockprovider.Bounds{Ceiling: int64(units)},
		})
	}, h.start(t), h.start(t))
	checkWinners(t, h, outcomes, balance, units, lockprovider.ErrLimit)
	h.checkAmount(t, balance, int64(units))
}

// exactLimit has moves with a limit of their own below the ceiling, and then others with another limit.
func exactLimit(t testing.TB, h *Harness) {
	units, racers := h.size(10, 3), h.size(64, 8)
	balance := h.unopened()
	limited := func(delta, limit int64) lockprovider.Change {
		return h.change(lockprovider.Move{Balance: balance, Delta: delta, Limit: &limit, Open: &lockprovider.Bounds{Ceiling: unlimited}})
	}
	instance := h.start(t)
	outcomes := race(t, racers, func(int) lockprovider.Change { return limited(1, int64(units)) }, instance, h.start(t))
	checkWinners(t, h, outcomes, balance, units, lockprovider.ErrLimit)

	if _, err := instance.Execute(t.Context(), limited(2, int64(units)+2)); err != nil { // the limit was raised
		t.Errorf("within a higher limit: %v", err)
	}
	_, err := instance.Execute(t.Context(), limited(1, int64(units)-1)) // and lowered
	want := lockprovider.Refusal{Balance: balance, Delta: 1, Reason: lockprovider.ErrLimit}
	if got := refusedOf(t, err).Refusals; len(got) != 1 || got[0] != want {
		t.Errorf("beyond a lower limit: refusals %+v, want %+v", got, want)
	}
	if _, err := instance.Execute(t.Context(), h.change(move(balance, -1))); err != nil { // what has no limit is not refused
		t.Errorf("a move without a limit: %v", err)
	}
	h.checkAmount(t, balance, int64(units)+1)
	h.checkConsistent(t, balance)
}

// checkWinners: as many racers as there are units have won, each saw an amount of its own, and the others were refused
// for the reason, when nothing was left.
func checkWinners(t testing.TB, h *Harness, outcomes []outcome, balance string, units int, reason error) {
	t.Helper()
	seen := map[int64]bool{}
	winners := 0
	for _, o := range outcomes {
		switch {
		case o.err == nil:
			winners++
			after, ok := o.receipt.Balances[balance]
			if !ok || seen[after] {
				t.Errorf("winner saw %v, which another one saw as well, or no amount", o.receipt.Balances)
			}
			seen[after] = true
			h.checkApplied(t, o.change, 1)
		case errors.Is(o.err, reason):
			want := lockprovider.Refusal{Balance: balance, Delta: o.change.Moves[0].Delta, Reason: reason}
			if got := refusedOf(t, o.err).Refusals; len(got) != 1 || got[0] != want {
				t.Errorf("refusals %+v, want %+v", got, want)
			}
			h.checkApplied(t, o.change, 0)
		default:
			t.Errorf("racer failed: %v", o.err)
		}
	}
	if winners != units {
		t.Errorf("%d winners for %d units", winners, units)
	}
	h.checkConsistent(t, balance)
}

func oppositeOrders(t testing.TB, h *Harness) {
	const opening = 1000
	balances := []string{
		h.open(t, opening, 0, unlimited), h.open(t, opening, 0, unlimited), h.open(t, opening, 0, unlimited),
	}
	want := map[string]int64{}
	for _, b := range balances {
		want[b] = opening
	}
	// All six directions between three balances, so that circles of any length may form.
	pairs := [][2]int{{0, 1}, {1, 0}, {1, 2}, {2, 1}, {2, 0}, {0, 2}}
	outcomes := race(t, h.size(48, 6), func(racer int) lockprovider.Change {
		pair := pairs[racer%len(pairs)]
		from, to, amount := balances[pair[0]], balances[pair[1]], int64(racer+1)
		want[from] -= amount
		want[to] += amount
		return h.change(move(from, -amount), move(to, amount))
	}, h.start(t), h.start(t))
	for _, o := range outcomes {
		if o.err != nil {
			t.Errorf("move failed: %v", o.err)
		}
	}
	for _, b := range balances {
		h.checkAmount(t, b, want[b])
		h.checkConsistent(t, b)
	}
}

func refusalLeavesNothing(t testing.TB, h *Harness) {
	enough, short, full := h.open(t, 10, 0, unlimited), h.open(t, 7, 5, unlimited), h.open(t, 8, 0, 9)
	absent := h.unopened()
	instance := h.start(t)
	c := h.change(move(full, +4), move(short, -3), move(enough, -1),
		lockprovider.Move{Balance: absent, Delta: 6, Open: &lockprovider.Bounds{Opening: 1, Ceiling: 3}})

	_, err := instance.Execute(t.Context(), c)
	got := map[string]lockprovider.Refusal{}
	for _, r := range refusedOf(t, err).Refusals {
		got[r.Balance] = r
	}
	want := map[string]lockprovider.Refusal{
		short:  {Balance: short, Delta: -3, Available: 2, Reason: lockprovider.ErrInsufficient},
		full:   {Balance: full, Delta: +4, Available: 1, Reason: lockprovider.ErrLimit},
		absent: {Balance: absent, Delta: +6, Available: 2, Reason: lockprovider.ErrLimit},
	}
	if !maps.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
	for _, reason := range []error{lockprovider.ErrInsufficient, lockprovider.ErrLimit} {
		if !errors.Is(err, reason) {
			t.Errorf("errors.Is does not find %v in %v", reason, err)
		}
	}
	if lockprovider.Retryable(err) {
		t.Errorf("a refusal tells the caller to try again")
	}
	h.checkApplied(t, c, 0)
	for balance, amount := range map[string]int64{enough: 10, short: 7, full: 8} {
		row, err := h.Env.Client.Balance.Get(t.Context(), balance)
		if err != nil {
			t.Fatal(err)
		}
		if row.Amount != amount || row.Version != 0 || row.Applied != 0 {
			t.Errorf("%s: amount %d, version %d, applied %d after a refusal, want %d, 0, 0",
				balance, row.Amount, row.Version, row.Applied, amount)
		}
	}
	if amounts, err := h.Env.ledger.Amounts(t.Context(), []string{absent}); err != nil || len(amounts) != 0 {
		t.Errorf("the refused change opened a balance: %v, %v", amounts, err)
	}

	// That a change did not fit is no result: the same request succeeds after somebody gave back.
	c = h.change(move(full, +4), move(short, -3), move(enough, -1))
	if _, err := instance.Execute(t.Context(), c); len(refusedOf(t, err).Refusals) != 2 {
		t.Errorf("error %v, want two refusals", err)
	}
	instance.mustExecute(t, h.change(move(short, +1)))
	instance.mustExecute(t, h.change(move(full, -3)))
	receipt, err := instance.begin(t.Context(), c).end(t)
	if err != nil || receipt.Replayed {
		t.Errorf("receipt %+v, error %v, want a first success", receipt, err)
	}
	h.checkApplied(t, c, 3)
	h.checkAmount(t, short, 5)
	h.checkAmount(t, full, 9)
}

func mergedMoves(t testing.TB, h *Harness) {
	balance, other := h.open(t, 5, 0, unlimited), h.open(t, 5, 0, unlimited)
	instance := h.start(t)

	// 3 + 3 fit one by one, but not together.
	_, err := instance.Execute(t.Context(), h.change(move(balance, -3), move(other, -1), move(balance, -3)))
	want := []lockprovider.Refusal{{Balance: balance, Delta: -6, Available: 5, Reason: lockprovider.ErrInsufficient}}
	if got := refusedOf(t, err).Refusals; !slices.Equal(got, want) {
		t.Errorf("refusals %+v, want %+v", got, want)
	}

	c := h.change(move(balance, -3), move(other, -1), move(balance, -2))
	receipt := instance.mustExecute(t, c)
	if want := map[string]int64{balance: 0, other: 4}; !maps.Equal(receipt.Balances, want) {
		t.Errorf("balances %v, want %v", receipt.Balances, want)
	}
	h.checkApplied(t, c, 2)

	// Only the second of two moves says how to open the balance.
	absent := h.unopened()
	c = h.change(move(absent, 1), lockprovider.Move{Balance: absent, Delta: 1, Open: &lockprovider.Bounds{Ceiling: 2}})
	receipt = instance.mustExecute(t, c)
	if got := fmt.Sprint(receipt.Balances); got != fmt.Sprint(map[string]int64{absent: 2}) {
		t.Errorf("balances %v, want 2", got)
	}
}
