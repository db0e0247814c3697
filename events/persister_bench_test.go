package events

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/testenv"
)

// BenchmarkPersister persists changes that a real Redis has admitted before: one iteration is one change.
//
//	go test ./events -run - -bench Persister -benchtime 20000x -count 5
//
// cpu-ns/op is the CPU time of this process alone: of the persister and, with sqlite, of the database.
func BenchmarkPersister(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite": func(testing.TB) string { return "sqlite://:memory:" }, "postgres": testenv.Postgres,
	} {
		b.Run(name, func(b *testing.B) {
			r := newRedisFirstOn(b, url(b), testenv.Redis(b).URL)
			r.deps.Metrics = NewPersisterMetrics(prometheus.NewRegistry())
			const balances = 100
			balance := func(i int) string { return fmt.Sprint("stock:product:bench", i%balances) }
			for i := range balances {
				r.open(balance(i))
			}
			for i := range b.N {
				r.admit(balance(i), int64(1-2*(i/balances%2)))
			}
			cpu := cpuTime(b)
			b.ResetTimer()
			stop := Background(b.Context(), NewPersister(r.store, r.deps).Run)
			for left := int64(1); left > 0; {
				time.Sleep(time.Millisecond)
				var err error
				left, err = r.store.Backlog(b.Context())
				must(b, err)
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
			must(b, stop())
		})
	}
}

// cpuTime is the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
