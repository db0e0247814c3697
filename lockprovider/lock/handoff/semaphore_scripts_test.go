package handoff

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// TestSemaphoreScriptsDoAsTheModel has the scripts and the model of the simulation do the same, drawn from seeds, and compares
// every reply and every message. So what the simulation finds of the model is true of the scripts. On the embedded Redis, the
// clock stands still during a request, and jumps in between, also over the ends of leases and deadlines. On a real one, nothing
// ends, and times and tokens are not compared.
func TestSemaphoreScriptsDoAsTheModel(t *testing.T) {
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	at := time.Now()
	compareSemaphores(t, newRedisStore(client), func(step time.Duration) time.Time {
		at = at.Add(step)
		server.SetTime(at)
		return at
	})
	eachRedis(t, func(t *testing.T, r *redisStore) { compareSemaphores(t, r, nil) })
}

// compareSemaphores does the same to a semaphore in Redis and to one of the model, for each seed. step sets the clock of Redis,
// if that is possible.
func compareSemaphores(t *testing.T, r *redisStore, step func(time.Duration) time.Time) {
	t.Helper()
	for seed := range uint64(max(1, *simulations/10)) {
		d := &semaphoreDriver{
			t: t, random: rand.New(rand.NewPCG(seed, 1)), store: redisSemaphores{r}, step: step,
			name: nameOf(semaphorePrefix, fmt.Sprintf("%d:%v", seed, step == nil)),
		}
		d.run()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(d.log, "\n"))
		}
	}
}

// semaphoreDriver does the same to a semaphore in Redis and to one of the model.
type semaphoreDriver struct {
	t      *testing.T
	random *rand.Rand
	store  redisSemaphores
	name   string
	model  *modelSemaphore
	step   func(time.Duration) time.Time
	now    int64
	log    []string
	// told are the messages of the model that were not received yet.
	told []string
	// messages are those of a process that lives. Other processes are dead.
	messages *redis.PubSub
}

func (d *semaphoreDriver) run() {
	ctx, client := context.Background(), d.store.redis.redis
	const living = "living"
	d.messages = client.Subscribe(ctx, channelPrefix+living)
	defer d.messages.Close()
	if _, err := d.messages.Receive(ctx); err != nil {
		d.t.Fatal(err)
	}
	d.model = &modelSemaphore{tell: func(waiter, message string) bool {
		if instanceOf(waiter) != living {
			return false
		}
		d.told = append(d.told, message)
		return true
	}}
	var waiters []holdRequest
	for n := range 7 {
		process := living
		if n >= 5 {
			process = "dead"
		}
		waiters = append(waiters, d.request(fmt.Sprintf("%s|%d", process, n)))
	}
	for range 60 {
		d.advance()
		q := waiters[d.random.IntN(len(waiters))]
		switch d.random.IntN(5) {
		case 0, 1:
			d.acquire(q)
		case 2, 3:
			d.release(holdRelease{name: d.name, waiter: q.waiter, refuseLate: d.random.IntN(4) == 0})
		default:
			d.renew(renewRequest{key: d.name, owner: q.waiter, lease: q.lease})
		}
		if d.t.Failed() {
			return
		}
	}
	if d.step != nil {
		d.step(time.Hour)
		if n := client.Exists(ctx, d.name).Val(); n != 0 {
			d.t.Errorf("left: %v", client.HGetAll(ctx, d.name).Val())
		}
	}
}

// advance has time pass, or not.
func (d *semaphoreDriver) advance() {
	if d.step == nil {
		d.now = time.Now().UnixMicro()
		return
	}
	var step time.Duration
	switch d.random.IntN(3) {
	case 0:
		step = time.Duration(d.random.IntN(1_500_000)) * time.Microsecond
	case 1:
		step = time.Duration(d.random.IntN(2000)) * time.Microsecond
	}
	d.now = d.step(step).UnixMicro()
}

func (d *semaphoreDriver) request(waiter string) holdRequest {
	q := holdRequest{
		name: d.name, waiter: waiter, limit: 3, units: 1 + d.random.Int64N(3), lease: 2 * time.Second, shortLease: time.Second,
		heartbeat: 1200 * time.Millisecond,
	}
	if d.step == nil {
		q.lease, q.shortLease, q.heartbeat = time.Hour, time.Hour, time.Hour
	}
	switch d.random.IntN(10) {
	case 0:
		q.heartbeat = 0
	case 1:
		q.limit = 4
	}
	return q
}

// compare compares what Redis did with what the model did.
func (d *semaphoreDriver) compare(what string, err error, got, want any) {
	d.t.Helper()
	d.log = append(d.log, fmt.Sprintf("%d %s: %+v", d.now, what, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		d.t.Errorf("%s: Redis %+v, %v, the model %+v", what, got, err, want)
	}
	for _, message := range d.told {
		received, err := d.messages.ReceiveTimeout(context.Background(), time.Minute)
		if m, ok := received.(*redis.Message); err != nil || !ok || d.message(m.Payload) != d.message(message) {
			d.t.Errorf("%s: message %v, %v, the model %s", what, received, err, message)
		}
	}
	d.told = nil
}

// message returns what is compared of a message: the waiter, and the times if they are known.
func (d *semaphoreDriver) message(text string) string {
	if d.step == nil {
		return text[strings.LastIndexByte(text, ' '):]
	}
	return text
}

func (d *semaphoreDriver) acquire(q holdRequest) {
	d.t.Helper()
	got, err := d.store.acquire(context.Background(), q)
	want := d.model.acquire(d.now, q)
	if d.step == nil {
		got.now, got.until, got.token = want.now, want.until, want.token
	}
	d.compare(fmt.Sprintf("acquire %+v", q), err, got, want)
}

func (d *semaphoreDriver) release(q holdRelease) {
	d.t.Helper()
	got, err := d.store.release(context.Background(), []holdRelease{q})
	d.compare(fmt.Sprintf("release %+v", q), err, got, []bool{d.model.release(d.now, q)})
}

func (d *semaphoreDriver) renew(q renewRequest) {
	d.t.Helper()
	got, err := d.store.renew(context.Background(), []renewRequest{q})
	want := []renewResult{d.model.renew(d.now, q)}
	if d.step == nil && err == nil {
		got[0].now, got[0].until = want[0].now, want[0].until
	}
	d.compare(fmt.Sprintf("renew %+v", q), err, got, want)
}

// semaphoreTest has a semaphore in Redis, and fails the test if Redis does not answer.
type semaphoreTest struct {
	t     *testing.T
	store redisSemaphores
	name  string
	limit int64
}

func (s *semaphoreTest) acquire(waiter string, units int64) holdResult {
	s.t.Helper()
	return s.send(s.request(waiter, units))
}

func (s *semaphoreTest) request(waiter string, units int64) holdRequest {
	return holdRequest{
		name: s.name, waiter: waiter, units: units, limit: s.limit, lease: time.Minute, shortLease: time.Second, heartbeat: time.Minute,
	}
}

func (s *semaphoreTest) send(q holdRequest) holdResult {
	s.t.Helper()
	a, err := s.store.acquire(context.Background(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *semaphoreTest) release(waiter string, late bool) bool {
	s.t.Helper()
	released, err := s.store.release(context.Background(), []holdRelease{{s.name, waiter, late}})
	if err != nil {
		s.t.Fatal(err)
	}
	return released[0]
}

// listen has Redis take the process p for alive.
func (s *semaphoreTest) listen() {
	s.t.Helper()
	p := s.store.redis.redis.Subscribe(context.Background(), channelPrefix+"p")
	s.t.Cleanup(func() { _ = p.Close() })
	if _, err := p.Receive(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func eachSemaphore(t *testing.T, limit int64, test func(t *testing.T, s *semaphoreTest)) {
	t.Helper()
	eachRedis(t, func(t *testing.T, r *redisStore) {
		test(t, &semaphoreTest{t: t, store: redisSemaphores{r}, name: nameOf(semaphorePrefix, "k"), limit: limit})
	})
}

// TestSemaphoreUnits: units are granted up to the limit, in the order of arrival, and a repeated request changes nothing.
func TestSemaphoreUnits(t *testing.T) {
	eachSemaphore(t, 3, func(t *testing.T, s *semaphoreTest) {
		s.listen()
		first := s.acquire("p|1", 2)
		if !first.owned || first.token == 0 || first.until-first.now != time.Minute.Microseconds() {
			t.Errorf("2 of 3: %+v", first)
		}
		if again := s.acquire("p|1", 2); !again.owned || again.token != first.token || again.until != first.until {
			t.Errorf("the same request again: %+v, before %+v", again, first)
		}
		if s.acquire("p|2", 2).owned {
			t.Error("4 of 3 units are held")
		}
		if s.acquire("p|3", 1).owned {
			t.Error("a newcomer has overtaken a waiter")
		}
		if once := s.request("p|4", 1); s.send(func() holdRequest { once.heartbeat = 0; return once }()).owned {
			t.Error("a caller that does not wait has overtaken a waiter")
		}
		if !s.release("p|1", false) || s.release("p|1", false) {
			t.Error("released, and then not held any more")
		}
		second, third := s.acquire("p|2", 2), s.acquire("p|3", 1)
		if !second.owned || !third.owned || second.token <= first.token || third.token <= second.token {
			t.Errorf("the waiters: %+v, %+v", second, third)
		}
		for _, waiter := range []string{"p|2", "p|3"} {
			if !s.release(waiter, false) {
				t.Errorf("%s had lost its units", waiter)
			}
		}
		if n := s.store.redis.redis.Exists(context.Background(), s.name).Val(); n != 0 {
			t.Error("an idle semaphore is left in Redis")
		}
	})
}

// TestSemaphoreDeadWaiters: a waiter whose process does not listen is skipped.
func TestSemaphoreDeadWaiters(t *testing.T) {
	eachSemaphore(t, 1, func(t *testing.T, s *semaphoreTest) {
		s.listen()
		s.acquire("p|1", 1)
		s.acquire("dead|1", 1)
		s.acquire("p|2", 1)
		s.release("p|1", false)
		if !s.acquire("p|2", 1).owned {
			t.Error("it waits behind a dead waiter")
		}
		s.release("p|2", false)
	})
}

// TestSemaphoreDeadWriter: a waiter that does not fit and has died keeps the others waiting until its heartbeat is over.
func TestSemaphoreDeadWriter(t *testing.T) {
	eachSemaphore(t, maxReaders, func(t *testing.T, s *semaphoreTest) {
		s.listen()
		s.acquire("p|1", 1)
		writer := s.request("dead|1", maxReaders)
		writer.heartbeat = time.Hour
		s.send(writer)
		if s.acquire("p|2", 1).owned {
			t.Error("a reader has overtaken a writer")
		}
		writer.heartbeat = time.Millisecond
		s.send(writer) // the last time that it asks
		for deadline := time.Now().Add(time.Minute); !s.acquire("p|2", 1).owned; {
			if time.Now().After(deadline) {
				t.Fatal("waited a minute for the end of a heartbeat of 1 ms")
			}
		}
		s.release("p|1", false)
		s.release("p|2", false)
	})
}

// TestSemaphoreLateRequests: an acquire that comes to Redis after its caller has given up takes nothing, and does not queue.
// Others of the same process are served.
func TestSemaphoreLateRequests(t *testing.T) {
	eachSemaphore(t, 2, func(t *testing.T, s *semaphoreTest) {
		if s.release("p|2", true) {
			t.Error("what was never held is released")
		}
		if s.acquire("p|2", 1).owned {
			t.Error("a late request is served")
		}
		if !s.acquire("p|1", 1).owned || !s.acquire("p|3", 1).owned {
			t.Error("the other waiters of the process are refused")
		}
		if s.acquire("p|2", 1).owned {
			t.Error("a late request is served")
		}
		s.release("p|1", false)
		if !s.acquire("q|1", 1).owned {
			t.Error("a late request is in the queue")
		}
		s.release("p|3", true)
		s.release("q|1", true)
		for _, late := range []string{"p|2", "p|3", "q|1"} {
			if s.acquire(late, 1).owned {
				t.Errorf("late request %s is served", late)
			}
		}
		ttl, err := s.store.redis.redis.PTTL(context.Background(), s.name).Result()
		if err != nil || ttl > 10*time.Second || ttl <= 0 {
			t.Errorf("what remembers the late ones expires in %v, %v", ttl, err)
		}
	})
}

// TestSemaphoreLimits: who gives another limit than that with which the semaphore is in use is told. When it is idle, any limit
// is good.
func TestSemaphoreLimits(t *testing.T) {
	eachSemaphore(t, 2, func(t *testing.T, s *semaphoreTest) {
		s.listen()
		s.acquire("p|1", 1)
		other := s.request("p|2", 1)
		other.limit = 5
		if a := s.send(other); a.owned || a.limit != 2 {
			t.Errorf("another limit: %+v", a)
		}
		if s.release("p|2", false) {
			t.Error("it was granted")
		}
		if !s.acquire("p|3", 1).owned {
			t.Error("the other limit is in effect, or its waiter is in the queue")
		}
		s.release("p|1", false)
		s.release("p|3", true) // it is remembered, which is not use
		if a := s.send(other); !a.owned || a.limit != 0 {
			t.Errorf("another limit when idle: %+v", a)
		}
	})
}

// TestSemaphoreForeignKeyIsLeftAlone: a key that is no semaphore is an error, and stays as it is.
func TestSemaphoreForeignKeyIsLeftAlone(t *testing.T) {
	eachSemaphore(t, 1, func(t *testing.T, s *semaphoreTest) {
		ctx := context.Background()
		const foreign = "somebody else"
		if err := s.store.redis.redis.Set(ctx, s.name, foreign, 0).Err(); err != nil {
			t.Fatal(err)
		}
		for what, ask := range map[string]func() error{
			"acquire": func() error { _, err := s.store.acquire(ctx, s.request("p|1", 1)); return err },
			"release": func() error { _, err := s.store.release(ctx, []holdRelease{{s.name, "p|1", true}}); return err },
			"renew":   func() error { _, err := s.store.renew(ctx, []renewRequest{{s.name, "p|1", time.Minute}}); return err },
		} {
			if err := ask(); err == nil {
				t.Errorf("%s: no error", what)
			}
			if value := s.store.redis.redis.Get(ctx, s.name).Val(); value != foreign {
				t.Fatalf("%s made %q of it", what, value)
			}
		}
	})
}
