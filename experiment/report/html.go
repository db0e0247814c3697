package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/lockprovider"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

type page struct {
	Report
	Alarms      []alarm
	Sections    []section
	Scaling     []plot
	Note        string
	PlanText    string
	MachineText string
}

type section struct {
	Title, About string
	Plots        []plot
	Tables       []table
}

type plot struct {
	Title string
	Image template.HTML
}

type table struct {
	Head []string
	Rows [][]string
}

// WriteHTML writes a page that needs nothing but itself.
func (r Report) WriteHTML(w io.Writer) error {
	text, err := r.Plan.YAML()
	if err != nil {
		return err
	}
	p := page{
		Report: r, Note: r.tableNote(), PlanText: text, MachineText: describe(r.Machine), Scaling: r.scaling(), Alarms: r.alarms(),
	}
	for _, setting := range r.settings() {
		p.Sections = append(p.Sections, r.section(setting))
	}
	return pageTemplate.Execute(w, p)
}

func (r Report) section(setting plans.Case) section {
	cases := r.of(setting)
	s := section{Title: setting.String()}
	if w, err := load.WorkloadByName(setting.Workload); err == nil {
		s.About = w.About
	}
	for _, columns := range [][]column{speedColumns, costColumns} {
		t := table{Head: heads(columns)}
		for _, c := range cases {
			t.Rows = append(t.Rows, cells(columns, c))
		}
		s.Tables = append(s.Tables, t)
	}
	var bars []bar
	var distribution, timeline []series
	least, most, busiest, end := math.Inf(1), 0.0, 0.0, 0.0
	for _, c := range cases {
		bars = append(bars, bar{string(c.Strategy), c.PerSecond, c.Violations > 0})
		d, t := series{name: string(c.Strategy)}, series{name: string(c.Strategy)}
		for _, p := range c.Percentiles {
			d.points = append(d.points, [2]float64{rarity(p.Percent), p.Ms})
			least, most = min(least, p.Ms), max(most, p.Ms)
		}
		last := 0.0
		for _, m := range c.Timeline {
			rate := float64(m.Successes) / max(m.At-last, 1e-9) / float64(max(r.Plan.Rounds, 1))
			t.points = append(t.points, [2]float64{m.At, rate})
			busiest, end, last = max(busiest, rate), max(end, m.At), m.At
		}
		distribution, timeline = append(distribution, d), append(timeline, t)
	}
	s.Plots = append(s.Plots, plot{"Throughput", barPlot("Throughput of "+s.Title, "successes a second", bars)})
	if most > 0 {
		x := axis{low: rarity(1), high: rarity(100)}
		for _, percent := range []float64{50, 90, 95, 99, 99.9, 100} {
			label := fmt.Sprintf("%g", percent)
			if percent == 100 {
				label = "max"
			}
			x.ticks = append(x.ticks, tick{rarity(percent), label})
		}
		s.Plots = append(s.Plots, plot{
			"Latency distribution",
			linePlot("Latency of "+s.Title, "percent of successes", "ms", x, logarithmic(least, most), distribution),
		})
	}
	if end > 0 {
		s.Plots = append(s.Plots, plot{
			"Time line", linePlot("Time line of "+s.Title, "seconds since the start", "successes a second", linear(end), linear(busiest), timeline),
		})
	}
	return s
}

// rarity spreads the rare percentiles: 90, 99 and 99.9 are as far apart. 100 stands where 99.99 would.
func rarity(percent float64) float64 { return -math.Log10(max(1-percent/100, 0.0001)) }

// scaling plots throughput over clients and over instances, where a plan has several of them.
func (r Report) scaling() []plot {
	var plots []plot
	for _, dimension := range []struct {
		name string
		of   func(plans.Case) int
		drop func(*plans.Case)
	}{
		{"clients", func(c plans.Case) int { return c.Clients }, func(c *plans.Case) { c.Clients = 0 }},
		{"instances", func(c plans.Case) int { return c.Instances }, func(c *plans.Case) { c.Instances = 0 }},
	} {
		groups := map[plans.Case]map[lockprovider.Strategy]*series{}
		var order []plans.Case
		var strategies []lockprovider.Strategy
		widest, most := map[plans.Case]int{}, map[plans.Case]float64{}
		for _, s := range r.Cases {
			group := s.Setting()
			dimension.drop(&group)
			if groups[group] == nil {
				groups[group] = map[lockprovider.Strategy]*series{}
				order = append(order, group)
			}
			if groups[group][s.Strategy] == nil {
				groups[group][s.Strategy] = &series{name: string(s.Strategy)}
			}
			if !slices.Contains(strategies, s.Strategy) {
				strategies = append(strategies, s.Strategy)
			}
			line := groups[group][s.Strategy]
			line.points = append(line.points, [2]float64{float64(dimension.of(s.Case)), s.PerSecond.Median})
			widest[group], most[group] = max(widest[group], dimension.of(s.Case)), max(most[group], s.PerSecond.Median)
		}
		for _, group := range order {
			var lines []series
			for _, strategy := range strategies {
				if line := groups[group][strategy]; line != nil && len(line.points) > 1 {
					slices.SortFunc(line.points, func(a, b [2]float64) int { return int(a[0] - b[0]) })
					lines = append(lines, *line)
				}
			}
			if len(lines) == 0 {
				continue
			}
			title := strings.Join([]string{"Throughput over", dimension.name + ":", group.Workload, "on", group.Database}, " ")
			plots = append(plots, plot{title, linePlot(title, dimension.name, "successes a second",
				linear(float64(widest[group])), linear(most[group]), lines)})
		}
	}
	return plots
}
