package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast/experiment/host"
	"holdfast/experiment/plans"
	"holdfast/internal/servers"
	"holdfast/lockprovider/lock"
)

// Times of faults. Chosen: customers notice each of them, and a run of some seconds has several.
const (
	// betweenFaults is how long the shop is left in peace after a fault, and before the first one.
	betweenFaults = 400 * time.Millisecond
	// faultTime is how long something is away, or stands still: longer than a customer waits for an answer, and than a short lease.
	faultTime = 1500 * time.Millisecond
)

// strike lets the faults happen, one after the other and again, until ctx ends. What was stopped goes on before it returns. It returns how
// often each has happened.
func (t *target) strike(ctx context.Context, faults []plans.Fault, seed uint64) (struck map[plans.Fault]int, err error) {
	struck = map[plans.Fault]int{}
	dice := rand.New(rand.NewPCG(seed, 0))
	for n := 0; lock.Pause(ctx, lock.Jitter(betweenFaults)) == nil; n++ {
		fault := faults[n%len(faults)]
		if err := t.suffer(ctx, fault, dice); err != nil {
			return struck, fmt.Errorf("the fault %s: %w", fault, err)
		}
		struck[fault]++
	}
	return struck, nil
}

// suffer lets one fault happen, and ends it.
func (t *target) suffer(ctx context.Context, fault plans.Fault, dice *rand.Rand) error {
	switch fault {
	case plans.Kill:
		i := dice.IntN(len(t.processes))
		again, err := t.processes[i].Again()
		if err != nil {
			return err
		}
		t.processes[i] = again
		return nil
	case plans.Pause:
		process := t.processes[dice.IntN(len(t.processes))]
		return still(ctx, process.Pause, process.Resume)
	}
	store, err := t.stores.Server(fault.Store())
	if err != nil {
		return err
	}
	if fault.Stops() {
		return still(ctx, store.Pause, store.Resume)
	}
	return restart(ctx, store)
}

// still has something stand still for a while.
func still(ctx context.Context, pause, resume func() error) error {
	if err := pause(); err != nil {
		return err
	}
	_ = lock.Pause(ctx, faultTime) // it ends earlier if the load does
	return resume()
}

// restart kills a store, and starts it again after a while.
func restart(ctx context.Context, store *servers.Server) error {
	if err := store.Kill(); err != nil {
		return err
	}
	_ = lock.Pause(ctx, faultTime)
	return store.Restart()
}

// beside runs the faults of a plan beside a load that lasts for a time, 0 for as long as it takes. It returns how often each has happened.
func (t *target) beside(ctx context.Context, p plans.Plan, run func()) (map[plans.Fault]int, error) {
	if len(p.Faults) == 0 {
		run()
		return nil, nil
	}
	striking, end := context.WithCancel(ctx)
	if p.Duration > 0 { // afterwards, customers get the answers that they still wait for
		striking, end = context.WithTimeout(ctx, time.Duration(p.Duration))
	}
	defer end()
	type result struct {
		struck map[plans.Fault]int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		struck, err := t.strike(striking, p.Faults, p.Seed)
		done <- result{struck, err}
	}()
	run()
	end()
	r := <-done
	return r.struck, r.err
}

// startsStores reports whether all stores that the faults of a plan strike are started by the experiment.
func startsStores(p plans.Plan, s *host.Stores) error {
	for _, fault := range p.Faults {
		switch store := fault.Store(); {
		case store == host.RealRedis && s.RedisURL != "":
			return fmt.Errorf("faults: %s: want a Redis that the experiment starts: leave out --redis-url", fault)
		case store == host.Database && s.PostgresURL+s.MariaDBURL != "":
			return fmt.Errorf("faults: %s: want a database that the experiment starts: leave out --database-url", fault)
		}
	}
	return nil
}
