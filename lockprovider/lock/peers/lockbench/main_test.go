package main

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(workerVar); task != "" { // the processes of a load are this program once more
		if err := work(task); err != nil {
			panic(err)
		}
		return
	}
	testenv.Main(m)
}

// measureQuickly puts a few loads on every contender, for as short a time as shows that they work.
func measureQuickly(t *testing.T) []result {
	t.Helper()
	server := testenv.Redis(t)
	b, err := newBench(t.Context(), server.URL, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	if !testing.Short() { // Databases take seconds to start.
		var stop func()
		if b.others, stop, err = startStores(t.Context(), pick("")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	wanted := map[string]bool{"alone": true, "awake": true, "processes0": true, "keys": true}
	for {
		results, err := b.measureAll(t.Context(), 1, pick(""), func(id string) bool { return wanted[id] })
		switch {
		case err == nil:
			return results
		case !errors.Is(err, errNoSections) || b.duration > 10*time.Second:
			t.Fatal(err)
		}
		t.Logf("%v: once more, for longer", err)
		b.duration *= 4
		if err := b.admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryContender(t *testing.T) {
	results := measureQuickly(t)
	measured := map[string]int{}
	for _, r := range results {
		measured[r.Contender]++
		if r.PerSecond <= 0 || r.Jain <= 0 || r.Jain > 1.000001 || r.P99 < r.P50 {
			t.Errorf("%+v", r)
		}
		// Whoever sends nothing is the mutex; whoever locks sends two requests at least, unless a process hands on.
		switch {
		case r.Contender == nameMutex:
			if r.Requests != 0 {
				t.Errorf("the mutex has sent requests: %+v", r)
			}
		case r.Requests == unknown: // Its store is not Redis.
		case r.Load == loadAlone && math.Abs(r.Requests-2) > 0.5:
			t.Errorf("not two requests a section: %+v", r)
		}
	}
	for _, e := range entries {
		if measured[e.name] == 0 && available(e.store) {
			t.Errorf("%s was not measured", e.name)
		}
	}
	var table strings.Builder
	if err := printTables(&table, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{loadAlone, loadProc0, "busiest/idlest", nameRueidis} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not show %s:\n%s", want, table.String())
		}
	}
}

// available tells whether the contenders of a store must have been measured.
func available(s store) bool {
	switch s {
	case inPostgres:
		return !testing.Short() && testenv.Have(testenv.KindPostgres)
	case inMariaDB:
		return !testing.Short() && testenv.Have(testenv.KindMariaDB)
	case inEtcd:
		return !testing.Short()
	}
	return true
}

// TestWorkersAreNotWaitedForForEver starts a worker whose Redis stands still.
func TestWorkersAreNotWaitedForForEver(t *testing.T) {
	server := testenv.Redis(t)
	b, err := newBench(t.Context(), server.URL, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Resume(); err != nil {
			t.Error(err)
		}
	})
	reason := errors.New("the time is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, reason)
	defer cancel()
	_, err = b.runProcesses(ctx, nameRueidis, server.URL, load{Processes: 1, Goroutines: 1, Keys: 1, Of: 1})
	if !errors.Is(err, reason) || !strings.Contains(err.Error(), "worker") {
		t.Errorf("error %v, want one that tells what was waited for, and why no longer", err)
	}
}

func TestRefusesARedisInUse(t *testing.T) {
	server := testenv.Redis(t)
	b, err := newBench(t.Context(), server.URL, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.admin.Set(t.Context(), "precious", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	b.close()
	if b, err := newBench(t.Context(), server.URL, time.Second); err == nil {
		b.close()
		t.Error("a Redis with data in it was accepted, and would be emptied")
	}
}

func TestStartRedis(t *testing.T) {
	if !testenv.Have(testenv.KindRedis) {
		t.Skip("redis-server is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	url, stop, err := startRedis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(ctx, url, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	stop()
	if err := b.admin.Ping(ctx).Err(); err == nil {
		t.Error("it answers after it was stopped")
	}
}

func TestJain(t *testing.T) {
	for _, test := range []struct {
		shares []float64
		want   float64
	}{
		{[]float64{5, 5, 5, 5}, 1},
		{[]float64{8, 0, 0, 0}, 0.25},
		{[]float64{0, 0}, 0},
	} {
		if got := jain(test.shares); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("jain(%v) = %v, want %v", test.shares, got, test.want)
		}
	}
}

func TestMedians(t *testing.T) {
	got := medians([]result{{Contender: "c", PerSecond: 9, P99: 1}, {PerSecond: 1, P99: 3}, {PerSecond: 2, P99: 2}})
	if got.Contender != "c" || got.PerSecond != 2 || got.P99 != 2 {
		t.Errorf("medians = %+v", got)
	}
}

// TestRatiosOfRounds compares what was measured in the same round: here the machine was half as fast in the second.
func TestRatiosOfRounds(t *testing.T) {
	results := reached()
	for i, r := range results {
		slow := r
		slow.PerSecond /= 2
		slower := r
		slower.PerSecond /= 10
		results[i] = medians([]result{r, slow, slower})
	}
	verdicts, err := compare(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.ok {
			t.Errorf("%+v", v)
		}
	}
}

func TestPick(t *testing.T) {
	for _, test := range []struct {
		list, name string
		want       bool
	}{
		{"", nameOurs, true},
		{"pubsub, redsync", nameRedsync, true},
		{"pubsub, redsync", nameRueidis, false},
	} {
		if got := pick(test.list)(test.name); got != test.want {
			t.Errorf("pick(%q)(%q) = %v", test.list, test.name, got)
		}
	}
}

// reached are results that are just as good as they must be.
func reached() []result {
	results := []result{
		{Contender: nameRoundTrip, Load: loadAlone, PerSecond: 1000},
		{Contender: nameOurs, Load: loadAlone, PerSecond: 901, Requests: 2},
		{Contender: nameRoundTrip, Load: loadAwake, PerSecond: 1000},
		{Contender: nameOurs, Load: loadAwake, PerSecond: 601},
		{Contender: nameMutex, Load: loadThink0, PerSecond: 1000},
		{Contender: nameOurs, Load: loadThink0, PerSecond: 951},
		{Contender: nameMutex, Load: loadThink1, PerSecond: 1000},
		{Contender: nameOurs, Load: loadThink1, PerSecond: 951},
		{Contender: nameRedsync, Load: loadProc0, PerSecond: 100},
		{Contender: nameRueidis, Load: loadProc0, PerSecond: 50},
		{Contender: nameOurs, Load: loadProc0, PerSecond: 501, Requests: 0.2},
		{Contender: nameOurs, Load: loadProcOne, Requests: 2.1},
		{Contender: nameFloor, Load: loadKeys, PerSecond: 1000},
		{Contender: nameOurs, Load: loadKeys, PerSecond: 701},
		{Contender: nameOurs, Load: loadProc1, P99: 192, Jain: 0.99, Ratio: 1.1},
	}
	for i, r := range results {
		results[i] = medians([]result{r})
	}
	return results
}

func TestCompare(t *testing.T) {
	verdicts, err := compare(reached())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.ok {
			t.Errorf("%+v", v)
		}
	}
	var out strings.Builder
	if err := printVerdicts(&out, verdicts); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}

	// Each of our figures, made worse, is found out.
	for i, r := range reached() {
		if r.Contender != nameOurs {
			continue
		}
		worse := reached()
		worse[i].PerSecond /= 2
		worse[i].rounds = []float64{worse[i].PerSecond}
		worse[i].Requests *= 2
		worse[i].P99 *= 2
		worse[i].Jain /= 2
		worse[i].Ratio *= 2
		worse[i].Lost++
		verdicts, err := compare(worse)
		if err != nil {
			t.Fatal(err)
		}
		if err := printVerdicts(&out, verdicts); err == nil {
			t.Errorf("%s, half as good, passes", r.Load)
		}
	}
	if _, err := compare(reached()[1:]); err == nil {
		t.Error("a figure that was not measured passes")
	}
}

// TestSlowFirstAnswer: a Redis that takes long over its first answer keeps nobody from a lock that is free.
func TestSlowFirstAnswer(t *testing.T) {
	for _, e := range entries {
		if e.local || e.store != inRedis {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			server := testenv.Redis(t)
			c, err := open(e.name, server.URL, "slow")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.close)
			if err := server.Pause(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), waitBound)
			defer cancel()
			warm := make(chan error, 1)
			go func() { warm <- load{Goroutines: 1}.warmUp(ctx, c) }()
			time.Sleep(200 * time.Millisecond) // the fault: ten times as long as rueidislock gives an answer by default
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
			if err := <-warm; err != nil {
				t.Errorf("waited for a free lock: %v", err)
			}
		})
	}
}
