package report

import (
	"fmt"
	"io"
	"strings"

	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
)

// WriteMarkdown writes a page of the documentation: conclusion, tables, and how it was measured.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results: %s\n\n", r.Plan.Name)
	if r.Plan.About != "" {
		fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(r.Plan.About))
	}
	b.WriteString("This page is written by the command below, and is replaced by running it again:\n\n")
	fmt.Fprintf(&b, "    %s\n\n", r.Command)
	fmt.Fprintf(&b, "Measured on %s, with %s", r.Started.Format("2006-01-02"), describe(r.Machine))
	if len(r.Machine.Servers) > 0 {
		fmt.Fprintf(&b, "; %s", strings.Join(r.Machine.Servers, "; "))
	}
	fmt.Fprintf(&b, ". Clients, servers and stores share the machine: ratios hold, absolute rates are those of the machine.\n\n")
	b.WriteString("## Conclusion\n\n")
	for _, line := range r.Conclusion {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, setting := range r.settings() {
		fmt.Fprintf(&b, "\n## %s\n", upperFirst(setting.String()))
		if workload, err := load.WorkloadByName(setting.Workload); err == nil {
			fmt.Fprintf(&b, "\n%s\n", workload.About)
		}
		cases := r.of(setting)
		r.bars(&b, cases)
		for _, columns := range [][]column{speedColumns, costColumns} {
			fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(heads(columns), " | "), strings.Repeat("---|", len(columns)))
			for _, s := range cases {
				row := cells(columns, s)
				row[0] = "`" + row[0] + "`"
				fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
			}
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.tableNote())
	text, err := r.Plan.YAML()
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "\n## Plan\n\n```yaml\n%s```\n", text)
	_, err = io.WriteString(w, b.String())
	return err
}

// widestBar is in characters.
const widestBar = 50

// bars draws the throughput in characters, which every viewer of Markdown shows.
func (r Report) bars(b *strings.Builder, cases []Summary) {
	most := 0.0
	for _, s := range cases {
		most = max(most, s.PerSecond.Median)
	}
	if most == 0 {
		return
	}
	b.WriteString("\n```\n")
	for _, s := range cases {
		note := ""
		if s.Violations > 0 {
			note = "  ✗"
		}
		fmt.Fprintf(b, "%-10s %s %s/s%s\n", s.Strategy, strings.Repeat("█", max(1, int(s.PerSecond.Median/most*widestBar))), compact(s.PerSecond.Median), note)
	}
	b.WriteString("```\n")
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// describe says what a machine is, in one line.
func describe(m host.Machine) string {
	parts := []string{plans.Plural(m.CPUs, "CPU")}
	if m.CPU != "" {
		parts[0] += " (" + m.CPU + ")"
	}
	if m.Memory > 0 {
		parts = append(parts, compact(float64(m.Memory)/1024)+" GiB")
	}
	return strings.Join(append(parts, m.OS, m.Go), ", ")
}
