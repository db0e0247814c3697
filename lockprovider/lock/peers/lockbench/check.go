package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/lockprovider/lock"
)

// check holds the figures against those that our lock must reach.
func (b *bench) check(ctx context.Context, results []result) ([]verdict, error) {
	verdicts, err := compare(results)
	if err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context) ([]verdict, error){b.deadWaiter, b.deadHolder, b.lostMessage, b.tokens, b.manyKeys} {
		if err := b.admin.FlushAll(ctx).Err(); err != nil {
			return nil, err
		}
		more, err := within(ctx, measure)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, more...)
	}
	return verdicts, nil
}

// checkTime bounds one of the checks, on a machine that is busy too.
const checkTime = 5 * time.Minute

func within(ctx context.Context, measure func(context.Context) ([]verdict, error)) ([]verdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("it was not over after %s", checkTime))
	defer cancel()
	verdicts, err := measure(ctx)
	if err != nil {
		return nil, orCause(ctx, err)
	}
	return verdicts, nil
}

// compare looks at the measurements side by side.
func compare(results []result) ([]verdict, error) {
	var missing []error
	figure := func(contender, load string) result {
		for _, r := range results {
			if r.Contender == contender && r.Load == load {
				return r
			}
		}
		missing = append(missing, fmt.Errorf("%s was not measured under %q", contender, load))
		return result{}
	}
	ours := func(load string) result { return figure(nameOurs, load) }
	var verdicts []verdict
	atLeast := func(name string, got, want float64, unit string) {
		verdicts = append(verdicts, verdict{name, fmt.Sprintf("%.2f%s", got, unit), fmt.Sprintf("≥ %.2f%s", want, unit), got >= want})
	}
	atMost := func(name string, got, want float64, unit string) {
		verdicts = append(verdicts, verdict{name, fmt.Sprintf("%.2f%s", got, unit), fmt.Sprintf("≤ %.2f%s", want, unit), got <= want})
	}
	share := func(name, load, of string, want float64) {
		mine, others := ours(load), figure(of, load)
		if len(missing) > 0 {
			return
		}
		ratios := make([]float64, len(mine.rounds))
		for i, r := range mine.rounds {
			ratios[i] = r / max(1, others.rounds[i])
		}
		atLeast(name, middle(ratios), want, " ×")
	}

	alone := ours(loadAlone).Requests
	verdicts = append(verdicts, verdict{
		"1 uncontended: requests a section", fmt.Sprintf("%.3f", alone), "2.000", alone > 1.999 && alone < 2.001,
	})
	share("1 uncontended: of "+nameRoundTrip, loadAlone, nameRoundTrip, 0.9)
	share("1 uncontended, cores awake: of "+nameRoundTrip, loadAwake, nameRoundTrip, 0.6)
	share("2 think, hold 0: of the "+nameMutex, loadThink0, nameMutex, 0.95)
	share("2 think, hold 1 ms: of the "+nameMutex, loadThink1, nameMutex, 0.95)
	share("2 4 × 16, hold 0: of "+nameRedsync, loadProc0, nameRedsync, 5)
	share("2 4 × 16, hold 0: of "+nameRueidis, loadProc0, nameRueidis, 10)
	share("2 3 of 20 keys: of "+nameFloor, loadKeys, nameFloor, 0.7)
	atMost("2 hot key, 4 × 1: requests a section, without hand-off in the process", ours(loadProcOne).Requests, 2.1, "")
	atMost("2 hot key, 4 × 16: requests a section, with hand-off in the process", ours(loadProc0).Requests, 0.2, "")
	const waiters, hold = 64, 1.0 // ms
	atMost("3 4 × 16, hold 1 ms: p99 wait", ours(loadProc1).P99, 3*waiters*hold, " ms")
	atLeast("3 4 × 16, hold 1 ms: Jain fairness over waiters", ours(loadProc1).Jain, 0.99, "")
	atMost("3 4 × 16, hold 1 ms: busiest/idlest process", ours(loadProc1).Ratio, 1.1, "")
	lost := 0
	for _, r := range results {
		if r.Contender == nameOurs {
			lost += r.Lost
		}
	}
	verdicts = append(verdicts, verdict{"locks lost under load", fmt.Sprint(lost), "0", lost == 0})
	return verdicts, errors.Join(missing...)
}

// The key of the checks below, and a lease that tells "at once" from "when the lease was over".
const (
	checkKey   = "check"
	checkLease = 10 * time.Second
	checkPoll  = 300 * time.Millisecond
	queueing   = 500 * time.Millisecond // until a process that was told to lock stands in line, amply
	tries      = 5                      // of each fault, of which the median counts
)

func (b *bench) openOurs(instance string) (*ours, error) {
	return openLocker(openHandoff, b.url, instance, ourSettings(checkLease))
}

func ourSettings(lease time.Duration) lock.Settings {
	return lock.Settings{Wait: waitBound, Lease: lease, Poll: checkPoll}
}

// deadWaiter measures what a waiter that was killed or stopped costs the one behind it.
func (b *bench) deadWaiter(ctx context.Context) ([]verdict, error) {
	var verdicts []verdict
	for _, fault := range []struct {
		name   string
		strike func(*worker) error
		bound  time.Duration
	}{
		{"4 dead waiter: the next one's extra wait", (*worker).kill, 5 * time.Millisecond},
		{"4 stopped waiter: the next one's extra wait", (*worker).stop, 2 * time.Second},
	} {
		var took []time.Duration
		for range tries {
			d, err := b.overtakeFaulty(ctx, fault.strike)
			if err != nil {
				return nil, err
			}
			took = append(took, d)
		}
		verdicts = append(verdicts, bounded(fault.name, took, fault.bound))
	}
	return verdicts, nil
}

func bounded(name string, took []time.Duration, bound time.Duration) verdict {
	got := middle(took)
	return verdict{name, got.Round(100 * time.Microsecond).String(), "≤ " + bound.String(), got <= bound}
}

func (b *bench) overtakeFaulty(ctx context.Context, strike func(*worker) error) (time.Duration, error) {
	holder, err := b.openOurs("holder")
	if err != nil {
		return 0, err
	}
	defer holder.close()
	next, err := b.openOurs("next")
	if err != nil {
		return 0, err
	}
	defer next.close()
	unlock, err := holder.lock(ctx, []string{checkKey})
	if err != nil {
		return 0, err
	}
	w, err := startWorker(ctx, workerTask{URL: b.url, Instance: "faulty", Lock: checkKey, Lease: checkLease})
	if err != nil {
		return 0, err
	}
	defer w.end()
	time.Sleep(queueing)
	granted := make(chan error, 1)
	var at time.Time
	go func() {
		release, err := next.lock(ctx, []string{checkKey})
		at = time.Now()
		if err == nil {
			err = release()
		}
		granted <- err
	}()
	time.Sleep(queueing)
	if err := strike(w); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := unlock(); err != nil {
		return 0, err
	}
	err = <-granted
	return at.Sub(began), err
}

// deadHolder measures how long a lock stays locked whose holder was killed.
func (b *bench) deadHolder(ctx context.Context) ([]verdict, error) {
	const lease = time.Second
	var took []time.Duration
	for range tries {
		w, err := startWorker(ctx, workerTask{URL: b.url, Instance: "doomed", Lock: checkKey, Lease: lease})
		if err != nil {
			return nil, err
		}
		time.Sleep(queueing)
		next, err := b.openOurs("next")
		if err != nil {
			w.end()
			return nil, err
		}
		w.end()
		began := time.Now()
		unlock, err := next.lock(ctx, []string{checkKey})
		took = append(took, time.Since(began))
		if err == nil {
			err = unlock()
		}
		next.close()
		if err != nil {
			return nil, err
		}
	}
	return []verdict{bounded(fmt.Sprintf("4 dead holder, lease %v: the next one's wait", lease), took, lease+350*time.Millisecond)}, nil
}

// lostMessage measures how long a waiter does not notice that the lock is its own.
func (b *bench) lostMessage(ctx context.Context) ([]verdict, error) {
	holder, err := b.openOurs("holder")
	if err != nil {
		return nil, err
	}
	defer holder.close()
	next := &ours{goRedis: goRedis{ears: &ears{}}}
	if err := next.open(openHandoff, b.url, "next", ourSettings(checkLease)); err != nil {
		return nil, err
	}
	defer next.close()
	var took []time.Duration
	for range tries {
		unlock, err := holder.lock(ctx, []string{checkKey})
		if err != nil {
			return nil, err
		}
		granted := make(chan error, 1)
		var at time.Time
		go func() {
			release, err := next.lock(ctx, []string{checkKey})
			at = time.Now()
			if err == nil {
				err = release()
			}
			granted <- err
		}()
		time.Sleep(queueing)
		next.ears.deaf.Store(true)
		began := time.Now()
		if err := unlock(); err != nil {
			return nil, err
		}
		err = <-granted
		next.ears.deaf.Store(false)
		if err != nil {
			return nil, err
		}
		took = append(took, at.Sub(began))
	}
	return []verdict{bounded("4 lost message: the next one's wait", took, checkPoll+50*time.Millisecond)}, nil
}

// tokens asks for many, and empties Redis in between.
func (b *bench) tokens(ctx context.Context) ([]verdict, error) {
	o, err := b.openOurs("tokens")
	if err != nil {
		return nil, err
	}
	defer o.close()
	const asked = 3000
	last, wrong := int64(0), 0
	for n := range asked {
		_, lease, err := o.locker.Lock(ctx, []string{checkKey})
		if err != nil {
			return nil, err
		}
		token, err := lease.Fence(ctx, checkKey)
		if err != nil {
			return nil, err
		}
		if token <= last {
			wrong++
		} else {
			last = token
		}
		if err := lease.Unlock(ctx); err != nil {
			return nil, err
		}
		if n%1000 == 999 {
			if err := b.admin.FlushAll(ctx).Err(); err != nil {
				return nil, err
			}
		}
	}
	return []verdict{{
		"6 tokens over releases and FLUSHALL: not greater than the last", fmt.Sprintf("%d of %d", wrong, asked), "0", wrong == 0,
	}}, nil
}

// manyKeys uses many keys and looks at what is left of them.
func (b *bench) manyKeys(ctx context.Context) ([]verdict, error) {
	const keys, workers = 10_000, 16
	o, err := b.openOurs("keys")
	if err != nil {
		return nil, err
	}
	defer o.close()
	use := func(from, to int) error {
		var next atomic.Int64
		next.Store(int64(from))
		errs := make([]error, workers)
		var running sync.WaitGroup
		for w := range workers {
			running.Go(func() {
				for n := next.Add(1); n <= int64(to); n = next.Add(1) {
					unlock, err := o.lock(ctx, []string{fmt.Sprintf("key-%d", n)})
					if err == nil {
						err = unlock()
					}
					if err != nil {
						errs[w] = err
						return
					}
				}
			})
		}
		running.Wait()
		return errors.Join(errs...)
	}
	if err := use(0, 1000); err != nil { // connections and whatever else is there once and for all
		return nil, err
	}
	channels, err := b.subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	goroutines := settledGoroutines()
	if err := use(1000, 1000+keys); err != nil {
		return nil, err
	}
	left := settledGoroutines() - goroutines
	after, err := b.subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	forever := 0
	for iter := b.admin.Scan(ctx, 0, "*", 1000).Iterator(); iter.Next(ctx); {
		if ttl, err := b.admin.PTTL(ctx, iter.Val()).Result(); err == nil && ttl == -1 {
			forever++
		}
	}
	none := func(name string, n int) verdict { return verdict{name, fmt.Sprint(n), "0", n <= 0} }
	return []verdict{
		none("7 10,000 keys: goroutines left", left),
		none("7 10,000 keys: subscriptions left", after-channels),
		none("7 10,000 keys: Redis keys left that have no TTL", forever),
	}, nil
}

// settledGoroutines waits a moment for those that are about to end.
func settledGoroutines() int {
	least := runtime.NumGoroutine()
	for range 50 {
		time.Sleep(10 * time.Millisecond)
		least = min(least, runtime.NumGoroutine())
	}
	return least
}

func (b *bench) subscriptions(ctx context.Context) (int, error) {
	channels, err := b.admin.PubSubChannels(ctx, "*").Result()
	if err != nil {
		return 0, err
	}
	patterns, err := b.admin.PubSubNumPat(ctx).Result()
	return len(channels) + int(patterns), err
}

// hold is what the process of deadWaiter and deadHolder does: lock, and keep it.
func hold(task workerTask) error {
	o, err := openLocker(openHandoff, task.URL, task.Instance, ourSettings(task.Lease))
	if err != nil {
		return err
	}
	defer o.close()
	fmt.Println("ready")
	unlock, err := o.lock(context.Background(), []string{task.Lock})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until its parent has gone
	return unlock()
}
