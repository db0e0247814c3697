package load

import (
	"math/rand/v2"
	"time"
)

// This file has the workloads in which customers do more than one thing.

// anything is one of all that customers do.
func (w *Dataset) anything(dice *rand.Rand) []*Request {
	switch dice.IntN(8) {
	case 0: // waits for a payment that never comes
		return w.order(dice, "", w.pick(w.Objects, dice))
	case 1:
		taken := w.take(w.user(dice), w.coupons[dice.IntN(len(w.coupons))])
		order := w.orderOf(taken.User, w.pick(w.Objects, dice))
		order.issue, order.Payment = taken.ID(), "CARD"
		return []*Request{taken, order}
	case 2:
		order := w.orderOf(w.user(dice), w.Objects...)
		order.Payment = "CARD"
		return []*Request{order, order.follow(RefundCreate)}
	case 3:
		order := w.orderOf(w.user(dice), w.pick(w.Objects, dice))
		return []*Request{order, order.pays("CARD")}
	case 4: // what is too dear is refused for good, and given back
		charge := w.charge(w.user(dice), 1+dice.Int64N(200))
		order := w.orderOf(charge.User, w.pick(w.Objects, dice))
		order.Payment = "POINTS"
		return []*Request{charge, order}
	case 5:
		order := w.orderOf(w.user(dice), w.pick(w.Objects, dice))
		cancel := order.follow(CancelOrder)
		order.Followed = true
		return []*Request{order, cancel}
	case 6:
		return []*Request{w.charge(w.user(dice), 1+dice.Int64N(50))}
	default:
		return []*Request{w.anyTransfer(dice)}
	}
}

// nastiness is what a shop has to stand, although nobody would ask for it politely.
func (w *Dataset) nastiness(dice *rand.Rand) []*Request {
	var a *Request
	switch dice.IntN(6) {
	case 0, 1: // to pay and to cancel at the same moment
		order := w.orderOf(w.user(dice), w.pick(w.Objects, dice))
		pay := order.pays("CARD")
		pay.rival = order.follow(CancelOrder)
		return []*Request{order, pay}
	case 2:
		a = w.orderOf(w.user(dice), w.pick(w.Objects, dice))
	case 3:
		a = w.charge(w.user(dice), 1+dice.Int64N(50))
	default: // money in circles
		a = w.anyTransfer(dice)
	}
	switch dice.IntN(3) {
	case 0:
		a.twice = true
	case 1: // an attempt takes a millisecond or a second, as the shop does
		a.leave, a.back = time.Duration(1+dice.Int64N(int64(10*time.Millisecond))), dice.IntN(2) == 0
	}
	return []*Request{a}
}

// anyTransfer moves some money from one account to another one: more than there is, sometimes.
func (w *Dataset) anyTransfer(dice *rand.Rand) *Request {
	from := dice.IntN(len(w.accounts))
	return w.transfer(from, (from+1+dice.IntN(len(w.accounts)-1))%len(w.accounts), 1+dice.Int64N(15))
}
