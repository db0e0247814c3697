package experiment

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// load is customers who ask the shop for one thing after another.
type load struct {
	shop    *shop
	world   *world
	clients int
	// rate is the operations a second of an open loop: each has an intended start, from which its latency counts, however
	// late a free client gets to it. So a shop that stalls cannot slow down those who measure it (coordinated omission).
	// 0 is a closed loop.
	rate       float64
	duration   time.Duration // 0 is no bound
	operations int           // 0 is no bound
	seed       uint64
	label      string
	// progress is called after each operation, at the same time from several clients; it may be nil.
	progress func()
}

const (
	// grace is how long customers insist on the answers they still wait for after the end.
	grace = 15 * time.Second
	// insist bounds the pause before a request that was refused as busy is repeated under its key.
	insist = 100 * time.Millisecond
	// unknownPause is the pause after no answer at all.
	unknownPause = 20 * time.Millisecond
)

// run returns when all customers have their answers, or have given up after the grace period.
func (l *load) run(ctx context.Context) *recording {
	giveUp, cancel := context.WithCancel(ctx)
	defer cancel()
	starts := l.schedule()
	recorders := make([]*recorder, l.clients)
	var next atomic.Int64
	var clients sync.WaitGroup
	gate := make(chan struct{})
	var began time.Time
	for i := range l.clients {
		r := newRecorder()
		recorders[i] = r
		dice := seeded(l.seed, l.label, i)
		clients.Go(func() {
			<-gate
			for {
				n := int(next.Add(1)) - 1
				if l.operations > 0 && n >= l.operations || giveUp.Err() != nil {
					return
				}
				intended, ok := l.intended(giveUp, n, began, starts)
				if !ok {
					return
				}
				l.operation(giveUp, r, dice, i, intended)
				if l.progress != nil {
					l.progress()
				}
			}
		})
	}
	began = time.Now()
	close(gate)
	if l.duration > 0 {
		timer := time.AfterFunc(l.duration+grace, cancel)
		defer timer.Stop()
	}
	clients.Wait()
	return gather(recorders, began, l.duration, len(starts))
}

// schedule draws the intended starts of an open loop, a Poisson process, as offsets from the beginning.
func (l *load) schedule() []time.Duration {
	if l.rate <= 0 {
		return nil
	}
	dice := seeded(l.seed, "schedule"+l.label, 0)
	var starts []time.Duration
	for at := 0.0; ; {
		at += dice.ExpFloat64() / l.rate
		offset := time.Duration(at * float64(time.Second))
		if l.duration > 0 && offset >= l.duration || l.operations > 0 && len(starts) >= l.operations {
			return starts
		}
		starts = append(starts, offset)
	}
}

// intended waits for the start of operation n and returns when that was meant to be; false where there is none.
func (l *load) intended(ctx context.Context, n int, began time.Time, starts []time.Duration) (time.Time, bool) {
	if l.rate <= 0 {
		now := time.Now()
		return now, l.duration == 0 || now.Sub(began) < l.duration
	}
	if n >= len(starts) {
		return time.Time{}, false
	}
	at := began.Add(starts[n])
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return at, true
	case <-ctx.Done():
		return time.Time{}, false
	}
}

// operation asks for one thing, of several steps perhaps, each until there is an answer for good.
func (l *load) operation(ctx context.Context, r *recorder, dice *rand.Rand, client int, intended time.Time) {
	steps := l.world.workload.next(l.world, dice)
	instance := client // sticks to one instance as long as that answers
	var last *ask
	for _, a := range steps {
		last = a
		a.began = intended
		r.asks = append(r.asks, a)
		for a.outcome == unanswered && ctx.Err() == nil {
			pause := l.once(ctx, r, instance, a)
			if a.outcome != unanswered {
				break
			}
			instance++
			wait(ctx, pause/2+rand.N(pause+1))
		}
		if a.outcome != granted {
			break
		}
	}
	r.finished(last, intended, time.Now())
}

// once sends a request once, and returns how long to wait before it is repeated where there was no answer for good.
func (l *load) once(ctx context.Context, r *recorder, instance int, a *ask) time.Duration {
	var reply answer
	if err := l.shop.send(ctx, instance, a.user, mutations[a.operation], a.input(l.shop.currency), &reply); err != nil {
		if ctx.Err() == nil {
			r.trouble("NO_ANSWER", err.Error())
		}
		return unknownPause
	}
	p := reply.Data.R
	if len(reply.Errors) > 0 || p == nil {
		code, message := "NO_DATA", ""
		if len(reply.Errors) > 0 {
			code, message = reply.Errors[0].Extensions.Code, reply.Errors[0].Message
		}
		r.trouble(code, message)
		return unknownPause
	}
	r.waits = append(r.waits, p.Meta.LockWaitMs)
	r.attempts += int64(p.Meta.Attempts)
	r.answers++
	if len(p.UserErrors) == 0 {
		if a.operation == placeOrder && p.Object == nil { // still in the waiting line: ask again
			r.trouble("WAITING", "")
			return unknownPause
		}
		a.outcome = granted
		if p.Object != nil && a.operation != chargePoints {
			a.answered = p.Object.ID
		}
		return 0
	}
	e := p.UserErrors[0]
	if e.Retryable {
		r.trouble(e.Code, "")
		pause := unknownPause
		if e.RetryAfterMs != nil {
			pause = min(time.Duration(*e.RetryAfterMs)*time.Millisecond, insist)
		}
		return pause
	}
	a.outcome, a.code = refused, e.Code
	return 0
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
