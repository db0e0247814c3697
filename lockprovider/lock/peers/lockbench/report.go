package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTables prints one table a load.
func printTables(w io.Writer, results []result) error {
	for _, l := range loads {
		var text strings.Builder // whose writes do not fail
		for _, r := range results {
			if r.Load != l.Name {
				continue
			}
			requests, cpu := "–", "–"
			if r.Requests != unknown {
				requests, cpu = fmt.Sprintf("%.2f", r.Requests), fmt.Sprintf("%.0f %%", r.RedisCPU)
			}
			fmt.Fprintf(&text, "%s\t%s\t%s\t%s\t%.3f\t%s\t",
				count(r.PerSecond), requests, millis(r.P50), millis(r.P99), r.Jain, cpu)
			if l.Processes > 0 {
				fmt.Fprintf(&text, "%.2f\t", r.Ratio)
			}
			text.WriteString("  " + r.Contender)
			if r.Lost > 0 {
				fmt.Fprintf(&text, ", lost %d times", r.Lost)
			}
			text.WriteString("\n")
		}
		if text.Len() == 0 {
			continue
		}
		head := "sections/s\trequests/section\twait p50\tp99\tJain\tRedis CPU\t"
		if l.Processes > 0 {
			head += "busiest/idlest\t"
		}
		if _, err := fmt.Fprintf(w, "\n%s\n\n", l.Name); err != nil {
			return err
		}
		if err := printAligned(w, tabwriter.AlignRight, head+"  lock\n"+text.String()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func printAligned(w io.Writer, flags uint, text string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', flags)
	if _, err := io.WriteString(table, text); err != nil {
		return err
	}
	return table.Flush()
}

func count(n float64) string {
	if n >= 10_000 {
		return fmt.Sprintf("%.1fk", n/1000)
	}
	return fmt.Sprintf("%.0f", n)
}

func millis(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 0.1:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 0.001:
		return "< 1 µs"
	}
	return fmt.Sprintf("%.0f µs", ms*1000)
}

// verdict is whether a figure is what it must be.
type verdict struct {
	figure string
	got    string
	want   string
	ok     bool
}

func printVerdicts(w io.Writer, verdicts []verdict) error {
	failed := 0
	var text strings.Builder // whose writes do not fail
	text.WriteString("\tfigure\tmeasured\twanted\n")
	for _, v := range verdicts {
		mark := "pass"
		if !v.ok {
			mark = "FAIL"
			failed++
		}
		fmt.Fprintf(&text, "%s\t%s\t%s\t%s\n", mark, v.figure, v.got, v.want)
	}
	if err := printAligned(w, 0, text.String()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nThe suite proves that held contexts end in time (500 trials), and that tokens increase over a restart and a\n"+
		"promotion: HOLDFAST_CAMPAIGN=long go -C lockprovider/lock/peers test ./redistest -run TestLockers")
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d", errCheck, failed, len(verdicts))
	}
	return nil
}
