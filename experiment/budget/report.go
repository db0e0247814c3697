package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/experiment/host"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
)

// Report is all that was measured.
type Report struct {
	Machine host.Machine `json:"machine"`
	Started time.Time    `json:"started"`
	Clients int          `json:"clients"`
	Cases   []Case       `json:"cases"`
}

// Case is a strategy or a reference in all rounds. CPU times are milliseconds for each order, null if they are not known: those of
// the database on Linux only.
type Case struct {
	Name     string `json:"name"`
	Build    string `json:"build,omitempty"`
	Products int    `json:"products"`
	// Orders were placed in all rounds, and Retries are requests that were sent again.
	Orders    int64            `json:"orders"`
	Retries   int64            `json:"retries"`
	PerSecond report.Interval  `json:"perSecond"`
	Server    *report.Interval `json:"serverCpuMs"`
	Database  *report.Interval `json:"databaseCpuMs"`
	Redis     *report.Interval `json:"redisCpuMs"`
	// Sum is of these three. Client is the CPU time of those who order, in neither.
	Sum    *report.Interval `json:"cpuMs"`
	Client *report.Interval `json:"clientCpuMs"`
	// CPURatio and RateRatio compare Sum and PerSecond with those of the base, round by round.
	CPURatio  *report.Interval `json:"cpuRatio"`
	RateRatio *report.Interval `json:"rateRatio"`
	// Parts are the medians of what Server consists of, by a profile of the measured time.
	Parts      map[string]float64 `json:"partsMs"`
	Statements []Statement        `json:"statements,omitempty"`
}

func (c Case) label() string { return theCase{c.Name, c.Build, c.Products}.label() }

// known is a dash if a figure is not known.
func known(i *report.Interval) string {
	if i == nil {
		return "–"
	}
	return i.String()
}

// writeTable writes the report for a terminal.
func (r Report) writeTable(w io.Writer) error {
	var b strings.Builder
	rounds := 0
	for first := 0; first < len(r.Cases); {
		n := first
		for n < len(r.Cases) && r.Cases[n].Products == r.Cases[first].Products {
			n++
		}
		cases := r.Cases[first:n]
		first = n
		for _, c := range cases {
			rounds = max(rounds, c.PerSecond.Rounds)
		}
		fmt.Fprintf(&b, "\n%s, %s: CPU ms for each order\n", plans.Plural(cases[0].Products, "product"), plans.Plural(r.Clients, "client"))
		table(&b, []string{"", "orders/s", "server", "database", "redis", "sum", "× CPU", "× orders/s", "client"}, cases, func(c Case) []string {
			return []string{
				c.PerSecond.String(), known(c.Server), known(c.Database), known(c.Redis), known(c.Sum), known(c.CPURatio),
				known(c.RateRatio), known(c.Client),
			}
		})
		parts := map[string]bool{}
		for _, c := range cases {
			for part := range c.Parts {
				parts[part] = true
			}
		}
		names := slices.Sorted(maps.Keys(parts))
		fmt.Fprintf(&b, "\n%s: CPU ms of the server by part\n", plans.Plural(cases[0].Products, "product"))
		table(&b, append([]string{""}, names...), cases, func(c Case) []string {
			cells := make([]string, len(names))
			for i, part := range names {
				cells[i] = fmt.Sprintf("%.3f", c.Parts[part])
			}
			return cells
		})
		for _, c := range cases {
			if len(c.Statements) > 0 {
				fmt.Fprintf(&b, "\n%s: ms in statements of PostgreSQL for each order, waits included\n", c.label())
			}
			for _, s := range c.Statements {
				fmt.Fprintf(&b, "  %.3f execute %.3f plan %.3f calls %.3f plans  %s\n", s.Execute, s.Plan, s.Calls, s.Plans, s.Text)
			}
		}
	}
	fmt.Fprintf(&b, "\nMedians of %s; %s × compares with the first line, or with the same strategy of the first build, round by round. "+
		"The client is not in the sum.\n", plans.Plural(rounds, "round"), report.BoundsNote(rounds))
	_, err := io.WriteString(w, b.String())
	return err
}

// writeJSON writes the report to a file, instead of what that contains.
func (r Report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func table(b *strings.Builder, heads []string, cases []Case, cells func(Case) []string) {
	out := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.Join(heads, "\t")) //nolint:errcheck // a strings.Builder takes everything
	for _, c := range cases {
		fmt.Fprintln(out, c.label()+"\t"+strings.Join(cells(c), "\t")) //nolint:errcheck // as above
	}
	_ = out.Flush() // as above
}
