// Command document writes what the tables of strategies and families say into other files: the schema of the API, and
// documents. It is run by go generate, with the files as arguments.
//
// In each file it replaces the lines between two markers, which name a block: "strategies:begin" and "strategies:end".
// A file that has none of the blocks is an error.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holdfast/lockprovider"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := update(path); err != nil {
			fmt.Fprintln(os.Stderr, "document:", err)
			os.Exit(1)
		}
	}
}

func update(path string) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	after, err := rewrite(filepath.Base(path), string(before))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if after == string(before) {
		return nil
	}
	return os.WriteFile(path, []byte(after), 0o644) //nolint:gosec // a source file, for everybody to read
}

// block is a part of a file that is generated.
type block struct {
	name string
	// lines returns the block's lines from those that are there now.
	lines func(now []string) []string
}

// blocks are the generated parts of each file, by its name.
var blocks = map[string][]block{
	"meta.graphqls": {{"families", familyEnum}, {"strategies", strategyEnum}},
	"README.md":     {{"strategies", overview}},
	"strategies.md": {{"strategies", comparison}, {"faults", faults}, {"guarantees", guarantees}},
}

// rewrite returns the text of a file with all of its blocks as the tables have them.
func rewrite(name, text string) (string, error) {
	if len(blocks[name]) == 0 {
		return "", fmt.Errorf("nothing is generated in files of this name")
	}
	lines := strings.Split(text, "\n")
	for _, b := range blocks[name] {
		begin := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, " "+b.name+":begin") })
		end := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, " "+b.name+":end") })
		if begin < 0 || end < begin {
			return "", fmt.Errorf("no lines with %s:begin and %s:end", b.name, b.name)
		}
		lines = slices.Concat(lines[:begin+1], b.lines(lines[begin+1:end]), lines[end:])
	}
	return strings.Join(lines, "\n"), nil
}

func strategyEnum([]string) []string {
	var lines []string
	for _, info := range lockprovider.Strategies {
		lines = append(lines, enumValue(string(info.Name), info.Description)...)
	}
	return lines
}

func familyEnum([]string) []string {
	var lines []string
	for _, info := range lockprovider.FamilyTable {
		lines = append(lines, enumValue(string(info.Name), info.Description)...)
	}
	return lines
}

func enumValue(name, description string) []string {
	return []string{"  " + strconv.Quote(description), "  " + strings.ToUpper(name)}
}

// overview is the table of the README. Its last column is measured and not generated: it is kept, and orders the rows. A
// strategy without a figure has a dash there.
func overview(now []string) []string {
	figures := map[string]string{}
	for _, line := range now {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			figures[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[len(cells)-2])
		}
	}
	figure := func(info lockprovider.Info) int {
		n, err := strconv.Atoi(strings.ReplaceAll(figures[code(info.Name)], ",", ""))
		if err != nil {
			return 0
		}
		return n
	}
	rows := slices.Clone(lockprovider.Strategies)
	slices.SortStableFunc(rows, func(a, b lockprovider.Info) int { return figure(b) - figure(a) })
	lines := header("strategy", "how", "needs, besides the database", "orders/s on one hot product")
	for _, info := range rows {
		measured := figures[code(info.Name)]
		if measured == "" {
			measured = "–"
		}
		lines = append(lines, row(code(info.Name), info.Summary, info.Needs.String(), measured))
	}
	return lines
}

func comparison([]string) []string {
	lines := header("strategy", "who keeps others out", "who checks", "who writes", "needs", "in the database")
	for _, info := range lockprovider.Strategies {
		d := info.Document
		lines = append(lines, row(code(info.Name), d.Exclusion, d.Check, d.Write, info.Needs.String(), d.Confirmed))
	}
	return lines
}

// faults has one row for strategies that share what happens to them.
func faults([]string) []string {
	var order []lockprovider.Faults
	names := map[lockprovider.Faults][]string{}
	for _, info := range lockprovider.Strategies {
		f := info.Document.Faults
		if f == nil {
			continue
		}
		if names[*f] == nil {
			order = append(order, *f)
		}
		names[*f] = append(names[*f], code(info.Name))
	}
	lines := header("", "a holder is killed", "Redis is away", "Redis is emptied", "the database is away")
	for _, f := range order {
		lines = append(lines, row(strings.Join(names[f], ", "), f.HolderKilled, f.RedisAway, f.RedisEmptied, f.DatabaseAway))
	}
	return lines
}

// guarantees has one row for strategies that promise the same.
func guarantees([]string) []string {
	titles := []string{"strategy"}
	for _, g := range lockprovider.Guarantees() {
		titles = append(titles, string(g))
	}
	var order []string
	names := map[string][]string{}
	add := func(name string, info lockprovider.Info, ack lockprovider.Ack) {
		var cells []string
		for _, g := range lockprovider.Guarantees() {
			since := string(info.Guarantees(g, ack))
			if since == "" {
				since = "–"
			}
			cells = append(cells, since)
		}
		key := strings.TrimPrefix(row(cells...), "|")
		if names[key] == nil {
			order = append(order, key)
		}
		names[key] = append(names[key], name)
	}
	for _, info := range lockprovider.Strategies {
		if info.Traits.HeedsAck {
			add(code(info.Name)+" with `ack: persisted`", info, lockprovider.AckPersisted)
			add(code(info.Name)+" with `ack: accepted`", info, lockprovider.AckAccepted)
		} else {
			add(code(info.Name), info, lockprovider.AckPersisted)
		}
	}
	lines := header(titles...)
	for _, key := range order {
		lines = append(lines, row(strings.Join(names[key], ", "))+key)
	}
	return lines
}

func code(s lockprovider.Strategy) string { return "`" + string(s) + "`" }

func header(titles ...string) []string {
	return []string{row(titles...), strings.Repeat("|---", len(titles)) + "|"}
}

func row(cells ...string) string {
	var b strings.Builder
	b.WriteString("|")
	for _, cell := range cells {
		if cell != "" {
			b.WriteString(" " + cell)
		}
		b.WriteString(" |")
	}
	return b.String()
}
