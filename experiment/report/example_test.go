package report_test

import (
	"fmt"
	"os"

	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/lockprovider"
)

// A report compares strategies as soon as its runs have been added.
func Example() {
	plan := plans.Default()
	plan.Strategies = []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua}
	r := report.Report{Plan: plan}
	for round := range 3 {
		for _, c := range plan.Cases() {
			perSecond := 500 + float64(round)
			if c.Strategy == lockprovider.Lua {
				perSecond *= 4
			}
			r.Runs = append(r.Runs, report.Run{
				Case: c, Round: round + 1, Successes: 200, PerSecond: perSecond, P99Ms: 20, Audit: "journal, answers, stores, events",
			})
		}
	}
	r.Conclude()
	fmt.Println(r.Conclusion[0])
	if violated := r.Violated(); len(violated) > 0 {
		fmt.Fprintln(os.Stderr, violated)
	}
	fmt.Println(len(r.Cases), "cases,", len(r.Runs), "runs")
	// Output:
	// Exact, with no finding of the audit in 6 runs: lua, rowlock.
	// 2 cases, 6 runs
}
