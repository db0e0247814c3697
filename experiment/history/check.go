package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Check returns the anomalies of a history, the worst first. Nil is a clean history: all of it could have happened one operation
// after another, in an order that agrees with the positions and amounts that every client was told, and with the clock.
//
// Check does not compare a refusal with the balances. A change that is refused because of an amount that is out of date is clean.
//
// Each operation of a cycle is reported under the worst name only.
func Check(h *History) []Anomaly {
	c := newChecker(h)
	c.lostUpdates()
	c.holes()
	c.answers()
	c.intermediate()
	c.aborted()
	g := c.graph()
	cyclic := len(g.components(allEdges)) > 0 // a clean history has no cycle, and needs no further search
	if cyclic {
		g.cycles(isolation)
		g.antiDependencies()
	}
	c.order()
	if cyclic {
		c.graph().cycles(clock) // without the reads that order has named
	}
	var out []Anomaly
	for _, name := range Names() {
		if a := c.found[name]; a != nil {
			out = append(out, *a)
		}
	}
	return out
}

// find counts an anomaly. cycle is called if the anomaly may be the shortest one of its name, with a length of at least n.
func (c *checker) find(name Name, n int, cycle func() ([]Step, string)) {
	a := c.found[name]
	if a == nil {
		a = &Anomaly{Name: name}
		c.found[name] = a
	}
	a.Count++
	if len(a.Cycle) > 0 && len(a.Cycle) <= n {
		return
	}
	steps, note := cycle()
	isShorter := len(steps) > 0 && (len(a.Cycle) == 0 || len(steps) < len(a.Cycle)) // one without operations explains less
	if a.Text == "" || isShorter {
		a.Cycle, a.Text = steps, tell(name, steps, note)
	}
}

// link returns a step with the edge that leads on from it.
func (c *checker) link(n int32, kind EdgeKind, why string, args ...any) Step {
	s := c.step(n)
	s.Edge, s.Why = kind, fmt.Sprintf(why, args...)
	return s
}

// lostUpdates finds changes that were made of a version which was not the last one.
func (c *checker) lostUpdates() {
	for b := range c.versions {
		for i := range c.versions[b] {
			v := &c.versions[b][i]
			if !v.lost {
				continue
			}
			overwritten := &c.versions[b][max(i-1, 0)]
			if v.base >= 0 {
				if first := c.next(int32(b), v.base); first != nil {
					overwritten = first
				}
			}
			c.find(LostUpdate, 2, func() ([]Step, string) {
				name := c.balances[b]
				if overwritten.node == v.node {
					return []Step{c.step(v.node)}, fmt.Sprintf("the amount of %s after it does not follow from the one before", name)
				}
				return []Step{
					c.link(v.node, RW, "it was made of version %d of %s, which the other replaced", max(v.base, 0), name),
					c.link(overwritten.node, WW, "its version %d of %s was overwritten by version %d", overwritten.number, name, v.number),
				}, fmt.Sprintf("%+d on %s is lost", c.h.Journal[overwritten.entry].Delta, name)
			})
		}
	}
}

// holes finds effects that a balance counts and the journal lacks, and changes that have more effects than they may have.
func (c *checker) holes() {
	for b, all := range c.versions {
		before := int64(0)
		for i := range all {
			if all[i].number > before+1 {
				c.vanished(int32(b), before+1, all[i].number-1, &all[i])
			}
			before = all[i].number
		}
		if moves := c.h.Balances[c.balances[b]].Moves; moves > before {
			c.vanished(int32(b), before+1, moves, nil)
		}
	}
	count := make(map[effect]int, len(c.h.Journal))
	for b, all := range c.versions {
		for i := range all {
			e := effect{all[i].node, int32(b)}
			count[e]++
			if count[e] == c.mayWrite(e.node)+1 {
				c.find(DuplicatedEffect, 1, func() ([]Step, string) {
					return []Step{c.step(e.node)}, fmt.Sprintf("it has more than one effect on %s, the second at position %d", c.balances[b], all[i].number)
				})
			}
		}
	}
}

func (c *checker) mayWrite(n int32) int {
	if o := c.nodes[n].operation; o >= 0 {
		return max(1, c.h.Operations[o].Writes)
	}
	return 1
}

func (c *checker) vanished(b int32, from, to int64, behind *version) {
	c.find(VanishedEffect, 1, func() ([]Step, string) {
		note := fmt.Sprintf("%s counts the effects %d to %d, and the journal does not have them", c.balances[b], from, to)
		if behind == nil {
			return []Step{}, note
		}
		return []Step{c.step(behind.node)}, note
	})
}

// answers compares what mutations were told with what they did.
func (c *checker) answers() {
	refused := map[int32]int32{}       // nodes that some attempt was told do not exist, and the attempt
	unsure := map[int32]bool{}         // nodes of which an attempt had no answer
	told := map[uuid.UUID]*Operation{} // the first acknowledgement of a change
	vanished := map[uuid.UUID]bool{}   // they are counted once
	unlike := map[uuid.UUID]bool{}     // told two things
	for i := range c.h.Operations {
		o := &c.h.Operations[i]
		if o.IsRead() {
			continue
		}
		n, exists := c.byChange[o.Change]
		switch {
		case o.Outcome == Refused && exists:
			refused[n] = int32(i)
			continue
		case o.Outcome == Unknown && exists:
			unsure[n] = true
			continue
		case o.Outcome != Persisted && o.Outcome != Accepted:
			continue
		}
		first := told[o.Change]
		if first == nil {
			told[o.Change] = o
		} else if at := differs(first, o); at != "" && !unlike[o.Change] {
			unlike[o.Change] = true
			c.find(DuplicatedEffect, 1, func() ([]Step, string) {
				return []Step{c.attemptStep(first), c.attemptStep(o)},
					fmt.Sprintf("two attempts at one change were told two positions of %s", at)
			})
		}
		if vanished[o.Change] || unlike[o.Change] {
			continue
		}
		if !exists {
			vanished[o.Change] = true
			c.find(VanishedEffect, 1, func() ([]Step, string) {
				return []Step{c.attemptStep(o)}, "it was acknowledged, and the journal does not have it"
			})
		}
	}
	for i := range c.h.Operations {
		o := &c.h.Operations[i]
		if n, exists := c.byChange[o.Change]; exists && !o.IsRead() && o.Outcome != Refused && !unlike[o.Change] && !vanished[o.Change] {
			vanished[o.Change] = c.findForeignPosition(o, n)
		}
	}
	for n, attempt := range refused {
		o := &c.h.Operations[attempt]
		if told[o.Change] != nil || unsure[n] { // another attempt had the effect, or may have had it
			continue
		}
		c.find(G1a, 1, func() ([]Step, string) {
			return []Step{c.step(n)}, "it was refused, and its effect is in the journal, where later changes build on it"
		})
	}
}

// differs returns a balance of which two attempts were told different positions, or "".
func differs(a, b *Operation) string {
	for _, x := range a.Observed {
		for _, y := range b.Observed {
			if x.Balance == y.Balance && x.Position != y.Position {
				return x.Balance
			}
		}
	}
	return ""
}

// findForeignPosition finds a position that was told to a change and is another's. It reports whether there is one.
func (c *checker) findForeignPosition(o *Operation, n int32) bool {
	for _, seen := range o.Observed {
		b := c.balance(seen.Balance)
		v := c.version(b, seen.Position)
		if v != nil && v.node == n || c.believed[effect{n, b}] == seen.Position { // the second is a lost update, found before
			continue
		}
		c.find(VanishedEffect, 1, func() ([]Step, string) {
			return []Step{c.attemptStep(o)}, fmt.Sprintf("it was told position %d of %s, where the journal has another change", seen.Position, seen.Balance)
		})
		return true
	}
	return false
}

func (c *checker) attemptStep(o *Operation) Step {
	s := Step{Operation: o.Name + " " + o.Change.String(), Client: o.Client, Start: o.Start}
	if o.Outcome != Unknown {
		s.End = o.End
	}
	return s
}

// intermediate finds reads between two effects of one change on one balance.
func (c *checker) intermediate() {
	final := map[effect]int64{} // the last version that a change of several effects left
	for b, all := range c.versions {
		for i := range all {
			if c.mayWrite(all[i].node) > 1 {
				final[effect{all[i].node, int32(b)}] = all[i].number
			}
		}
	}
	for i := range c.reads {
		r := &c.reads[i]
		v := c.version(r.balance, r.number)
		if v == nil {
			continue
		}
		last, ok := final[effect{v.node, r.balance}]
		if !ok || last <= r.number {
			continue
		}
		r.unordered = true
		c.find(G1b, 2, func() ([]Step, string) {
			return []Step{
				c.link(v.node, WR, "it left version %d of %s, which the other saw", r.number, c.balances[r.balance]),
				c.link(r.node, RW, "the first went on to version %d", last),
			}, ""
		})
	}
}

// aborted finds reads of what no change has left. Their balances are taken out of the reads: nothing can be said of their order.
func (c *checker) aborted() {
	kept := c.reads[:0]
	for _, r := range c.reads {
		name := c.balances[r.balance]
		exists := r.number == 0 || c.version(r.balance, r.number) != nil
		if !exists && r.number > 0 && r.number <= max(c.last(r.balance), c.h.Balances[name].Moves) {
			continue // of an effect that the journal lacks, which holes has found
		}
		if !exists || c.amount(r.balance, r.number) != r.amount {
			c.find(G1a, 1, func() ([]Step, string) {
				return []Step{c.step(r.node)}, fmt.Sprintf("no change in the journal has left %d at position %d of %s", r.amount, r.number, name)
			})
			continue
		}
		kept = append(kept, r)
	}
	c.reads = kept
}

// event is something that the order of one balance is checked by.
type event struct {
	at      time.Duration
	balance int32
	isEnd   bool // of a write that was acknowledged; else a start
	read    int32
	version *version
}

// order finds reads that do not see what was acknowledged or seen before, and writes that come before what was acknowledged before. It
// leaves out the nodes of cycles that have a worse name.
func (c *checker) order() {
	c.monotonic()
	events := make([]event, 0, 2*len(c.h.Journal)+len(c.reads))
	for b := range c.versions {
		for i := range c.versions[b] {
			v := &c.versions[b][i]
			n := c.nodes[v.node]
			if n.end != never {
				events = append(events, event{at: n.end, balance: int32(b), isEnd: true, version: v})
			}
			if n.start != always {
				events = append(events, event{at: n.start, balance: int32(b), read: -1, version: v})
			}
		}
	}
	for i := range c.reads {
		if r := &c.reads[i]; !r.unordered && !c.tainted[r.node] {
			events = append(events, event{at: c.nodes[c.reads[i].node].start, balance: c.reads[i].balance, read: int32(i)})
		}
	}
	slices.SortFunc(events, func(x, y event) int {
		if x.at != y.at {
			return cmp.Compare(x.at, y.at)
		}
		return cmp.Compare(number(x.isEnd), number(y.isEnd)) // what starts as another ends is concurrent with it
	})
	newest := make([]*version, len(c.versions)) // that was acknowledged
	for _, e := range events {
		acked := newest[e.balance]
		switch {
		case e.isEnd:
			if acked == nil || e.version.number > acked.number {
				newest[e.balance] = e.version
			}
		case acked == nil:
		case e.version != nil:
			if e.version.number < acked.number && e.version.node != acked.node && !c.tainted[e.version.node] && !e.version.lost {
				c.tainted[e.version.node] = true
				c.find(RealTimeViolation, 2, func() ([]Step, string) {
					return []Step{
						c.writes(e.version, acked, e.balance),
						c.link(acked.node, RealTime, "it was answered before the other was sent"),
					}, ""
				})
			}
		default:
			if r := &c.reads[e.read]; r.number < acked.number && acked.node != r.node {
				r.unordered = true
				c.find(StaleRead, 2, func() ([]Step, string) { return c.stale(r, acked), "" })
			}
		}
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// writes links a version to a later one of the same balance.
func (c *checker) writes(v, later *version, b int32) Step {
	return c.link(v.node, WW, "it wrote version %d of %s, the other version %d", v.number, c.balances[b], later.number)
}

// stale is the cycle of a read that was sent after the acknowledgement of a version that it does not see.
func (c *checker) stale(r *read, acked *version) []Step {
	name, start := c.balances[r.balance], c.nodes[r.node].start
	next := c.next(r.balance, r.number)
	if c.nodes[next.node].end < start {
		acked = next
	}
	steps := []Step{c.link(r.node, RW, "it saw version %d of %s, which was replaced by version %d", r.number, name, next.number)}
	if next != acked {
		steps = append(steps, c.writes(next, acked, r.balance))
	}
	return append(steps, c.link(acked.node, RealTime, "it was acknowledged before the read was sent"))
}

// monotonic finds reads that see less than the same client has seen in an answer before.
func (c *checker) monotonic() {
	order := make([]int32, len(c.reads))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int {
		a, b := c.nodes[c.reads[x].node], c.nodes[c.reads[y].node]
		return cmp.Or(cmp.Compare(c.reads[x].balance, c.reads[y].balance), cmp.Compare(a.client, b.client), cmp.Compare(a.start, b.start))
	})
	var seen *read
	for _, i := range order {
		r := &c.reads[i]
		n := c.nodes[r.node]
		if seen == nil || seen.balance != r.balance || c.nodes[seen.node].client != n.client {
			seen = r
			continue
		}
		switch {
		case r.number >= seen.number:
			seen = r
		case c.nodes[seen.node].end <= n.start && !r.unordered && !c.tainted[r.node]:
			r.unordered = true
			before := seen
			c.find(NonMonotonicRead, 3, func() ([]Step, string) {
				name := c.balances[r.balance]
				next := c.next(r.balance, r.number)
				steps := []Step{
					c.link(before.node, Session, "the same client had its answer before it sent the other"),
					c.link(r.node, RW, "it saw version %d of %s, which was replaced by version %d", r.number, name, next.number),
				}
				if next.number != before.number {
					if v := c.version(r.balance, before.number); v != nil {
						steps = append(steps, c.writes(next, v, r.balance))
						next = v
					}
				}
				return append(steps, c.link(next.node, WR, "it left version %d of %s, which the first read saw", next.number, name)), ""
			})
		}
	}
}
