package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/lockprovider/lock"
)

// load is how a lock is used.
type load struct {
	ID         string // for the command line
	Name       string
	Processes  int // 0: this one
	Goroutines int // of each process
	Hold       time.Duration
	Think      time.Duration // between a release and the next lock
	Keys, Of   int           // so many of so many; of one, all want the same
	// Times is how many times as long it is measured: a second has too few turns of 16 ms to tell whether they are shared fairly.
	Times int
	// excludes: two bare round trips do not wait for anybody, and so are no floor of it.
	Excludes bool
	// Awake: no core goes to sleep meanwhile. Waking one takes longer than a request, and hides what a lock costs beside it.
	Awake bool
}

// The names that the check reads.
const (
	loadAlone   = "uncontended"
	loadAwake   = "uncontended, cores kept awake"
	loadThink0  = "64 goroutines, 10 ms think, hold 0"
	loadThink1  = "64 goroutines, 10 ms think, hold 1 ms"
	loadProc0   = "4 × 16, hold 0"
	loadProc1   = "4 × 16, hold 1 ms"
	loadProcOne = "4 × 1, hold 0"
	loadKeys    = "3 of 20 keys, 64 goroutines"
)

var loads = []load{
	{ID: "alone", Name: loadAlone, Goroutines: 1, Keys: 1, Of: 1},
	{ID: "awake", Name: loadAwake, Goroutines: 1, Keys: 1, Of: 1, Awake: true},
	{ID: "think0", Name: loadThink0, Goroutines: 64, Think: 10 * time.Millisecond, Keys: 1, Of: 1, Excludes: true},
	{ID: "think1", Name: loadThink1, Goroutines: 64, Think: 10 * time.Millisecond, Hold: time.Millisecond, Keys: 1, Of: 1, Excludes: true},
	{ID: "processes0", Name: loadProc0, Processes: 4, Goroutines: 16, Keys: 1, Of: 1, Excludes: true},
	{ID: "processes1", Name: loadProc1, Processes: 4, Goroutines: 16, Hold: time.Millisecond, Keys: 1, Of: 1, Excludes: true, Times: 3},
	{ID: "pairs", Name: loadProcOne, Processes: 4, Goroutines: 1, Keys: 1, Of: 1, Excludes: true},
	{ID: "keys", Name: loadKeys, Goroutines: 64, Keys: 3, Of: 20},
}

// suits tells whether a contender says something about a load.
func (l load) suits(e entry) bool {
	switch {
	case !e.local:
		return true
	case e.name == nameRoundTrip:
		return !l.Excludes
	case e.name == nameFloor:
		return l.Of > 1
	}
	return l.Processes == 0
}

// sample is what one process has measured.
type sample struct {
	Sections []int   // of each goroutine
	Waits    []int64 // ns, of each section
	Took     time.Duration
	Requests int64 // -1: unknown
	Lost     int   // releases of a lock that was not held any more
}

// run puts a load on a contender for a time. The contender is to be warm; see [load.warmUp].
func (l load) run(ctx context.Context, c contender, duration time.Duration) (sample, error) {
	var (
		s       = sample{Sections: make([]int, l.Goroutines)}
		waits   = make([][]int64, l.Goroutines)
		errs    = make([]error, l.Goroutines)
		lost    atomic.Int64
		running sync.WaitGroup
		before  = c.requests()
		began   = time.Now()
		end     = began.Add(l.lasts(duration))
	)
	// Those who wait when the time is over give up. Otherwise their last turn would take part in the figures of the next. Not
	// by a deadline, which a contender would see coming: nobody's shop closes within a second.
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(time.Until(end), cancel).Stop()
	for g := range l.Goroutines {
		running.Go(func() {
			for time.Now().Before(end) {
				keys := l.pickKeys()
				asked := time.Now()
				unlock, err := c.lock(waiting, keys)
				if err != nil {
					if time.Now().Before(end) { // and not the end of the measurement
						errs[g] = err
					}
					return
				}
				waits[g] = append(waits[g], int64(time.Since(asked)))
				if l.Hold > 0 {
					time.Sleep(l.Hold)
				}
				switch err := unlock(); {
				case err == nil || !time.Now().Before(end):
				case errors.Is(err, lock.ErrLost):
					lost.Add(1)
				default:
					errs[g] = err
					return
				}
				s.Sections[g]++
				if l.Think > 0 {
					time.Sleep(l.Think)
				}
			}
		})
	}
	running.Wait()
	s.Took = time.Since(began)
	s.Lost = int(lost.Load())
	s.Requests = -1
	if before >= 0 {
		s.Requests = c.requests() - before
	}
	s.Waits = slices.Concat(waits...)
	return s, errors.Join(errs...)
}

// lasts is how long the load is put on.
func (l load) lasts(duration time.Duration) time.Duration {
	return duration * time.Duration(max(1, l.Times))
}

// bound is when a measurement must be over, the start of its processes included, also on a machine that is busy.
func (l load) bound(duration time.Duration) time.Duration { return l.lasts(duration) + 2*waitBound }

// warmUp opens connections and loads scripts. Its locks are wanted by nobody else, other processes included: it is no contest.
func (l load) warmUp(ctx context.Context, c contender) error {
	var running sync.WaitGroup
	errs := make([]error, l.Goroutines)
	for g := range l.Goroutines {
		running.Go(func() {
			unlock, err := c.lock(ctx, []string{fmt.Sprintf("warm-%d-%d", os.Getpid(), g)})
			if err == nil {
				err = unlock()
			}
			errs[g] = err
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (l load) pickKeys() []string {
	if l.Of == 1 {
		return []string{"hot"}
	}
	keys := make([]string, 0, l.Keys)
	for _, n := range rand.Perm(l.Of)[:l.Keys] {
		keys = append(keys, fmt.Sprintf("{many}%02d", n)) // one hash tag: a cluster would allow to lock them at once
	}
	slices.Sort(keys)
	return keys
}

// loadIDs are what --loads takes.
func loadIDs() string {
	ids := make([]string, len(loads))
	for i, l := range loads {
		ids[i] = l.ID
	}
	return strings.Join(ids, ",")
}
