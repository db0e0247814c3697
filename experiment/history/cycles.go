package history

import "fmt"

// level is a graph of some kinds of edges, and the name of the cycles that are in it and not in the levels before.
type level struct {
	name      Name
	one, rest kind // a cycle has an edge of the kind one, and for the rest of it edges of these
}

// allEdges are all kinds of edges.
const allEdges = ww | wr | rw | session | realTime

// The levels, the worst first. Between the two come the cycles with rw, which are named by how many of those they have.
var (
	isolation = []level{{G0, ww, ww}, {G1c, wr, ww | wr}}
	clock     = []level{{SessionViolation, session, ww | wr | rw | session}, {RealTimeViolation, realTime, allEdges}}
)

// cycles finds the cycles of some levels. Each component counts once.
func (g *graph) cycles(levels []level) {
	for _, l := range levels {
		for _, nodes := range g.components(l.one | l.rest) {
			if cycle := g.shortest(members(nodes), nodes, l.one, l.rest); cycle != nil {
				g.found(l.name, cycle)
				g.taint(nodes)
			}
		}
	}
}

// mostRounds bounds how often a component is searched for another G-single when the nodes of the last one have been taken out. It keeps
// the search linear.
const mostRounds = 64

// antiDependencies finds cycles with rw edges: G-single has one, G2 has more. Only the nodes of a G-single are taken out of the component
// of it: the component may have another one, or a G2.
func (g *graph) antiDependencies() {
	for round := range mostRounds {
		again := false
		for _, nodes := range g.components(ww | wr | rw) {
			member := members(nodes)
			cycle := g.shortest(member, nodes, rw, ww|wr)
			if cycle == nil {
				cycle = g.shortest(member, nodes, rw, ww|wr|rw)
			}
			switch count(cycle, rw) {
			case 0: // the search was given up
			case 1:
				again = true
				g.found(GSingle, cycle)
				explained := make([]int32, len(cycle))
				for i := range cycle {
					explained[i] = cycle[i].from
				}
				g.taint(explained)
				if round == mostRounds-1 {
					g.taint(nodes)
				}
			default:
				g.found(G2, cycle)
				g.taint(nodes)
			}
		}
		if !again {
			return
		}
	}
}

func members(nodes []int32) map[int32]bool {
	out := make(map[int32]bool, len(nodes))
	for _, n := range nodes {
		out[n] = true
	}
	return out
}

// count returns how many edges of a cycle are of a kind.
func count(cycle []edge, k kind) int {
	n := 0
	for i := range cycle {
		if cycle[i].kind == k {
			n++
		}
	}
	return n
}

func (g *graph) found(name Name, cycle []edge) {
	g.c.find(name, 2, func() ([]Step, string) { return g.steps(cycle), "" })
}

// taint takes nodes out of the search for milder names. Moments stay.
func (g *graph) taint(nodes []int32) {
	for _, n := range nodes {
		if int(n) < len(g.c.tainted) {
			g.c.tainted[n] = true
		}
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
