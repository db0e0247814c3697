package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// TerminalColumns is how wide the report for a terminal is at most, in characters, unless it is to be wide.
const TerminalColumns = 120

// WriteTable writes the report for a terminal. What was lost comes first. Unless it is to be wide, no line has more than
// [TerminalColumns] characters, if no name is as long as that: heads have two lines, verdicts are short, figures that nobody counted
// are left out, and so are those that do not fit, which are named.
func (r Report) WriteTable(w io.Writer, wide bool) error {
	b := terminal{columns: TerminalColumns}
	if wide {
		b.columns = 0
	}
	for _, a := range r.alarms() {
		b.paragraph("!!! ", a.Title)
		for _, f := range a.Findings {
			b.text("    ", fmt.Sprintf("%s: %s %s", strings.ToUpper(f.Kind), f.Subject, f.Text))
		}
	}
	for _, setting := range r.settings() {
		b.paragraph("", setting.String())
		for i, columns := range [][]column{speedColumns, costColumns} {
			if i > 0 {
				b.WriteString("\n")
			}
			if err := b.table(columns, r.of(setting)); err != nil {
				return err
			}
		}
	}
	b.paragraph("", r.tableNote())
	if len(r.Baseline) > 0 {
		b.paragraph("", "Compared with the baseline")
		for _, c := range r.Baseline {
			b.text("  • ", c.String())
		}
	}
	b.paragraph("", "Conclusion")
	for _, line := range r.Conclusion {
		b.text("  • ", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// terminal collects text for a terminal.
type terminal struct {
	strings.Builder
	columns int // 0 for no bound
}

// paragraph writes text after an empty line.
func (b *terminal) paragraph(first, text string) {
	b.WriteString("\n")
	b.text(first, text)
}

// text writes lines of text, broken between words. The first one begins with first, and the others are indented as much.
func (b *terminal) text(first, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(first))
	for _, line := range strings.Split(text, "\n") {
		width := utf8.RuneCountInString(first)
		b.WriteString(first)
		own := line[:len(line)-len(strings.TrimLeft(line, " "))]
		for i, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
				b.WriteString(own)
				width += len(own)
			case b.columns > 0 && width+1+n > b.columns:
				b.WriteString("\n" + indent + own)
				width = len(indent) + len(own)
			default:
				b.WriteString(" ")
				width++
			}
			b.WriteString(word)
			width += n
		}
		b.WriteString("\n")
		first = indent
	}
}

// table writes the figures of cases. The first column and the last one are never left out.
func (b *terminal) table(columns []column, cases []Summary) error {
	if b.columns > 0 {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return !counted(c, cases) })
	}
	lines := make([][]string, 0, len(cases)+2)
	if b.columns == 0 {
		lines = append(lines, heads(columns))
	} else {
		above, below := make([]string, len(columns)), make([]string, len(columns))
		for i, c := range columns {
			above[i], below[i] = twoLines(c.name)
		}
		lines = append(lines, above, below)
	}
	for _, s := range cases {
		row := cells(columns, s)
		if b.columns > 0 && s.Violations > 0 {
			for i, c := range columns {
				if c.name == verdictColumn {
					row[i] = fmt.Sprintf("✗ %d wrong", s.Violations)
				}
			}
		}
		lines = append(lines, row)
	}
	var omitted []string
	for b.columns > 0 && tableWidth(lines) > b.columns && len(lines[0]) > 2 {
		at := len(lines[0]) - 2
		omitted = append(omitted, columns[at].name)
		columns = slices.Delete(slices.Clone(columns), at, at+1)
		for i := range lines {
			lines[i] = slices.Delete(lines[i], at, at+1)
		}
	}
	out := tabwriter.NewWriter(&b.Builder, 0, 0, columnGap, ' ', 0)
	for _, line := range lines {
		fmt.Fprintln(out, strings.Join(line, "\t")) //nolint:errcheck // a strings.Builder takes everything
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(omitted) > 0 {
		b.text("", "Left out, since they do not fit: "+strings.Join(omitted, ", ")+". --wide shows all.")
	}
	return nil
}

// counted reports whether a figure is known of any case.
func counted(c column, cases []Summary) bool {
	return slices.ContainsFunc(cases, func(s Summary) bool { return c.value(s) != notCounted })
}

// columnGap is how many blanks part two columns.
const columnGap = 2

func tableWidth(lines [][]string) int {
	total := columnGap * (len(lines[0]) - 1)
	for i := range lines[0] {
		widest := 0
		for _, line := range lines {
			widest = max(widest, utf8.RuneCountInString(line[i]))
		}
		total += widest
	}
	return total
}

// twoLines parts the name of a column after its first word.
func twoLines(name string) (above, below string) {
	above, below, found := strings.Cut(name, " ")
	if !found {
		return "", name
	}
	return above, below
}
