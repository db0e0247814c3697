package history_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/experiment/history"
)

// serial generates a history that happened one operation after another: each takes effect at a moment of its own between its sending
// and its answer. So it is clean, whatever the dice say.
func serial(dice *rand.Rand, operations, clients, balances int) *history.History {
	h := &history.History{
		Operations: make([]history.Operation, 0, operations), Journal: make([]history.Entry, 0, operations), Balances: map[string]history.Balance{},
	}
	names := make([]string, balances)
	amounts, positions := make([]int64, balances), make([]int64, balances)
	for b := range balances {
		names[b] = fmt.Sprintf("balance %d", b)
		amounts[b] = 1000
		h.Balances[names[b]] = history.Balance{Opening: 1000}
	}
	free := make([]time.Duration, clients) // when a client had its last answer
	known := make([]*history.Operation, clients)
	const step = 10 * time.Microsecond
	for n := 1; len(h.Operations) < operations; n++ {
		now := time.Duration(n) * step
		client := dice.IntN(clients)
		for tries := 0; free[client] >= now && tries < 4*clients; tries++ {
			client = dice.IntN(clients)
		}
		if free[client] >= now {
			continue
		}
		o := history.Operation{
			Name: "operation", Client: client, Outcome: history.Persisted,
			Start: max(free[client], now-time.Duration(dice.Int64N(int64(50*step)))), End: now + time.Duration(dice.Int64N(int64(50*step))),
		}
		switch roll := dice.IntN(10); {
		case roll < 4: // a read of one or two balances at once
			for _, b := range pick(dice, balances, 1+dice.IntN(2)) {
				o.Observed = append(o.Observed, history.Observation{Balance: names[b], Position: positions[b], Amount: amounts[b]})
			}
		case roll == 4 && known[client] != nil: // a repeat
			before := *known[client]
			before.Start, before.End = o.Start, o.End
			o = before
		default:
			o.Change = id(n)
			if roll == 5 && dice.IntN(2) == 0 {
				o.Outcome = history.Refused
				break
			}
			switch dice.IntN(8) {
			case 0:
				o.Outcome = history.Unknown
			case 1:
				o.Outcome = history.Accepted
			}
			if o.Outcome == history.Unknown && dice.IntN(2) == 0 {
				break // it never came
			}
			for _, b := range pick(dice, balances, 1+dice.IntN(3)) {
				delta := 1 + dice.Int64N(5)
				amounts[b] += delta
				positions[b]++
				h.Journal = append(h.Journal, history.Entry{
					Balance: names[b], Position: positions[b], Change: o.Change, Delta: delta, After: amounts[b],
				})
				if o.Outcome == history.Persisted {
					o.Observed = append(o.Observed, history.Observation{Balance: names[b], Position: positions[b]})
				}
			}
			if o.Outcome == history.Persisted {
				kept := o
				known[client] = &kept
			}
		}
		free[client] = o.End
		h.Operations = append(h.Operations, o)
	}
	for b := range balances {
		h.Balances[names[b]] = history.Balance{Opening: 1000, Moves: positions[b]}
	}
	dice.Shuffle(len(h.Operations), func(i, j int) { h.Operations[i], h.Operations[j] = h.Operations[j], h.Operations[i] })
	return h
}

// pick returns n different numbers below limit, or as many as there are.
func pick(dice *rand.Rand, limit, n int) []int {
	var out []int
	for len(out) < min(n, limit) {
		if b := dice.IntN(limit); !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// damages are ways in which a shop may go wrong. Each changes a history so that it must be found, or returns false if the
// history has nothing that can be damaged so.
var damages = []struct {
	name string
	want []history.Name // one of these is found
	do   func(dice *rand.Rand, h *history.History) bool
}{
	{"an effect is forgotten", []history.Name{history.VanishedEffect}, func(dice *rand.Rand, h *history.History) bool {
		i := dice.IntN(len(h.Journal))
		h.Journal = slices.Delete(h.Journal, i, i+1)
		return true
	}},
	{"an effect happens twice", []history.Name{history.DuplicatedEffect}, func(dice *rand.Rand, h *history.History) bool {
		e := h.Journal[dice.IntN(len(h.Journal))]
		b := h.Balances[e.Balance]
		b.Moves++
		h.Balances[e.Balance] = b
		last := amountOf(h, e.Balance)
		h.Journal = append(h.Journal, history.Entry{Balance: e.Balance, Position: b.Moves, Change: e.Change, Delta: e.Delta, After: last + e.Delta})
		return true
	}},
	{"a change is made of an old version", []history.Name{history.LostUpdate}, func(dice *rand.Rand, h *history.History) bool {
		i := dice.IntN(len(h.Journal))
		if h.Journal[i].Position == 1 {
			return false
		}
		h.Journal[i].Position--
		return true
	}},
	{"a read tells a number that never was", []history.Name{history.G1a}, func(dice *rand.Rand, h *history.History) bool {
		o := someRead(dice, h, 0)
		if o == nil {
			return false
		}
		o.Observed = slices.Clone(o.Observed)
		o.Observed[0].Amount--
		return true
	}},
	{
		"a read tells what was long ago",
		[]history.Name{history.StaleRead, history.NonMonotonicRead, history.GSingle, history.G2, history.SessionViolation, history.RealTimeViolation},
		func(dice *rand.Rand, h *history.History) bool {
			o := someRead(dice, h, 1)
			if o == nil {
				return false
			}
			seen := &o.Observed[0]
			if !wasAcknowledged(h, seen.Balance, o.Start) {
				return false
			}
			seen.Position, seen.Amount = 0, 1000
			return true
		},
	},
	{"what was refused is done", []history.Name{history.G1a}, func(dice *rand.Rand, h *history.History) bool {
		for i := range h.Operations {
			o := &h.Operations[i]
			if o.Outcome != history.Refused {
				continue
			}
			b := h.Balances["balance 0"]
			b.Moves++
			last := amountOf(h, "balance 0")
			h.Balances["balance 0"] = b
			h.Journal = append(h.Journal, history.Entry{Balance: "balance 0", Position: b.Moves, Change: o.Change, Delta: 1, After: last + 1})
			return true
		}
		return false
	}},
	{"somebody is told what another one did", []history.Name{history.VanishedEffect, history.DuplicatedEffect}, func(_ *rand.Rand, h *history.History) bool {
		var first *history.Operation
		for i := range h.Operations {
			o := &h.Operations[i]
			if o.IsRead() || o.Outcome != history.Persisted || o.Observed[0].Balance != "balance 0" {
				continue
			}
			if first != nil && first.Change != o.Change {
				o.Observed = slices.Clone(o.Observed)
				o.Observed[0].Position = first.Observed[0].Position
				return true
			}
			first = o
		}
		return false
	}},
	{
		"the last comes first",
		[]history.Name{history.RealTimeViolation, history.StaleRead, history.SessionViolation, history.NonMonotonicRead, history.G0, history.G1c, history.GSingle, history.G2},
		func(_ *rand.Rand, h *history.History) bool {
			var all []int // effects on balance 0
			for i := range h.Journal {
				if h.Journal[i].Balance == "balance 0" {
					all = append(all, i)
				}
			}
			if len(all) < 2 {
				return false
			}
			x, y := &h.Journal[all[0]], &h.Journal[all[len(all)-1]]
			if !isBefore(h, x.Change, y.Change) {
				return false
			}
			x.Change, y.Change = y.Change, x.Change
			for i := range h.Operations { // who did what was told the truth
				o := &h.Operations[i]
				if o.Change == x.Change || o.Change == y.Change {
					o.Observed = slices.DeleteFunc(slices.Clone(o.Observed), func(s history.Observation) bool { return s.Balance == "balance 0" })
				}
			}
			return true
		},
	},
}

func amountOf(h *history.History, balance string) int64 {
	amount := h.Balances[balance].Opening
	for _, e := range h.Journal {
		if e.Balance == balance {
			amount = e.After
		}
	}
	return amount
}

func someRead(dice *rand.Rand, h *history.History, least int64) *history.Operation {
	var reads []*history.Operation
	for i := range h.Operations {
		if o := &h.Operations[i]; o.IsRead() && o.Observed[0].Position >= least {
			reads = append(reads, o)
		}
	}
	if len(reads) == 0 {
		return nil
	}
	return reads[dice.IntN(len(reads))]
}

// wasAcknowledged reports whether a change of the balance had been acknowledged at a time.
func wasAcknowledged(h *history.History, balance string, by time.Duration) bool {
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.IsRead() || o.Outcome != history.Persisted || o.End >= by {
			continue
		}
		for _, seen := range o.Observed {
			if seen.Balance == balance {
				return true
			}
		}
	}
	return false
}

// isBefore reports whether a change was acknowledged before another one was sent, which was acknowledged as well.
func isBefore(h *history.History, x, y uuid.UUID) bool {
	var end, start time.Duration
	for _, o := range h.Operations {
		if o.Outcome == history.Persisted && o.Change == x && (end == 0 || o.End < end) {
			end = o.End
		}
		if o.Outcome == history.Persisted && o.Change == y && (start == 0 || o.Start < start) {
			start = o.Start
		}
	}
	return end > 0 && end < start
}

// TestSerialExecutionsAreClean also damages each of them, and has the damage found.
func TestSerialExecutionsAreClean(t *testing.T) {
	done := map[string]int{}
	for seed := range uint64(400) {
		shape := rand.New(rand.NewPCG(seed, 1))
		operations, clients, balances := 20+shape.IntN(400), 1+shape.IntN(12), 1+shape.IntN(6)
		generate := func() *history.History {
			return serial(rand.New(rand.NewPCG(seed, 2)), operations, clients, balances)
		}
		if found := history.Check(generate()); len(found) > 0 {
			t.Fatalf("seed %d: found where nothing is: %s", seed, found[0].Text)
		}
		for _, damage := range damages {
			h := generate()
			if len(h.Journal) == 0 || !damage.do(rand.New(rand.NewPCG(seed, 3)), h) {
				continue
			}
			done[damage.name]++
			found := history.Check(h)
			if !slices.ContainsFunc(found, func(a history.Anomaly) bool { return slices.Contains(damage.want, a.Name) }) {
				t.Errorf("seed %d: %s: found %+v", seed, damage.name, found)
			}
		}
	}
	for _, damage := range damages {
		if done[damage.name] < 10 {
			t.Errorf("%s: done %d times only", damage.name, done[damage.name])
		}
	}
}

// FuzzCheck: whatever a history says, the check ends, and what it finds can be told and drawn.
func FuzzCheck(f *testing.F) {
	f.Add(uint64(1), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint64(7), []byte{0, 0, 255, 3, 9, 200, 17, 4, 4, 4, 4, 4})
	f.Fuzz(func(t *testing.T, seed uint64, changes []byte) {
		h := serial(rand.New(rand.NewPCG(seed, 4)), 60, 4, 3)
		for i := 0; i+1 < len(changes) && len(h.Journal) > 0 && len(h.Operations) > 0; i += 2 {
			e, o := &h.Journal[int(changes[i])%len(h.Journal)], &h.Operations[int(changes[i])%len(h.Operations)]
			switch x := int64(changes[i+1]); x % 7 {
			case 0:
				e.Position = x / 7
			case 1:
				e.Change = h.Journal[int(x)%len(h.Journal)].Change
			case 2:
				e.After += x
			case 3:
				o.Start, o.End = o.End, o.Start+time.Duration(x)
			case 4:
				o.Outcome = history.Outcome(x % 4)
			case 5:
				if len(o.Observed) > 0 {
					o.Observed = slices.Clone(o.Observed)
					o.Observed[0].Position = x/7 - 3
				}
			case 6:
				h.Journal = slices.Delete(h.Journal, int(x)%len(h.Journal), int(x)%len(h.Journal)+1)
			}
		}
		for _, a := range history.Check(h) {
			if a.Count < 1 || a.Text == "" {
				t.Errorf("%+v", a)
			}
			checkSVG(t, &a)
		}
	})
}

// BenchmarkCheckMillion is of 1,000,000 operations of 64 clients on 50 balances.
//
//	GOMAXPROCS=2 go test ./experiment/history -run '^$' -bench Million -benchtime 1x -benchmem
func BenchmarkCheckMillion(b *testing.B) {
	h := serial(rand.New(rand.NewPCG(1, 2)), 1_000_000, 64, 50)
	for b.Loop() {
		if found := history.Check(h); len(found) > 0 {
			b.Fatal(found[0].Text)
		}
	}
	b.ReportMetric(float64(len(h.Operations)), "operations")
}

// BenchmarkCheckMillionOfALossyShop is of as many operations of a shop that lost every tenth update.
func BenchmarkCheckMillionOfALossyShop(b *testing.B) {
	h := serial(rand.New(rand.NewPCG(1, 2)), 1_000_000, 64, 50)
	dice := rand.New(rand.NewPCG(3, 4))
	for i := range h.Journal {
		if e := &h.Journal[i]; e.Position > 2 && dice.IntN(10) == 0 {
			e.Position -= 1 + dice.Int64N(2)
		}
	}
	for b.Loop() {
		if found := history.Check(h); len(found) == 0 {
			b.Fatal("found nothing")
		}
	}
	b.ReportMetric(float64(len(h.Operations)), "operations")
}
