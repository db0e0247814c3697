package host

import (
	"strings"
	"testing"
)

func TestParseMetrics(t *testing.T) {
	got := map[string]float64{}
	err := parseMetrics(strings.NewReader(`# HELP x y
process_cpu_seconds_total 1.5
holdfast_lock_violations_total{family="STOCK",strategy="setnx"} 2
holdfast_lock_violations_total{family="COUPONS",strategy="a b"} 3
`), got)
	if err != nil || got["process_cpu_seconds_total"] != 1.5 || got["holdfast_lock_violations_total"] != 5 {
		t.Errorf("%v, %v", got, err)
	}
	if err := parseMetrics(strings.NewReader("x y z"), got); err == nil {
		t.Error("no error for what is no metric")
	}
	info := "# Stats\r\ntotal_connections_received:7\r\ntotal_commands_processed:42\r\n"
	if n := field(info, "total_commands_processed"); n == nil || *n != 42 {
		t.Errorf("%v", n)
	}
	if n := field(info, "missing"); n != nil {
		t.Errorf("%v", *n)
	}
}
