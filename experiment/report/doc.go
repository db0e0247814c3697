// Package report is what an experiment has measured and found: runs, their summaries, a conclusion in words, and a comparison
// with an earlier report.
//
// A [Report] writes itself as a table for the terminal, as JSON, CSV and Markdown, and as one HTML page with plots that needs
// no network. Figures are compared only as intervals over several rounds, see [Interval.Against].
package report
