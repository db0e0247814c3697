package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// bench measures at one Redis.
type bench struct {
	url      string
	others   map[store]string // the URLs of the stores beside Redis; the contenders of one that is missing are not measured
	duration time.Duration
	admin    *redis.Client

	began  time.Time // of the measurement under way
	cpu    float64   // seconds that Redis had used then
	counts map[string]int64
}

// startTimeout bounds the start of a redis-server.
const startTimeout = 30 * time.Second

func startRedis(ctx context.Context) (url string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errors.New("no redis-server on PATH (Debian: apt-get install redis-server): give --redis URL")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr := l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err := errors.Join(err, l.Close()); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "lockbench-")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, path, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	url = "redis://" + addr + "/0"
	if err := awaitRedis(ctx, addr); err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
}

func awaitRedis(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func newBench(ctx context.Context, url string, duration time.Duration) (*bench, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	b := &bench{url: url, duration: duration, admin: redis.NewClient(options)}
	size, err := b.admin.DBSize(ctx).Result()
	if err == nil && size > 0 {
		err = errors.New("this Redis is not empty, and a measurement empties it")
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = b.admin.Close() }

// unknown is a figure that only a contender in Redis has.
const unknown = -1

// result is one contender under one load: the median of each figure.
type result struct {
	Contender  string  `json:"contender"`
	Load       string  `json:"load"`
	PerSecond  float64 `json:"sectionsPerSecond"`
	Requests   float64 `json:"requestsPerSection"`
	MeanMicros float64 `json:"meanMicros"` // of one goroutine's lock and release, hold and think left out
	P50        float64 `json:"waitP50Millis"`
	P99        float64 `json:"waitP99Millis"`
	Jain       float64 `json:"jainFairness"`
	Ratio      float64 `json:"busiestToIdlestProcess"`
	RedisCPU   float64 `json:"redisCPUPercent"`
	Lost       int     `json:"locksLost"` // in all rounds: no lease is so short that one may be lost
	// rounds are the sections a second of each round. What is compared was measured in the same round: the machine's own speed
	// changes from round to round.
	rounds []float64
}

// measureAll measures every contender under every load in turns: what else the machine does meets all of them.
func (b *bench) measureAll(ctx context.Context, rounds int, wanted, loaded func(string) bool) ([]result, error) {
	type at struct{ contender, load string }
	measured := map[at][]result{}
	var order []at
	for round := range rounds {
		for _, l := range loads {
			for _, e := range entries {
				if !l.suits(e) || b.storeOf(e) == "" || !wanted(e.name) || !loaded(l.ID) {
					continue
				}
				fmt.Fprintf(os.Stderr, "\r\033[Kround %d of %d: %s: %s", round+1, rounds, l.Name, e.name)
				r, err := b.measure(ctx, e, l)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", e.name, l.Name, err)
				}
				key := at{e.name, l.Name}
				if len(measured[key]) == 0 {
					order = append(order, key)
				}
				measured[key] = append(measured[key], r)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	results := make([]result, 0, len(order))
	for _, key := range order {
		results = append(results, medians(measured[key]))
	}
	return results, nil
}

// storeOf returns the URL of a contender's store, "" if that does not run.
func (b *bench) storeOf(e entry) string {
	if e.store == inRedis {
		return b.url
	}
	return b.others[e.store]
}

// middle is the median.
func middle[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func medians(all []result) result {
	median := func(figure func(result) float64) float64 {
		values := make([]float64, len(all))
		for i, r := range all {
			values[i] = figure(r)
		}
		return middle(values)
	}
	lost := 0
	rounds := make([]float64, len(all))
	for i, r := range all {
		lost += r.Lost
		rounds[i] = r.PerSecond
	}
	return result{
		Contender: all[0].Contender, Load: all[0].Load, Lost: lost, rounds: rounds,
		PerSecond:  median(func(r result) float64 { return r.PerSecond }),
		Requests:   median(func(r result) float64 { return r.Requests }),
		MeanMicros: median(func(r result) float64 { return r.MeanMicros }),
		P50:        median(func(r result) float64 { return r.P50 }),
		P99:        median(func(r result) float64 { return r.P99 }),
		Jain:       median(func(r result) float64 { return r.Jain }),
		Ratio:      median(func(r result) float64 { return r.Ratio }),
		RedisCPU:   median(func(r result) float64 { return r.RedisCPU }),
	}
}

func (b *bench) measure(ctx context.Context, e entry, l load) (result, error) {
	bound := l.bound(b.duration)
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("it was not over after %s", bound))
	defer cancel()
	if err := b.admin.FlushAll(ctx).Err(); err != nil {
		return result{}, err
	}
	if l.Awake {
		stop, err := keepAwake(ctx, bound)
		if err != nil {
			return result{}, err
		}
		defer stop()
	}
	var samples []sample
	if l.Processes > 0 {
		var err error
		if samples, err = b.runProcesses(ctx, e.name, b.storeOf(e), l); err != nil {
			return result{}, err
		}
	} else {
		c, err := open(e.name, b.storeOf(e), "bench")
		if err != nil {
			return result{}, err
		}
		defer c.close()
		if err := l.warmUp(ctx, c); err != nil {
			return result{}, fmt.Errorf("first locks: %w", err)
		}
		if err := b.startClock(ctx); err != nil {
			return result{}, err
		}
		s, err := l.run(ctx, c, b.duration)
		if err != nil {
			return result{}, err
		}
		samples = []sample{s}
	}
	return b.evaluate(ctx, e, l, samples)
}

// errNoSections: the measurement was too short for this machine.
var errNoSections = errors.New("not one section in the whole measurement")

// startClock notes what Redis has done so far.
func (b *bench) startClock(ctx context.Context) (err error) {
	if b.counts, err = b.scriptCalls(ctx); err != nil {
		return err
	}
	b.cpu, err = b.redisCPU(ctx)
	b.began = time.Now()
	return err
}

func (b *bench) evaluate(ctx context.Context, e entry, l load, samples []sample) (result, error) {
	wall := time.Since(b.began).Seconds()
	cpu, err := b.redisCPU(ctx)
	if err != nil {
		return result{}, err
	}
	scripts, err := b.scriptCalls(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{Contender: e.name, Load: l.Name, RedisCPU: 100 * (cpu - b.cpu) / wall}
	var (
		waits              []int64
		each               []float64
		processes          []float64
		requests, sections int64
	)
	for _, s := range samples {
		mine := 0
		for _, n := range s.Sections {
			each = append(each, float64(n))
			mine += n
		}
		processes = append(processes, float64(mine))
		sections += int64(mine)
		waits = append(waits, s.Waits...)
		r.PerSecond += float64(mine) / s.Took.Seconds()
		requests += s.Requests
		r.Lost += s.Lost
	}
	if samples[0].Requests < 0 {
		// Its client cannot be asked. All it sends are scripts, which Redis counts one by one.
		requests = 0
		for name, n := range scripts {
			requests += n - b.counts[name]
		}
	}
	if sections == 0 {
		return r, errNoSections
	}
	r.Requests = float64(requests) / float64(sections)
	if e.store != inRedis {
		r.Requests, r.RedisCPU = unknown, unknown
	}
	slices.Sort(waits)
	percentile := func(p float64) float64 {
		return float64(waits[min(len(waits)-1, int(p*float64(len(waits))))]) / 1e6
	}
	r.P50, r.P99 = percentile(0.5), percentile(0.99)
	r.MeanMicros = 1e6 / r.PerSecond
	r.Jain = jain(each)
	r.Ratio = slices.Max(processes) / max(1, slices.Min(processes))
	return r, nil
}

// jain is Jain's index: 1 where all had the same share, 1/n where one had everything.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func (b *bench) redisCPU(ctx context.Context) (float64, error) {
	info, err := b.info(ctx, "cpu")
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseFloat(info["used_cpu_user"], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(info["used_cpu_sys"], 64)
	return user + system, err
}

// scriptCalls are the scripts that Redis has run. The commands inside them are counted under other names.
func (b *bench) scriptCalls(ctx context.Context) (map[string]int64, error) {
	info, err := b.info(ctx, "commandstats")
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, name := range []string{"eval", "evalsha", "fcall"} {
		calls, _, _ := strings.Cut(strings.TrimPrefix(info["cmdstat_"+name], "calls="), ",")
		if calls == "" {
			continue
		}
		if counts[name], err = strconv.ParseInt(calls, 10, 64); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func (b *bench) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := b.admin.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields, nil
}
