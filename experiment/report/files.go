package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// WriteJSON writes the whole report.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// columns of the CSV, in order.
var columns = []struct {
	name  string
	value func(Run) string
}{
	{"workload", func(r Run) string { return r.Workload }},
	{"strategy", func(r Run) string { return string(r.Strategy) }},
	{"database", func(r Run) string { return r.Database }},
	{"redis", func(r Run) string { return r.Redis }},
	{"clients", func(r Run) string { return strconv.Itoa(r.Clients) }},
	{"instances", func(r Run) string { return strconv.Itoa(r.Instances) }},
	{"rate", func(r Run) string { return number(&r.Rate) }},
	{"round", func(r Run) string { return strconv.Itoa(r.Round) }},
	{"successes", func(r Run) string { return strconv.FormatInt(r.Successes, 10) }},
	{"refusals", func(r Run) string { return strconv.FormatInt(r.Refusals, 10) }},
	{"perSecond", func(r Run) string { return number(&r.PerSecond) }},
	{"refusalsPerSecond", func(r Run) string { return number(&r.RefusalsPerSecond) }},
	{"p50Ms", func(r Run) string { return number(&r.P50Ms) }},
	{"p95Ms", func(r Run) string { return number(&r.P95Ms) }},
	{"p99Ms", func(r Run) string { return number(&r.P99Ms) }},
	{"maxMs", func(r Run) string { return number(&r.MaxMs) }},
	{"persistedP99Ms", func(r Run) string { return number(&r.PersistedP99Ms) }},
	{"lockWaitMs", func(r Run) string { return number(&r.LockWaitMs) }},
	{"attempts", func(r Run) string { return number(&r.Attempts) }},
	{"timeouts", func(r Run) string { return strconv.FormatInt(r.Timeouts, 10) }},
	{"fairness", func(r Run) string { return number(r.Fairness) }},
	{"redisCommandsPerOperation", func(r Run) string { return number(r.RedisCommands) }},
	{"transactionsPerOperation", func(r Run) string { return number(r.Transactions) }},
	{"serverCpuMs", func(r Run) string { return number(r.ServerCPUMs) }},
	{"redisCpuMs", func(r Run) string { return number(r.RedisCPUMs) }},
	{"databaseCpuMs", func(r Run) string { return number(r.DatabaseCPUMs) }},
	{"poolWaits", func(r Run) string { return number(r.PoolWaits) }},
	{"units", func(r Run) string { return count(r.Units) }},
	{"winners", func(r Run) string { return count(r.Winners) }},
	{"violations", func(r Run) string { return strconv.Itoa(r.Violations) }},
	{"lostMoney", func(r Run) string { return strconv.FormatInt(r.LostMoney, 10) }},
	{"lostUnits", func(r Run) string { return strconv.FormatInt(r.LostUnits, 10) }},
	{"oversold", func(r Run) string { return strconv.FormatInt(r.Oversold, 10) }},
	{"answers", func(r Run) string { return strconv.FormatInt(r.Answers, 10) }},
	{"falseAnswers", func(r Run) string { return strconv.FormatInt(r.FalseAnswers, 10) }},
	{"missing", func(r Run) string { return strconv.FormatInt(r.Missing, 10) }},
}

// number is empty if nothing is known.
func number(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', 6, 64)
}

func count(v *int64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(*v, 10)
}

// WriteCSV writes one line a run, below a header.
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.name
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for _, run := range r.Runs {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.value(run)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
