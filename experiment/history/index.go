package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// never is the end of what was not acknowledged as persisted, always the beginning of what no client of the history has sent.
const (
	never  = time.Duration(math.MaxInt64)
	always = time.Duration(math.MinInt64)
)

// node is what the graph is made of: one read, or one change with all the attempts at it.
type node struct {
	operation int32 // of the history, the first attempt; -1 if no client of the history sent the change
	client    int32 // -1 likewise
	entry     int32 // of the journal, the first one of the change; -1 of a read
	// start is when the first attempt was sent, end when the first answer came that says that it is persisted.
	start, end time.Duration
}

// version is an effect on a balance, in the order of the journal.
type version struct {
	number int64 // counts effects of the balance, also those that the journal lacks
	node   int32
	entry  int32 // of the history's journal
	lost   bool  // it was not made of the version before it
	base   int64 // the number of the version that it was made of, if lost; -1 if that is not known
}

// read is what a read saw of a balance, if that is a version that there is.
type read struct {
	node, balance int32
	number        int64
	amount        int64
	unordered     bool // an anomaly of its order has been found: it is not to be found again
}

// checker has a history with numbers instead of names.
type checker struct {
	h        *History
	nodes    []node
	balances []string
	byName   map[string]int32
	byChange map[uuid.UUID]int32 // nodes
	versions [][]version         // by balance, rising numbers
	reads    []read
	// believed is the position that a change with a lost update has computed for itself.
	believed map[effect]int64
	found    map[Name]*Anomaly
	tainted  []bool // nodes of cycles that were found: worse names come first, and a cycle gets one name
}

// effect is what a change did to a balance.
type effect struct{ node, balance int32 }

func newChecker(h *History) *checker {
	c := &checker{
		h: h, byName: map[string]int32{}, byChange: make(map[uuid.UUID]int32, len(h.Journal)), found: map[Name]*Anomaly{},
		believed: map[effect]int64{},
	}
	c.nodes = make([]node, 0, len(h.Operations))
	for name := range h.Balances {
		c.balance(name) // also of those that the journal has nothing of
	}
	c.effects()
	c.operations()
	c.tainted = make([]bool, len(c.nodes))
	return c
}

func (c *checker) balance(name string) int32 {
	b, ok := c.byName[name]
	if !ok {
		b = int32(len(c.balances))
		c.byName[name], c.balances, c.versions = b, append(c.balances, name), append(c.versions, nil)
	}
	return b
}

// effects makes the nodes of changes and the versions of balances.
func (c *checker) effects() {
	for i := range c.h.Journal {
		e := &c.h.Journal[i]
		n, ok := c.byChange[e.Change]
		if !ok {
			n = int32(len(c.nodes))
			c.byChange[e.Change] = n
			c.nodes = append(c.nodes, node{operation: -1, client: -1, entry: int32(i), start: always, end: never})
		}
		b := c.balance(e.Balance)
		last := c.last(b)
		v := version{number: last + 1, node: n, entry: int32(i)}
		switch {
		case e.Position > v.number: // those in between were counted, and the journal lacks them
			v.number = e.Position
		case e.Position > 0 && e.Position < v.number:
			v.lost, v.base = true, e.Position-1
			c.believed[effect{n, b}] = e.Position
		case e.Position == 0 && e.After != c.amount(b, last)+e.Delta:
			v.lost, v.base = true, -1
		}
		c.versions[b] = append(c.versions[b], v)
	}
}

// last is the number of the last version of a balance so far.
func (c *checker) last(b int32) int64 {
	if v := c.versions[b]; len(v) > 0 {
		return v[len(v)-1].number
	}
	return 0
}

// amount is the amount that a version has left, which must be one that there is.
func (c *checker) amount(b int32, number int64) int64 {
	if v := c.version(b, number); v != nil {
		return c.h.Journal[v.entry].After
	}
	return c.h.Balances[c.balances[b]].Opening
}

// version returns a version of a balance, or nil if the journal has none of that number.
func (c *checker) version(b int32, number int64) *version {
	all := c.versions[b]
	if i := number - 1; i >= 0 && i < int64(len(all)) && all[i].number == number {
		return &all[i]
	}
	i, ok := slices.BinarySearchFunc(all, number, func(v version, number int64) int { return cmp.Compare(v.number, number) })
	if !ok {
		return nil
	}
	return &all[i]
}

// next returns the first version behind a number, or nil.
func (c *checker) next(b int32, number int64) *version {
	all := c.versions[b]
	if number >= 0 && number < int64(len(all)) && all[number].number == number+1 {
		return &all[number]
	}
	i, _ := slices.BinarySearchFunc(all, number+1, func(v version, number int64) int { return cmp.Compare(v.number, number) })
	if i == len(all) {
		return nil
	}
	return &all[i]
}

// operations adds the nodes of reads, and the times of changes.
func (c *checker) operations() {
	for i := range c.h.Operations {
		o := &c.h.Operations[i]
		if !o.IsRead() {
			if n, ok := c.byChange[o.Change]; ok {
				c.attempt(&c.nodes[n], o, int32(i))
				c.sees(n, o.Reads)
			}
			continue
		}
		if o.Outcome != Persisted {
			continue
		}
		n := int32(len(c.nodes))
		c.nodes = append(c.nodes, node{operation: int32(i), client: int32(o.Client), entry: -1, start: o.Start, end: o.End})
		c.sees(n, o.Observed)
	}
}

func (c *checker) sees(n int32, observed []Observation) {
	for _, seen := range observed {
		c.reads = append(c.reads, read{node: n, balance: c.balance(seen.Balance), number: seen.Position, amount: seen.Amount})
	}
}

// attempt adds an attempt to the node of its change. The effect was there before the first answer that says so came, and not before
// the first attempt was sent.
func (c *checker) attempt(n *node, o *Operation, index int32) {
	if n.operation < 0 || o.Start < n.start {
		n.operation, n.client, n.start = index, int32(o.Client), o.Start
	}
	if o.Outcome == Persisted {
		n.end = min(n.end, o.End)
	}
}

// step describes a node.
func (c *checker) step(n int32) Step {
	node := c.nodes[n]
	if node.operation < 0 {
		return Step{Operation: "a change " + c.h.Journal[node.entry].Change.String(), Client: -1}
	}
	o := &c.h.Operations[node.operation]
	s := Step{Operation: o.Name, Client: o.Client, Start: o.Start}
	if node.end != never {
		s.End = node.end
	}
	if o.IsRead() {
		for _, seen := range o.Observed {
			s.Operation += fmt.Sprintf(" %s: %d at position %d", seen.Balance, seen.Amount, seen.Position)
		}
	} else {
		s.Operation += " " + o.Change.String()
	}
	return s
}
