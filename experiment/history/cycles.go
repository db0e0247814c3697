package history

import "fmt"

// level is a graph of some kinds of edges, and the name of the cycles that are in it and not in the ones before.
type level struct {
	name      Name
	one, rest kind // a cycle has an edge of the kind one, and for the rest of it edges of these
}

// levels are all names of cycles, the worst first.
var levels = []level{
	{G0, ww, ww},
	{G1c, wr, ww | wr},
	{GSingle, rw, ww | wr},
	{G2, rw, ww | wr | rw},
	{SessionViolation, session, ww | wr | rw | session},
	{RealTimeViolation, realTime, ww | wr | rw | session | realTime},
}

// cycles finds what is left when every balance has been looked at on its own: cycles over several of them.
func (c *checker) cycles() {
	g := c.graph()
	everything := levels[len(levels)-1]
	if len(g.components(everything.one|everything.rest)) == 0 {
		return // as almost always
	}
	for _, l := range levels {
		for _, nodes := range g.components(l.one | l.rest) {
			member := make(map[int32]bool, len(nodes))
			for _, n := range nodes {
				member[n] = true
			}
			cycle := g.shortest(member, nodes, l.one, l.rest)
			if cycle == nil {
				continue
			}
			c.find(l.name, 2, func() ([]Step, string) { return g.steps(cycle), "" })
			if l.name == GSingle { // the component may have a G2 besides: only this cycle is explained
				for _, e := range cycle {
					c.taint(e.from)
				}
				continue
			}
			for _, n := range nodes {
				c.taint(n)
			}
		}
	}
}

func (c *checker) taint(n int32) {
	if int(n) < len(c.tainted) {
		c.tainted[n] = true
	}
}

// steps tells the edges of a cycle, without the moments.
func (g *graph) steps(cycle []edge) []Step {
	var out []Step
	for i, e := range cycle {
		if int(e.from) >= len(g.c.nodes) { // a moment: the edge to it has been told
			continue
		}
		balance := func() string { return g.c.balances[e.balance] }
		switch e.kind {
		case ww:
			if n := len(out); n > 0 && out[n-1].Edge == WW && cycle[i-1].balance == e.balance && n > 1 && out[n-2].Edge == WW &&
				cycle[i-2].balance == e.balance { // a long run of writes of one balance is one line
				out[n-1].Why = fmt.Sprintf("many versions of %s follow, up to the next one here", balance())
				continue
			}
			out = append(out, g.c.link(e.from, WW, "it wrote version %d of %s, which the other overwrote", e.number, balance()))
		case wr:
			out = append(out, g.c.link(e.from, WR, "it left version %d of %s, which the other saw", e.number, balance()))
		case rw:
			out = append(out, g.c.link(e.from, RW, "it saw version %d of %s, which the other replaced", e.number, balance()))
		case session:
			out = append(out, g.c.link(e.from, Session, "the same client had its answer before it sent the other"))
		case realTime:
			out = append(out, g.c.link(e.from, RealTime, "it was answered before the other was sent"))
		}
	}
	return out
}
