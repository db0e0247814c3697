package providertest

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"holdfast/lockprovider"
)

// PrintTable prints one row a variant of a strategy and family and one column an environment: ✓ and the number of scenarios passed,
// ✗ and how many failed, "caught" for the control, "skip" where the environment is not there, and nothing where the
// strategy has no use for it.
func PrintTable(w io.Writer, envs []string, results []Result) error {
	sortResults(results)
	type row struct {
		variant Variant
		family  lockprovider.Family
	}
	var rows []row
	cells := map[row]map[string]string{}
	for _, r := range results {
		at := row{r.Variant, r.Family}
		if cells[at] == nil {
			cells[at] = map[string]string{}
			rows = append(rows, at)
		}
		cells[at][r.Env] = r.cell()
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "strategy\tfamily")
	for _, env := range envs {
		fmt.Fprint(table, "\t", env)
	}
	fmt.Fprintln(table)
	for i, at := range rows {
		name := at.variant.String()
		if i > 0 && rows[i-1].variant == at.variant {
			name = ""
		}
		fmt.Fprintf(table, "%s\t%s", name, at.family)
		for _, env := range envs {
			fmt.Fprint(table, "\t", cells[at][env])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if len(r.Failed) > 0 {
			fmt.Fprintf(w, "✗ %s %s %s: %v\n", r.Env, r.Variant, r.Family, slices.Sorted(slices.Values(r.Failed)))
		}
	}
	return nil
}

func (r Result) cell() string {
	total := r.Passed + len(r.Failed)
	switch {
	case r.Skipped:
		return "skip"
	case len(r.Failed) > 0:
		return fmt.Sprintf("✗ %d of %d", len(r.Failed), total)
	case r.Caught:
		return fmt.Sprintf("✓ %d, caught", total)
	case !TraitsOf(r.Variant).Excludes:
		return "✗ not caught"
	}
	return fmt.Sprintf("✓ %d", total)
}
