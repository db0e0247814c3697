package load

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/experiment/claims"
)

// Generator is customers who send the shop one request after another.
type Generator struct {
	Shop    *Shop
	Dataset *Dataset
	Clients int
	// Rate is the operations a second of an open loop: each has an intended start, from which its latency counts, however
	// late a free client gets to it. So a shop that stalls cannot slow down those who measure it (coordinated omission).
	// 0 is a closed loop.
	Rate       float64
	Duration   time.Duration // 0 is no bound
	Operations int           // 0 is no bound
	Seed       uint64
	Label      string
	// History records every request and answer, and reads what was moved, for [history.Check].
	History bool
	// Progress is called after each operation, at the same time from several clients; it may be nil.
	Progress func()

	epoch time.Time // of the times of the history
}

const (
	// grace is how long customers insist on the answers they still wait for after the end.
	grace = 15 * time.Second
	// insist bounds the pause before a request that was refused as busy is repeated under its key.
	insist = 100 * time.Millisecond
	// unknownPause is the pause after no answer at all.
	unknownPause = 20 * time.Millisecond
)

// Run returns when all customers have their answers, or have given up 15 seconds after the end of the load.
func (l *Generator) Run(ctx context.Context) *Recording {
	giveUp, cancel := context.WithCancel(ctx)
	defer cancel()
	starts := l.schedule()
	recorders := make([]*recorder, l.Clients)
	var next atomic.Int64
	var clients sync.WaitGroup
	gate := make(chan struct{})
	var began time.Time
	for i := range l.Clients {
		r := newRecorder()
		recorders[i] = r
		dice := seeded(l.Seed, l.Label, i)
		clients.Go(func() {
			<-gate
			for {
				n := int(next.Add(1)) - 1
				if l.Operations > 0 && n >= l.Operations || giveUp.Err() != nil {
					return
				}
				intended, ok := l.intended(giveUp, n, began, starts)
				if !ok {
					return
				}
				l.operation(giveUp, r, dice, i, intended)
				if l.Progress != nil {
					l.Progress()
				}
			}
		})
	}
	began = time.Now()
	l.epoch = began
	close(gate)
	if l.Duration > 0 {
		timer := time.AfterFunc(l.Duration+grace, cancel)
		defer timer.Stop()
	}
	clients.Wait()
	return gather(recorders, began, l.Duration, len(starts))
}

// schedule draws the intended starts of an open loop, a Poisson process, as offsets from the beginning.
func (l *Generator) schedule() []time.Duration {
	if l.Rate <= 0 {
		return nil
	}
	dice := seeded(l.Seed, "schedule"+l.Label, 0)
	var starts []time.Duration
	for at := 0.0; ; {
		at += dice.ExpFloat64() / l.Rate
		offset := time.Duration(at * float64(time.Second))
		if l.Duration > 0 && offset >= l.Duration || l.Operations > 0 && len(starts) >= l.Operations {
			return starts
		}
		starts = append(starts, offset)
	}
}

// intended waits for the start of operation n and returns when that was meant to be; false if there is none.
func (l *Generator) intended(ctx context.Context, n int, began time.Time, starts []time.Duration) (time.Time, bool) {
	if l.Rate <= 0 {
		now := time.Now()
		return now, l.Duration == 0 || now.Sub(began) < l.Duration
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
func (l *Generator) operation(ctx context.Context, r *recorder, dice *rand.Rand, client int, intended time.Time) {
	steps := l.Dataset.Workload.next(l.Dataset, dice)
	instance := client
	var last *Request
	for _, a := range steps {
		last = a
		l.beside(ctx, r, client, instance, intended, a)
		if a.Outcome != Granted {
			break
		}
	}
	r.finished(last, intended, time.Now())
	l.afterwards(ctx, r, dice, client, last)
}

// beside asks for one thing, and at the same moment for its rival.
func (l *Generator) beside(ctx context.Context, r *recorder, client, instance int, intended time.Time, a *Request) {
	if a.rival == nil {
		l.insist(ctx, r, client, instance, intended, a)
		return
	}
	other := newRecorder()
	var done sync.WaitGroup
	// Who does two things at a time is two clients for the history: no answer was known when the other one was sent.
	done.Go(func() { l.insist(ctx, other, client+l.Clients, instance+1, intended, a.rival) })
	l.insist(ctx, r, client, instance, intended, a)
	done.Wait()
	r.join(other)
}

// insist asks for one thing until there is an answer for good, or its customer goes away.
func (l *Generator) insist(ctx context.Context, r *recorder, client, instance int, intended time.Time, a *Request) {
	a.Began = intended
	r.requests = append(r.requests, a)
	for n := 0; a.Outcome == Unanswered && ctx.Err() == nil; n++ {
		var pause time.Duration
		switch {
		case n == 0 && a.twice:
			pause = l.doubleClick(ctx, r, client, instance, a)
		case n == 0 && a.leave > 0:
			bounded, cancel := context.WithTimeout(ctx, a.leave)
			pause = l.once(bounded, r, client, instance, a)
			cancel()
			if a.Outcome == Unanswered && !a.back {
				a.Outcome = Abandoned
			}
		default:
			pause = l.once(ctx, r, client, instance, a)
		}
		if a.Outcome != Unanswered {
			return
		}
		instance++
		wait(ctx, pause/2+rand.N(pause+1))
	}
}

// doubleClick sends a request twice at the same moment, to two instances where there are two. Either may be served first, so it counts as told
// first what says less.
func (l *Generator) doubleClick(ctx context.Context, r *recorder, client, instance int, a *Request) (pause time.Duration) {
	clicks := []*Request{{}, {}}
	others := []*recorder{newRecorder(), newRecorder()}
	pauses := make([]time.Duration, len(clicks))
	var done sync.WaitGroup
	for i, click := range clicks {
		*click = *a
		done.Go(func() { pauses[i] = l.once(ctx, others[i], client+i*l.Clients, instance+i, click) })
	}
	done.Wait()
	slices.SortFunc(clicks, func(x, y *Request) int { return cmp.Compare(x.lastClaim(), y.lastClaim()) })
	for i, click := range clicks {
		r.join(others[i])
		last, _ := click.Told.Last()
		a.Told.Told(last)
		a.Outcome, a.Code = click.Outcome, click.Code // the second one says most
	}
	return max(pauses[0], pauses[1])
}

// lastClaim is what the last answer says of the change.
func (a *Request) lastClaim() claims.Claim {
	last, _ := a.Told.Last()
	return last.Change()
}

// once sends a request once. If there was no final answer, it returns how long to wait before the request is repeated.
func (l *Generator) once(ctx context.Context, r *recorder, client, instance int, a *Request) time.Duration {
	var reply answer
	sent := time.Now()
	if err := l.Shop.send(ctx, instance, a.User, l.query(a.Operation), a.input(l.Shop.currency), &reply); err != nil {
		l.note(r, client, a, sent, claims.Reply{Code: claims.NoAnswer}, nil)
		a.Told.Told(claims.Reply{Code: claims.NoAnswer}) // also where the time was up: it may be done all the same
		if ctx.Err() == nil {
			r.retried("NO_ANSWER", err.Error())
		}
		return unknownPause
	}
	p := reply.Data.R
	if len(reply.Errors) > 0 || p == nil {
		code, message := "NO_DATA", ""
		if len(reply.Errors) > 0 {
			code, message = reply.Errors[0].Extensions.Code, reply.Errors[0].Message
		}
		l.note(r, client, a, sent, claims.Reply{Code: code}, nil)
		a.Told.Told(claims.Reply{Code: code})
		r.retried(code, message)
		return unknownPause
	}
	r.waits = append(r.waits, p.Meta.LockWaitMs)
	r.attempts += int64(p.Meta.Attempts)
	r.answers++
	if len(p.UserErrors) == 0 {
		if a.Operation == PlaceOrder && p.Object == nil { // still in the waiting line: ask again
			l.note(r, client, a, sent, claims.Reply{Code: "WAITING"}, nil)
			a.Told.Told(claims.Reply{Code: "WAITING"})
			r.retried("WAITING", "")
			return unknownPause
		}
		l.note(r, client, a, sent, p.reply(a.Operation), p)
		a.Told.Told(p.reply(a.Operation))
		a.Outcome = Granted
		return 0
	}
	l.note(r, client, a, sent, p.reply(a.Operation), p)
	a.Told.Told(p.reply(a.Operation))
	e := p.UserErrors[0]
	if e.Retryable && e.RetryAfterMs != nil { // else something must change first, which this load does not wait for
		r.retried(e.Code, "")
		return min(time.Duration(*e.RetryAfterMs)*time.Millisecond, insist)
	}
	a.Outcome, a.Code = Refused, e.Code
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
