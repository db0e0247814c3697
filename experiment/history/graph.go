package history

import (
	"cmp"
	"slices"
)

// edge leads from one node to another. Nodes from len(checker.nodes) on are moments: one for each answer, in the order of time.
type edge struct {
	from, to int32
	kind     kind
	balance  int32 // of ww, wr and rw
	number   int64 // the version that from wrote or saw
}

// kind is a bit for each kind of edge.
type kind uint8

const (
	ww kind = 1 << iota
	wr
	rw
	session
	realTime
)

// graph is edges by their origin.
type graph struct {
	edges []edge  // sorted by from
	first []int32 // of each node; one more than there are nodes
	c     *checker
}

// graph makes the graph of all edges. It has as many edges as there are effects, reads and answers, times a small number.
func (c *checker) graph() *graph {
	g := &graph{c: c}
	for b, all := range c.versions {
		for i := 1; i < len(all); i++ {
			g.add(all[i-1].node, all[i].node, ww, int32(b), all[i-1].number)
		}
	}
	for i := range c.reads {
		r := &c.reads[i]
		if v := c.version(r.balance, r.number); v != nil {
			g.add(v.node, r.node, wr, r.balance, r.number)
		}
		if next := c.next(r.balance, r.number); next != nil && !r.unordered {
			g.add(r.node, next.node, rw, r.balance, r.number)
		}
	}
	g.sessions()
	moments := g.realTime()
	g.sort(len(c.nodes) + moments)
	return g
}

func (g *graph) add(from, to int32, k kind, balance int32, number int64) {
	if from != to {
		g.edges = append(g.edges, edge{from, to, k, balance, number})
	}
}

// sessions links what a client sent to what the same client sent next, after it had the answer.
func (g *graph) sessions() {
	c := g.c
	order := c.byStart()
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(c.nodes[x].client, c.nodes[y].client) })
	last := int32(-1)
	for _, n := range order {
		if last >= 0 && c.nodes[last].client != c.nodes[n].client {
			last = -1
		}
		if last >= 0 && c.nodes[last].end <= c.nodes[n].start {
			g.add(last, n, session, 0, 0)
		}
		if c.nodes[n].end != never {
			last = n
		}
	}
}

// byStart returns the nodes that some client sent, by the time when it did.
func (c *checker) byStart() []int32 {
	order := make([]int32, 0, len(c.nodes))
	for n := range c.nodes {
		if c.nodes[n].operation >= 0 {
			order = append(order, int32(n))
		}
	}
	slices.SortFunc(order, func(x, y int32) int { return cmp.Compare(c.nodes[x].start, c.nodes[y].start) })
	return order
}

// realTime links each answer to all that was sent after it, through a chain of moments, and returns how many moments there are. So
// there are three edges for each operation, and not one for each pair of them.
func (g *graph) realTime() int {
	c := g.c
	starts := c.byStart()
	var ends []int32
	for _, n := range starts {
		if c.nodes[n].end != never {
			ends = append(ends, n)
		}
	}
	slices.SortFunc(ends, func(x, y int32) int { return cmp.Compare(c.nodes[x].end, c.nodes[y].end) })
	moment, answered := int32(len(c.nodes)), 0
	for i, n := range ends {
		g.add(n, moment+int32(i), realTime, 0, 0)
		if i > 0 {
			g.add(moment+int32(i-1), moment+int32(i), realTime, 0, 0)
		}
	}
	for _, n := range starts {
		for answered < len(ends) && c.nodes[ends[answered]].end < c.nodes[n].start {
			answered++
		}
		if answered > 0 {
			g.add(moment+int32(answered-1), n, realTime, 0, 0)
		}
	}
	return len(ends)
}

// sort puts the edges into the order of their origins, in linear time.
func (g *graph) sort(nodes int) {
	g.first = make([]int32, nodes+1)
	for i := range g.edges {
		g.first[g.edges[i].from+1]++
	}
	for i := 1; i <= nodes; i++ {
		g.first[i] += g.first[i-1]
	}
	sorted, next := make([]edge, len(g.edges)), slices.Clone(g.first)
	for i := range g.edges {
		from := g.edges[i].from
		sorted[next[from]] = g.edges[i]
		next[from]++
	}
	g.edges = sorted
}

// allowed reports whether an edge is a part of the graph of some kinds without the nodes of cycles that were found before.
func (g *graph) allowed(e *edge, kinds kind) bool {
	return e.kind&kinds != 0 && !g.isTainted(e.from) && !g.isTainted(e.to)
}

func (g *graph) isTainted(n int32) bool { return int(n) < len(g.c.tainted) && g.c.tainted[n] }

// components returns the strongly connected components of more than one node, by Tarjan's algorithm without recursion: a history has
// more nodes than a stack has room.
func (g *graph) components(kinds kind) [][]int32 {
	nodes := len(g.first) - 1
	index, low := make([]int32, nodes), make([]int32, nodes) // from 1; 0 is not visited
	onStack := make([]bool, nodes)
	var stack []int32
	type frame struct{ node, edge int32 }
	var frames []frame
	var out [][]int32
	counter := int32(0)
	for root := range nodes {
		if index[root] != 0 {
			continue
		}
		frames = append(frames, frame{int32(root), g.first[root]})
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			n := f.node
			if index[n] == 0 {
				counter++
				index[n], low[n] = counter, counter
				stack, onStack[n] = append(stack, n), true
			}
			descended := false
			for f.edge < g.first[n+1] {
				e := &g.edges[f.edge]
				f.edge++
				if !g.allowed(e, kinds) {
					continue
				}
				if index[e.to] == 0 {
					frames, descended = append(frames, frame{e.to, g.first[e.to]}), true
					break
				}
				if onStack[e.to] {
					low[n] = min(low[n], index[e.to])
				}
			}
			if descended {
				continue
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				p := frames[len(frames)-1].node
				low[p] = min(low[p], low[n])
			}
			if low[n] != index[n] {
				continue
			}
			from := len(stack) - 1
			for stack[from] != n {
				from--
			}
			for _, member := range stack[from:] {
				onStack[member] = false
			}
			if len(stack)-from > 1 {
				out = append(out, slices.Clone(stack[from:]))
			}
			stack = stack[:from]
		}
	}
	return out
}

// mostSearches bounds the edges of one component through which the shortest cycle is searched, so that a component of the size of the
// history does not take longer than the history.
const mostSearches = 64

// shortest returns the shortest cycle in a component that has an edge of one kind, and for the rest of it edges of the others, or nil
// if none was found.
func (g *graph) shortest(member map[int32]bool, nodes []int32, one, rest kind) []edge {
	var best []edge
	length, searches := 0, 0
	for _, n := range nodes {
		for i := g.first[n]; i < g.first[n+1]; i++ {
			e := g.edges[i]
			if e.kind != one || !g.allowed(&e, one) || !member[e.to] || int(n) >= len(g.c.nodes) {
				continue
			}
			searches++
			if searches > mostSearches && best != nil {
				return best
			}
			if searches > 16*mostSearches {
				return nil
			}
			if back := g.path(member, e.to, n, rest, length-1); back != nil {
				best = append([]edge{e}, back...)
				length = g.length(best)
			}
		}
	}
	return best
}

// length counts the edges of a path. Those that come from moments do not count: an edge of real time is as long as any other.
func (g *graph) length(path []edge) int {
	n := 0
	for i := range path {
		if int(path[i].from) < len(g.c.nodes) {
			n++
		}
	}
	return n
}

// path returns a shortest path of fewer than limit edges, or of any length if limit is negative.
func (g *graph) path(member map[int32]bool, from, to int32, kinds kind, limit int) []edge {
	via := map[int32]int32{from: -1} // the edge by which a node was reached
	distance := map[int32]int{from: 0}
	front := []int32{from}
	var behind []int32 // one edge further
	for d := 0; len(front) > 0; d++ {
		if limit >= 0 && d >= limit {
			return nil
		}
		behind = behind[:0]
		for i := 0; i < len(front); i++ {
			n := front[i]
			if distance[n] != d {
				continue
			}
			if n == to {
				return g.back(via, n)
			}
			for j := g.first[n]; j < g.first[n+1]; j++ {
				e := &g.edges[j]
				if !g.allowed(e, kinds) || !member[e.to] {
					continue
				}
				length := d + 1
				if int(n) >= len(g.c.nodes) { // from a moment
					length = d
				}
				if known, ok := distance[e.to]; ok && known <= length {
					continue
				}
				distance[e.to], via[e.to] = length, j
				if length == d {
					front = append(front, e.to)
				} else {
					behind = append(behind, e.to)
				}
			}
		}
		front, behind = behind, front
	}
	return nil
}

func (g *graph) back(via map[int32]int32, n int32) []edge {
	out := []edge{}
	for via[n] >= 0 {
		e := g.edges[via[n]]
		out = append(out, e)
		n = e.from
	}
	slices.Reverse(out)
	return out
}
