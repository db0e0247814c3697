package redistest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"holdfast/lockprovider/lock"
)

var exclusionScenarios = []Scenario{
	{
		Name: "one_holder_at_a_time", Proves: Excludes, Func: oneHolder, Busy: true,
		Why: "two processes work on the same thing at once, the one thing that a lock is for",
	},
}

// event is something that happened to a section, at some time between call and return (Unix nanoseconds; all processes
// share the clock of one machine).
type event struct {
	Kind         string // enter, work, exit
	Section, Key string
	Token        int64 `json:",omitempty"`
	Call, Return int64
}

// The history of a lock is linearizable where one order of all events exists in which a section enters when nobody is in,
// works while it is in, and exits. The times of the events bound that order:
//
//   - enter lies between the call of Lock and its return;
//   - work is an instant at which the held context had not ended, as a look at the context *after* that instant showed;
//   - exit lies between the last such instant and the return of Unlock. A holder who was killed may exit at any later time.
//
// So a lock that lets somebody in while a holder has reason to think that he is alone has no such order. Tokens are part of
// it: one that enters has a token greater than all before, where there are any.
var lockModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			e, _ := op.Input.(event)
			byKey[e.Key] = append(byKey[e.Key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return lockState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, _ := state.(lockState)
		e, _ := input.(event)
		switch e.Kind {
		case "enter":
			if s.holder != "" || e.Token != 0 && e.Token <= s.token {
				return false, s
			}
			return true, lockState{holder: e.Section, token: max(s.token, e.Token)}
		case "work":
			return s.holder == e.Section, s
		default:
			return s.holder == e.Section, lockState{token: s.token}
		}
	},
	DescribeOperation: func(input, _ any) string {
		e, _ := input.(event)
		return fmt.Sprintf("%s %s %d", e.Kind, e.Section, e.Token)
	},
}

type lockState struct {
	holder string
	token  int64
}

// checkTime bounds the search for an order.
const checkTime = 30 * time.Second

// checkHistory says whether events can have happened with a lock.
func checkHistory(events []event) porcupine.CheckResult {
	exits := map[string]bool{}
	last := map[string]int64{}
	var operations []porcupine.Operation
	add := func(e event) {
		operations = append(operations, porcupine.Operation{Input: e, Call: e.Call, Return: e.Return})
	}
	for _, e := range events {
		add(e)
		last[e.Section+e.Key] = max(last[e.Section+e.Key], e.Return)
		if e.Kind == "exit" {
			exits[e.Section+e.Key] = true
		}
	}
	for _, e := range events {
		if id := e.Section + e.Key; e.Kind == "enter" && !exits[id] { // killed
			add(event{Kind: "exit", Section: e.Section, Key: e.Key, Call: last[id], Return: math.MaxInt64})
		}
	}
	return porcupine.CheckOperationsTimeout(lockModel, operations, checkTime)
}

// competitor locks, looks, and unlocks, again and again, and records it.
type competitor struct {
	name   string
	locker lock.Locker
	lease  time.Duration
	keys   []string
	// brood: now and then it keeps a lock for ever, to be killed with it.
	brood  bool
	record func(event)
}

func (c *competitor) run(ctx context.Context, worker int) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(worker)))
	for n := 0; ctx.Err() == nil; n++ {
		section, key := fmt.Sprintf("%s/%d/%d", c.name, worker, n), c.keys[random.IntN(len(c.keys))]
		keep := time.Duration(random.IntN(5000)) * time.Microsecond
		switch dice := random.IntN(50); {
		case dice < 2:
			keep = c.lease + c.lease/4 // more than a lease: it has to be renewed
		case dice < 4 && c.brood:
			keep = patience
		}
		call := time.Now().UnixNano()
		held, lease, err := c.locker.Lock(ctx, []string{key})
		if err != nil {
			continue
		}
		returned := time.Now().UnixNano()
		token, _ := lease.Fence(ctx, key) // 0 if the lease has ended before, or nobody can tell
		c.record(event{Kind: "enter", Section: section, Key: key, Token: token, Call: call, Return: returned})
		last := c.work(ctx, held, section, key, call, keep)
		if held.Err() != nil && ctx.Err() == nil {
			_ = lock.Pause(ctx, c.lease/8) // comes late: by now the lock is somebody else's, and not to be released
		}
		// An unlock that fails has freed nothing: the lock ends with its lease, before somebody else gets it.
		_ = lease.Unlock(context.WithoutCancel(ctx))
		c.record(event{Kind: "exit", Section: section, Key: key, Call: last, Return: time.Now().UnixNano()})
	}
}

// work looks at the held context until the time is over or the context has, and returns when it was last seen alive.
func (c *competitor) work(ctx, held context.Context, section, key string, entered int64, keep time.Duration) int64 {
	last := entered
	for began := time.Now(); ; {
		now := time.Now().UnixNano()
		if held.Err() != nil {
			return last
		}
		last = now
		c.record(event{Kind: "work", Section: section, Key: key, Call: now, Return: now})
		if time.Since(began) >= keep || ctx.Err() != nil {
			return last
		}
		_ = lock.Pause(held, min(keep/2+time.Microsecond, c.lease/20))
	}
}

// history is what several processes record.
type history struct {
	mu      sync.Mutex
	events  []event
	entered chan struct{} // after each event
}

func (r *history) record(e event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	select {
	case r.entered <- struct{}{}:
	default:
	}
}

func oneHolder(t testing.TB, h *Harness) {
	events := h.compete(t, size(4, 40))
	sections, tokens := 0, 0
	for _, e := range events {
		if e.Kind == "enter" {
			sections++
			if e.Token > 0 {
				tokens++
			}
		}
	}
	t.Logf("%d sections, %d with a token", sections, tokens)
	if h.Traits.Fences && tokens != sections {
		t.Errorf("%d of %d sections have no token", sections-tokens, sections)
	}
	if sections < 20 {
		t.Errorf("only %d sections: nothing is proven", sections)
	}
	if result := checkHistory(events); result != porcupine.Ok {
		t.Errorf("the history of %d events is not that of a lock: %s", len(events), result)
	}
}

// competitionLease is short, so that many leases end in a competition.
const competitionLease = 500 * time.Millisecond

// compete has processes and goroutines fight for two keys, kills some of the processes in their sections, and cuts off
// some of the goroutines, and returns what all of them recorded.
func (h *Harness) compete(t testing.TB, kills int) []event {
	t.Helper()
	term := h.scaled(competitionLease)
	keys := []string{"one", "two"}
	settings := func(o *options) {
		o.settings.Lease = term
		if !h.Traits.Listens {
			o.settings.Poll = 2 * time.Millisecond // so that many meet
		}
	}
	r := &history{entered: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	defer cancel()

	var running sync.WaitGroup
	start := func(name string, i *Instance) {
		c := competitor{name: name, locker: i.Locker, lease: term, keys: keys, record: r.record}
		for worker := range 2 {
			running.Go(func() { c.run(ctx, worker) })
		}
	}
	network := h.proxy(t)
	start("steady", h.open(t, settings))
	start("cut off", h.open(t, settings, through(network)))

	for range kills {
		// A process broods over a lock now and then: when it has done so for a while it is killed with it.
		var mu sync.Mutex
		lastEvent, inside := event{}, time.Time{}
		p := h.spawnRecorded(t, func(e event) {
			r.record(e)
			mu.Lock()
			defer mu.Unlock()
			if e.Section != lastEvent.Section || e.Kind == "exit" {
				inside = time.Now()
			}
			lastEvent = e
		}, settings)
		p.tell(t, order{Do: "compete", Keys: keys, N: 1})
		network.blackhole(t, "")
		eventually(t, "a process that keeps its lock", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return lastEvent.Kind == "work" && time.Since(inside) > term*3/4
		})
		p.kill()
		network.heal(t)
	}
	// Those who were waiting for the dead get the lock: a last section of somebody who is alive.
	r.mu.Lock()
	before := len(r.events)
	r.mu.Unlock()
	eventually(t, "the others to go on", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.events) > before+20
	})
	cancel()
	running.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}
