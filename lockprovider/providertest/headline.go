package providertest

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// The cases that the source studies of this project became known for, at the level of a strategy.

// Transfers100Of1 makes 100 transfers of 1 between two accounts at once. Without a lock, a study was left with 31.
func Transfers100Of1(t testing.TB, h *Harness) {
	h.Family = lockprovider.Accounts
	from, to := h.open(t, 100, 0, unlimited), h.open(t, 0, 0, unlimited)
	calm := polling(100 * time.Millisecond)
	outcomes := race(t, 100, func(int) lockprovider.Change { return h.change(move(from, -1), move(to, +1)) },
		h.start(t, calm), h.start(t, calm))
	checkWon(t, outcomes, 100, nil)
	h.checkAmount(t, from, 0)
	h.checkAmount(t, to, 100)
	h.checkConsistent(t, from)
	h.checkConsistent(t, to)
}

// Users15ForACouponOf10 lets 15 users ask at once for a coupon of which there are 10, one a user.
func Users15ForACouponOf10(t testing.TB, h *Harness) {
	h.Family = lockprovider.Coupons
	quota := h.open(t, 0, 0, 10)
	outcomes := race(t, 15, func(racer int) lockprovider.Change {
		user := lockprovider.CouponUserKey(idOf(quota), "user"+strconv.Itoa(racer))
		return h.change(move(quota, +1), lockprovider.Move{Balance: user, Delta: 1, Open: &lockprovider.Bounds{Ceiling: 1}})
	}, h.start(t), h.start(t))
	checkWon(t, outcomes, 10, lockprovider.ErrLimit)
	h.checkAmount(t, quota, 10)
	h.checkConsistent(t, quota)
}

// Charges10Of1000 charges the points of one user 10 times at once.
func Charges10Of1000(t testing.TB, h *Harness) {
	h.Family = lockprovider.Points
	points := h.open(t, 0, 0, unlimited)
	outcomes := race(t, 10, func(int) lockprovider.Change { return h.change(move(points, +1000)) }, h.start(t), h.start(t))
	checkWon(t, outcomes, 10, nil)
	h.checkAmount(t, points, 10_000)
	h.checkConsistent(t, points)
}

// TwoOrdersTwoProducts orders two products at once in opposite order, again and again.
func TwoOrdersTwoProducts(t testing.TB, h *Harness) {
	const rounds = 20
	h.Family = lockprovider.Stock
	one, two := h.open(t, 2*rounds, 0, unlimited), h.open(t, 2*rounds, 0, unlimited)
	instances := []*Instance{h.start(t), h.start(t)}
	for range rounds {
		outcomes := race(t, 2, func(racer int) lockprovider.Change {
			if racer == 0 {
				return h.change(move(one, -1), move(two, -1))
			}
			return h.change(move(two, -1), move(one, -1))
		}, instances...)
		checkWon(t, outcomes, 2, nil)
	}
	h.checkAmount(t, one, 0)
	h.checkAmount(t, two, 0)
}

// Stock100With400Buyers lets 400 buyers ask at once for 100 units.
func Stock100With400Buyers(t testing.TB, h *Harness) {
	h.Family = lockprovider.Stock
	stock := h.open(t, 100, 0, unlimited)
	calm := func(s *lockprovider.Settings) { // 400 who ask every 20 ms, or anew after 10 s, are too much for the embedded Redis
		s.Poll, s.Wait = testenv.Scaled(400*time.Millisecond), patience/2
	}
	outcomes := race(t, 400, func(int) lockprovider.Change { return h.change(move(stock, -1)) },
		h.start(t, calm), h.start(t, calm))
	checkWon(t, outcomes, 100, lockprovider.ErrInsufficient)
	h.checkAmount(t, stock, 0)
	h.checkConsistent(t, stock)
}

func checkWon(t testing.TB, outcomes []outcome, want int, refusal error) {
	t.Helper()
	won := 0
	for _, o := range outcomes {
		switch {
		case o.err == nil:
			won++
		case refusal == nil || !errors.Is(o.err, refusal):
			t.Errorf("racer failed: %v", o.err)
		}
	}
	if won != want {
		t.Errorf("%d succeeded, want exactly %d", won, want)
	}
}
