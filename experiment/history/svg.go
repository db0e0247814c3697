package history

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

// Sizes of a picture, in pixels. Chosen: a cycle of ten operations fits on a page.
const (
	laneHeight, laneTop, column, leftMargin = 90, 64, 150, 110
	boxHeight                               = 34
	pictureFont                             = "font-family='system-ui, sans-serif' font-size='12'"
)

var edgeColors = map[EdgeKind]string{
	WW: "#7b3294", WR: "#008837", RW: "#d7191c", Session: "#2c7bb6", RealTime: "#636363",
}

// SVG draws the cycle of an anomaly: a lane for each client, time from left to right, a box for each operation from its sending to
// its answer, and an arrow for each edge. Times are in order, and not to scale.
func (a *Anomaly) SVG() string {
	ranks := ranksOf(a.Cycle)
	var clients []int
	for _, s := range a.Cycle {
		if !slices.Contains(clients, s.Client) {
			clients = append(clients, s.Client)
		}
	}
	slices.Sort(clients)
	last := 1
	for _, r := range ranks {
		last = max(last, r[1])
	}
	width, height := leftMargin+(last+1)*column, laneTop+max(1, len(clients))*laneHeight+20*len(a.Cycle)+24
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' role='img' %s>\n", width, height, width, height, pictureFont)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width='100%%' height='100%%' fill='white'/>\n", html.EscapeString(string(a.Name)))
	b.WriteString("<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'>" +
		"<path d='M0,0 L8,4 L0,8 z' fill='context-stroke'/></marker></defs>\n")
	fmt.Fprintf(&b, "<text x='12' y='24' font-size='15' font-weight='bold'>%s</text>\n", html.EscapeString(string(a.Name)))
	fmt.Fprintf(&b, "<text x='12' y='42' fill='#444'>%s</text>\n", html.EscapeString(a.Name.Meaning()))
	for i, client := range clients {
		name := fmt.Sprintf("client %d", client)
		if client < 0 {
			name = "unknown"
		}
		y := laneTop + i*laneHeight + laneHeight/2
		fmt.Fprintf(&b, "<text x='12' y='%d' fill='#444'>%s</text>\n<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='#ddd'/>\n",
			y+4, name, leftMargin-20, y, width-10, y)
	}
	type point struct{ x, y int }
	centres := make([]point, len(a.Cycle))
	for i, s := range a.Cycle {
		lane := slices.Index(clients, s.Client)
		x, w := leftMargin+ranks[i][0]*column, max(1, ranks[i][1]-ranks[i][0])*column-40
		y := laneTop + lane*laneHeight + (laneHeight-boxHeight)/2
		centres[i] = point{x + w/2, y + boxHeight/2}
		dash := ""
		if s.End == 0 {
			dash = " stroke-dasharray='4 3'" // no answer that counts
		}
		fmt.Fprintf(&b, "<rect x='%d' y='%d' width='%d' height='%d' rx='5' fill='#f4f6fb' stroke='#345'%s/>\n", x, y, w, boxHeight, dash)
		fmt.Fprintf(&b, "<text x='%d' y='%d' text-anchor='middle' font-weight='bold'>%s</text>\n", x+w/2, y+22, letter(i))
	}
	for i, s := range a.Cycle {
		if s.Edge == "" {
			continue
		}
		from, to := centres[i], centres[(i+1)%len(centres)]
		down := boxHeight/2 + 2
		if from.y > to.y || from.y == to.y && i%2 == 1 {
			down = -down
		}
		end := to.y - down
		if from.y == to.y {
			end = to.y + down
		}
		bend := 26
		if down < 0 {
			bend = -26
		}
		fmt.Fprintf(&b, "<path d='M%d,%d Q%d,%d %d,%d' fill='none' stroke='%s' stroke-width='1.8' marker-end='url(#tip)'/>\n",
			from.x, from.y+down, (from.x+to.x)/2+bend, (from.y+down+end)/2+bend, to.x, end, edgeColors[s.Edge])
		fmt.Fprintf(&b, "<text x='%d' y='%d' text-anchor='middle' fill='%s'>%s</text>\n",
			(from.x+to.x)/2+bend, (from.y+down+end)/2+bend, edgeColors[s.Edge], s.Edge)
	}
	y := laneTop + max(1, len(clients))*laneHeight + 14
	for i, s := range a.Cycle {
		line := letter(i) + " = " + s.Operation
		if s.Edge != "" {
			line += fmt.Sprintf(" — before %s (%s): %s", letter((i+1)%len(a.Cycle)), s.Edge, s.Why)
		}
		fmt.Fprintf(&b, "<text x='12' y='%d' fill='#222'>%s</text>\n", y+20*i, html.EscapeString(line))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// ranksOf returns where the beginning and the end of each operation come among all of these moments.
func ranksOf(cycle []Step) [][2]int {
	var moments []time.Duration
	for _, s := range cycle {
		if s.Client >= 0 {
			moments = append(moments, s.Start)
		}
		if s.End != 0 {
			moments = append(moments, s.End)
		}
	}
	slices.Sort(moments)
	moments = slices.Compact(moments)
	ranks := make([][2]int, len(cycle))
	for i, s := range cycle {
		if s.Client >= 0 {
			ranks[i][0] = slices.Index(moments, s.Start)
		}
		ranks[i][1] = max(len(moments), ranks[i][0]+1)
		if s.End != 0 {
			ranks[i][1] = slices.Index(moments, s.End)
		}
	}
	return ranks
}
