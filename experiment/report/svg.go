package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Plots are SVG, written by hand into the page: it shows them anywhere, offline, without a script.

const (
	plotWidth, plotHeight            = 720, 320
	marginLeft, marginRight          = 70, 150
	marginTop, marginBottom          = 20, 46
	innerWidth                       = plotWidth - marginLeft - marginRight
	innerHeight                      = plotHeight - marginTop - marginBottom
	barHeight, barGap, barLabelWidth = 20, 8, 90
)

// palette is by position; the legend names the lines in the same order.
var palette = []string{"#c0392b", "#1f77b4", "#2e8b57", "#e08a00", "#7d3c98", "#117a8b", "#8c564b", "#d6408b", "#5d6d7e", "#9a9a00"}

func color(i int) string { return palette[i%len(palette)] }

// series is one line of a plot.
type series struct {
	name   string
	points [][2]float64
}

// axis maps values to pixels.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64
	label string
}

func (a axis) scale(v float64) float64 {
	if a.log {
		return (math.Log10(v) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
	}
	return (v - a.low) / (a.high - a.low)
}

// linear begins at zero and ends at a round number.
func linear(most float64) axis {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, factor := range []float64{0.2, 0.5, 1, 2} {
		if most/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	a := axis{high: math.Ceil(most/step) * step}
	for i := 0; float64(i)*step <= a.high*1.0001; i++ {
		v := float64(i) * step
		a.ticks = append(a.ticks, tick{v, fmt.Sprintf("%g", math.Round(v*1e6)/1e6)})
	}
	return a
}

// logarithmic spans whole decades.
func logarithmic(least, most float64) axis {
	least, most = max(least, 0.01), max(most, 0.1)
	a := axis{low: math.Pow(10, math.Floor(math.Log10(least))), high: math.Pow(10, math.Ceil(math.Log10(most)+1e-9)), log: true}
	for v := a.low; v <= a.high*1.001; v *= 10 {
		a.ticks = append(a.ticks, tick{v, fmt.Sprintf("%g", v)})
	}
	return a
}

// linePlot draws lines; it is described by its title for those who cannot see it.
func linePlot(title, xLabel, yLabel string, x, y axis, lines []series) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(title))
	px := func(v float64) float64 { return marginLeft + x.scale(v)*innerWidth }
	py := func(v float64) float64 { return marginTop + (1-y.scale(v))*innerHeight }
	for _, t := range y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, marginLeft+innerWidth, py(t.at), py(t.at))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, marginLeft-6, py(t.at)+4, t.label)
	}
	for _, t := range x.ticks {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, px(t.at), marginTop+innerHeight+16, t.label)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, marginLeft+innerWidth/2, plotHeight-8, html.EscapeString(xLabel))
	fmt.Fprintf(&b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`, marginTop+innerHeight/2, html.EscapeString(yLabel))
	for i, line := range lines {
		var points []string
		for _, p := range line.points {
			if y.log && p[1] <= 0 {
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", px(p[0]), py(p[1])))
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, color(i), strings.Join(points, " "))
		if len(points) == 1 {
			fmt.Fprintf(&b, `<circle r="3" fill="%s" cx="%s" cy="%s"/>`, color(i),
				points[0][:strings.IndexByte(points[0], ',')], points[0][strings.IndexByte(points[0], ',')+1:])
		}
		at := marginTop + 8 + i*18
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`,
			marginLeft+innerWidth+14, at-9, color(i), marginLeft+innerWidth+32, at+2, html.EscapeString(line.name))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // all text in it has been escaped
}

// bar is one bar with the interval of what it shows.
type bar struct {
	name  string
	value Interval
	bad   bool // something was lost: hatched, so that nobody takes it for an offer
}

// barPlot draws horizontal bars with whiskers.
func barPlot(title, label string, bars []bar) template.HTML {
	most := 0.0
	for _, v := range bars {
		most = max(most, v.value.High)
	}
	x := linear(most)
	height := len(bars)*(barHeight+barGap) + 40
	width := plotWidth - barLabelWidth - 90
	px := func(v float64) float64 { return barLabelWidth + x.scale(min(v, x.high))*float64(width) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, height, html.EscapeString(title))
	for _, t := range x.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%d"/>`, px(t.at), px(t.at), height-34)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, px(t.at), height-20, t.label)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, barLabelWidth+width/2, height-4, html.EscapeString(label))
	for i, v := range bars {
		y := i * (barHeight + barGap)
		fill := color(i)
		if v.bad {
			fill = "url(#bad)"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, barLabelWidth-8, y+15, html.EscapeString(v.name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, barLabelWidth, y, max(px(v.value.Median)-barLabelWidth, 1), barHeight, fill)
		if v.value.Rounds > 1 {
			middle := y + barHeight/2
			fmt.Fprintf(&b, `<path class="whisker" d="M%.1f %dH%.1fM%.1f %dv8M%.1f %dv8"/>`, px(v.value.Low), middle, px(v.value.High),
				px(v.value.Low), middle-4, px(v.value.High), middle-4)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, px(max(v.value.High, v.value.Median))+6, y+15, compact(v.value.Median))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // all text in it has been escaped
}
