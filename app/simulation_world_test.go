package app_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"entgo.io/ent/dialect"
	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/config"
	"holdfast/payments"
)

// world is one simulated run: instances of a shop on the same stores. All their calls of the stores wait in one place, and one at a
// time is let through, which one is drawn by the seed. Nothing else runs meanwhile, and the clock stands still while anything can go on.
type world struct {
	t       *testing.T
	seed    uint64
	forgets bool // the database calls committed what it rolls back, once in a while
	cfg     config.Config
	db      *clients.Database
	redis   *miniredis.Miniredis
	gateway payments.Gateway

	// Of the goroutine that lets calls through.
	random  *rand.Rand
	faults  bool // may be drawn
	crashes int  // that may still come
	trace   io.Writer
	digest  uint64 // of all that was let through
	calls   int
	points  map[string]int // the places at which an instance was killed, before or after the effect
	passed  map[string]int // the places that calls came from

	mu        sync.Mutex
	pending   []*call
	instances []*instance  // that are alive
	writing   *transaction // that is open; the database has one writer
	started   int
	problems  []string

	ends sync.WaitGroup // of instances
}

// call is one call of a store that waits to be let through.
type call struct {
	in     *instance
	point  string
	detail string
	writes bool      // it needs the database's one writer
	due    time.Time // it is not let through before
	pass   chan verdict
}

// verdict is what becomes of a call.
type verdict int

const (
	passes    verdict = iota
	isLost            // it has no effect
	losesBack         // it has its effect, and the answer is lost
	dies              // it has its effect, and then the instance dies
)

// instance is one process of the shop.
type instance struct {
	w     *world
	name  string
	shop  *app.Shop
	redis *redis.Client

	mu      sync.Mutex
	killed  bool
	closing bool
}

func (in *instance) isDead() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.killed
}

func (in *instance) begins(t *transaction) bool {
	in.w.mu.Lock()
	defer in.w.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.killed {
		in.w.writing = t
	}
	return !in.killed
}

func (in *instance) ends(t *transaction) {
	in.w.mu.Lock()
	defer in.w.mu.Unlock()
	if in.w.writing == t {
		in.w.writing = nil
	}
}

// call waits until the simulation lets a call through, carries it out, and returns what the instance hears of it.
func (in *instance) call(ctx context.Context, kind, detail string, op func() error) error {
	return in.send(ctx, &call{point: pointOf(kind), detail: detail}, op)
}

// write is a call that waits for the database's one writer as well. Who waited in the pool would get it at random.
func (in *instance) write(ctx context.Context, kind, detail string, op func() error) error {
	return in.send(ctx, &call{point: pointOf(kind), detail: detail, writes: true}, op)
}

func (in *instance) send(ctx context.Context, c *call, op func() error) error {
	c.in, c.pass = in, make(chan verdict, 1)
	if !in.w.waits(c) {
		return errCut
	}
	var v verdict
	select {
	case v = <-c.pass:
	case <-ctx.Done():
		if in.w.gone(c) {
			return ctx.Err()
		}
		v = <-c.pass
	}
	if v == isLost {
		return errCut
	}
	err := op()
	switch {
	case v == dies:
		in.kill()
	case v == losesBack, in.isDead():
	default:
		return err
	}
	return errCut
}

func (w *world) waits(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.in.isDead() {
		return false
	}
	w.pending = append(w.pending, c)
	return true
}

// gone takes back a call that was not let through, and reports whether it was in time.
func (w *world) gone(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.Index(w.pending, c)
	if at >= 0 {
		w.pending = slices.Delete(w.pending, at, at+1)
	}
	return at >= 0
}

// kill ends an instance as SIGKILL does: what it has not sent is never sent, and its transaction is rolled back.
func (in *instance) kill() {
	w := in.w
	w.mu.Lock()
	in.mu.Lock()
	in.killed = true
	in.mu.Unlock()
	open := w.writing
	w.instances = slices.DeleteFunc(w.instances, func(other *instance) bool { return other == in })
	w.pending = slices.DeleteFunc(w.pending, func(c *call) bool {
		if c.in == in {
			c.pass <- isLost
		}
		return c.in == in
	})
	w.mu.Unlock()
	if open != nil && open.in == in {
		open.cut()
	}
	w.ends.Go(in.end)
}

// end ends the goroutines of an instance. From then on, it calls nobody.
func (in *instance) end() {
	in.mu.Lock()
	first := in.shop != nil && !in.closing
	in.closing = in.closing || first
	in.mu.Unlock()
	if first {
		_ = in.shop.Close()
	}
	_ = in.redis.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.killed = true
}

// start starts an instance. It fails if the instance was killed meanwhile, or a call that it could not do without was lost.
func (w *world) start(ctx context.Context) error {
	w.mu.Lock()
	w.started++
	in := &instance{w: w, name: fmt.Sprint("i", w.started)}
	w.mu.Unlock()
	in.redis = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 64, DialerRetries: 1,
		Dialer: w.dial,
	})
	in.redis.AddHook(redisHook{in})
	db := w.db.Through(func(next dialect.Driver) dialect.Driver { return &statements{in, next} })
	nodes := &clients.Redis{Client: in.redis, Nodes: []redis.UniversalClient{in.redis}}
	shop, err := app.OpenOn(ctx, w.cfg, slog.New(slog.DiscardHandler), app.Options{Gateway: w.gateway}, db, nodes)
	if err != nil {
		_ = in.redis.Close()
		return err
	}
	in.mu.Lock()
	in.shop = shop
	in.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if in.isDead() {
		w.ends.Go(in.end)
		return errCut
	}
	w.instances = append(w.instances, in)
	return nil
}

// live returns the instances that are alive, in the order of their start.
func (w *world) live() []*instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.instances)
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// Bounds of a run.
const (
	maxCalls = 200_000
	maxTime  = 2 * time.Hour // of the simulated clock
	maxRetry = time.Minute   // for which an instance that has ended goes on trying
)

// until lets calls through until what runs has ended.
func (w *world) until(what string, run func()) {
	w.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	for begun := time.Now(); ; {
		synctest.Wait()
		select {
		case <-done:
			return
		default:
		}
		if w.calls > maxCalls || time.Since(begun) > maxTime {
			w.t.Fatalf("seed %d: %s has not ended after %d calls and %s", w.seed, what, w.calls, time.Since(begun))
		}
		w.step()
	}
}

// drop loses all calls that nobody waits for any more, such as a commit that was given up, and has what was still going to try again
// give up.
func (w *world) drop() {
	for range 2 {
		synctest.Wait()
		w.mu.Lock()
		for _, c := range w.pending {
			c.pass <- isLost
		}
		w.pending = nil
		w.mu.Unlock()
		time.Sleep(maxRetry)
	}
}

// step lets one call through, or time pass.
func (w *world) step() {
	ready := w.ready()
	if len(ready) == 0 {
		time.Sleep(time.Duration(1 + w.random.Int64N(int64(20*time.Millisecond))))
		return
	}
	if w.random.IntN(4) == 0 {
		time.Sleep(time.Duration(1 + w.random.Int64N(int64(3*time.Millisecond))))
		return // what is ready may have changed
	}
	c := ready[w.random.IntN(len(ready))]
	v := passes
	if w.faults {
		switch n := w.random.IntN(1000); {
		case n < 8:
			w.delay(c)
			return
		case n < 13:
			v = isLost
		case n < 18:
			v = losesBack
		case n < 24 && w.crashes > 0:
			w.crashes--
			if v = dies; w.random.IntN(2) == 0 {
				w.note(c, "dies before")
				w.points["before "+c.point]++
				c.in.kill()
				return
			}
			w.points["after "+c.point]++
		}
	}
	w.note(c, [...]string{"passes", "is lost", "loses its answer", "dies after"}[v])
	if w.gone(c) {
		c.pass <- v
	}
}

// ready are the calls that may be let through, in an order that does not depend on which goroutine came first.
func (w *world) ready() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var ready []*call
	for _, c := range w.pending {
		if !c.due.After(now) && (!c.writes || w.writing == nil) {
			ready = append(ready, c)
		}
	}
	slices.SortStableFunc(ready, func(a, b *call) int {
		for _, pair := range [][2]string{{a.in.name, b.in.name}, {a.point, b.point}, {a.detail, b.detail}} {
			if pair[0] != pair[1] {
				if pair[0] < pair[1] {
					return -1
				}
				return 1
			}
		}
		return 0
	})
	return ready
}

// delay holds a call back, at times for longer than anybody waits.
func (w *world) delay(c *call) {
	w.note(c, "is delayed")
	most := 50 * time.Millisecond
	if w.random.IntN(4) == 0 {
		most = 20 * time.Second
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.due = time.Now().Add(time.Duration(w.random.Int64N(int64(most))))
}

func (w *world) note(c *call, what string) {
	w.calls++
	w.passed[c.point]++
	line := fmt.Sprintf("%s %s %s: %s", time.Now().Format("15:04:05.000000"), c.in.name, c.point, what)
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%s\n\t%.300s\n", line, c.detail)
	}
	h := fnv.New64a()
	fmt.Fprint(h, w.digest, line)
	w.digest = h.Sum64()
}
