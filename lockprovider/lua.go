package lockprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock/subscription"
)

// lua keeps nobody out: one script in Redis checks and applies all moves at once, and appends the change to a stream that
// persisters write to the database in groups. Redis admits, the database confirms: with AckPersisted, Execute returns
// after the commit; with AckAccepted right after the script.
type lua struct {
	admission *Admission
	waiters   *Waiters
	ledger    *Ledger
	settings  Settings
}

// Ack says when a Redis-first change returns.
type Ack string

const (
	// AckPersisted returns after the commit.
	AckPersisted Ack = "persisted"
	// AckAccepted returns when Redis has admitted the change; a crash of Redis before the commit loses it.
	AckAccepted Ack = "accepted"
)

// firstLook is when a waiter first looks at the database on its own, in case that the word was lost; each further look
// waits twice as long.
const firstLook = 250 * time.Millisecond

func newLua(d Deps) (Provider, error) {
	return &lua{admission: d.admission, waiters: d.waiters, ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *lua) Execute(ctx context.Context, c Change) (Receipt, error) {
	verdict, leave := p.waiters.expect(c.ID) // before the script: the word may come at once
	defer leave()
	receipt, err := p.admit(ctx, c)
	if err != nil {
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	if p.settings.Ack == AckAccepted && !c.Confirm && !receipt.Replayed {
		return receipt, nil
	}
	return p.confirmed(ctx, c, receipt, verdict)
}

// admit runs the script, and first creates from the database what Redis lacks.
func (p *lua) admit(ctx context.Context, c Change) (Receipt, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
	defer cancel()
	for {
		got, err := p.admission.admit(bounded, c)
		if err == nil {
			return Receipt{
				ChangeID: c.ID, State: Accepted, Strategy: Lua, Attempts: 1, Replayed: got.replayed,
				Balances: got.amounts, Payload: c.Record.Payload,
			}, nil
		}
		if !errors.Is(err, errMissing) {
			return Receipt{}, err
		}
		levels, err := p.ledger.Levels(bounded, c.Moves)
		if err != nil {
			return Receipt{}, p.ledger.failure(bounded, err)
		}
		_, inFlight, err := p.admission.Prime(bounded, levels)
		if err != nil {
			return Receipt{}, err
		}
		if inFlight == 0 {
			continue
		}
		if err := pause(bounded, jitter(p.settings.Poll)); err != nil { // until they are persisted
			return Receipt{}, redisFailure(bounded, err)
		}
	}
}

// refusedUnlessApplied makes sure that a refusal by Redis is not one of a change that succeeded before Redis forgot it.
func refusedUnlessApplied(ctx context.Context, l *Ledger, c Change, err error) (Receipt, error) {
	if cerr := ctx.Err(); cerr != nil {
		return Receipt{}, cerr
	}
	if errors.Is(err, ErrLockTimeout) || errors.Is(err, ErrIDReused) {
		return Receipt{}, err
	}
	first, found, rerr := l.Replay(ctx, c)
	switch {
	case errors.Is(rerr, ErrIDReused):
		return Receipt{}, rerr
	case rerr == nil && found:
		return first, nil
	}
	return Receipt{}, err
}

// confirmed waits for the database's word, told by the persister or, where that is lost, found in the change log. After
// the bound, the answer is that the change is accepted.
func (p *lua) confirmed(ctx context.Context, c Change, receipt Receipt, verdict <-chan error) (Receipt, error) {
	deadline := time.NewTimer(p.settings.PersistWait)
	defer deadline.Stop()
	next := firstLook
	if receipt.Replayed {
		next = 0 // the word has most likely been given already
	}
	look := time.NewTimer(next)
	defer look.Stop()
	for {
		select {
		case err := <-verdict:
			switch {
			case err == nil && receipt.Replayed:
				look.Reset(0) // the record that was written is that of the first request, not of this repeat
			case err == nil:
				receipt.State = Committed
				return receipt, nil
			case errors.Is(err, ErrAlreadyApplied):
				first, found, err := p.ledger.Replay(ctx, c)
				if err == nil && !found {
					err = fmt.Errorf("%w: change %s was applied before and is not in the change log", ErrUnavailable, c.ID)
				}
				return first, err
			default:
				return Receipt{}, err
			}
		case <-look.C:
			if first, found, err := p.ledger.Replay(ctx, c); errors.Is(err, ErrIDReused) {
				return Receipt{}, err
			} else if err == nil && found {
				// The amounts stay those that Redis told: persisters on several instances commit in another order.
				receipt.State, receipt.Payload, receipt.Admission = Committed, first.Payload, first.Admission
				return receipt, nil
			}
			if err := p.admission.verdict(ctx, c.ID); err != nil {
				return Receipt{}, err
			}
			next = max(2*next, firstLook)
			look.Reset(next)
		case <-deadline.C:
			return p.unconfirmed(ctx, c, receipt)
		case <-ctx.Done():
			return Receipt{}, ctx.Err()
		}
	}
}

// unconfirmed is the answer to a change that the database has not confirmed in time: it is accepted. It is not where the next
// step needs the commit, nor where Redis has lost it meanwhile: then nobody is left to persist it.
func (p *lua) unconfirmed(ctx context.Context, c Change, receipt Receipt) (Receipt, error) {
	if c.Confirm {
		return Receipt{}, fmt.Errorf("%w: change %s is not committed after %s", ErrUnavailable, c.ID, p.settings.PersistWait)
	}
	bounded, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	known, err := p.admission.redis.Exists(bounded, p.admission.memo(c.ID)).Result()
	if err != nil {
		return Receipt{}, redisFailure(ctx, err)
	}
	if known == 0 {
		return Receipt{}, fmt.Errorf("%w: redis has lost change %s before its commit", ErrUnavailable, c.ID)
	}
	if receipt.Replayed {
		first, err := p.admission.inStream(bounded, c.ID)
		if err != nil {
			return Receipt{}, err
		}
		if first != nil { // else it is being persisted this very moment
			receipt.Payload = first
		}
	}
	return receipt, nil
}

// Fate is what Redis knows of a change.
type Fate struct {
	State   FateState
	Reason  error           // of FateFailed
	Payload json.RawMessage // the record's, where it is still known
}

// FateState is how far a change has come in Redis.
type FateState string

// What Redis may know of a change.
const (
	FateUnknown  FateState = ""
	FateAdmitted FateState = "admitted" // and perhaps persisted: the change log tells
	FateFailed   FateState = "failed"   // admitted, refused by the database, taken back
)

// Fate looks up what became of a change.
func (a *Admission) Fate(ctx context.Context, id uuid.UUID) (Fate, error) {
	memo, err := a.redis.HMGet(ctx, a.memo(id), "state", "answer", "payload").Result()
	if err != nil {
		return Fate{}, redisFailure(ctx, err)
	}
	state, _ := memo[0].(string)
	switch FateState(state) {
	case FateFailed:
		answer, _ := memo[1].(string)
		payload, _ := memo[2].(string)
		return Fate{State: FateFailed, Reason: decodeRejection(answer), Payload: json.RawMessage(payload)}, nil
	case FateAdmitted:
		payload, err := a.inStream(ctx, id)
		return Fate{State: FateAdmitted, Payload: payload}, err
	}
	return Fate{}, nil
}

// inStream finds the payload of a change that waits to be persisted; nil where it does not wait any more. The stream is as
// long as the backlog.
func (a *Admission) inStream(ctx context.Context, id uuid.UUID) (json.RawMessage, error) {
	messages, err := a.redis.XRangeN(ctx, a.stream(), "-", "+", a.settings.Backlog).Result()
	if err != nil {
		return nil, redisFailure(ctx, err)
	}
	for _, p := range a.keys().parse(messages) {
		if p.Change.ID == id {
			return p.Change.Record.Payload, nil
		}
	}
	return nil, nil
}

// verdict returns why the database refused a change, nil where nothing is known of that.
func (a *Admission) verdict(ctx context.Context, id uuid.UUID) error {
	memo, err := a.redis.HMGet(ctx, a.memo(id), "state", "answer").Result()
	if err != nil || memo[0] != string(FateFailed) {
		return nil //nolint:nilerr // Redis does not answer: whoever waits goes on waiting, within its bound
	}
	answer, _ := memo[1].(string)
	return decodeRejection(answer)
}

// Waiters are those in this process who wait for the database to confirm their changes.
type Waiters struct {
	redis        redis.UniversalClient
	subscription *subscription.Subscription

	mu   sync.Mutex
	byID map[uuid.UUID][]chan error
}

// persistedChannel is the prefix of the channels on which persisters tell other processes; the instance follows.
const persistedChannel = "holdfast:persisted:"

// verdictMessage is one change's verdict on its way to another process.
type verdictMessage struct {
	ID      uuid.UUID       `json:"id"`
	Applied bool            `json:"applied,omitempty"` // before, from another admission
	Reason  json.RawMessage `json:"reason,omitempty"`  // a Rejected
}

// NewWaiters listens for what other processes persisted for this instance. Close ends it.
func NewWaiters(r redis.UniversalClient, instance string) *Waiters {
	w := &Waiters{redis: r, byID: map[uuid.UUID][]chan error{}}
	w.subscription = subscription.Open(r, persistedChannel+instance, func(payload string) {
		var messages []verdictMessage
		if json.Unmarshal([]byte(payload), &messages) != nil {
			return // not ours: waiters look for themselves
		}
		for _, m := range messages {
			w.tell(m.ID, m.verdict())
		}
	}, func(bool) {})
	return w
}

func (m verdictMessage) verdict() error {
	switch {
	case m.Applied:
		return ErrAlreadyApplied
	case m.Reason != nil:
		return decodeRejection(string(m.Reason))
	}
	return nil
}

// Close stops listening.
func (w *Waiters) Close() error { return w.subscription.Close() }

// expect returns where the verdict on a change will be told; leave must be called when nobody waits any more.
func (w *Waiters) expect(id uuid.UUID) (verdict <-chan error, leave func()) {
	ch := make(chan error, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byID[id] = append(w.byID[id], ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.byID[id], func(c chan error) bool { return c == ch })
		if len(rest) == 0 {
			delete(w.byID, id)
			return
		}
		w.byID[id] = rest
	}
}

func (w *Waiters) tell(id uuid.UUID, verdict error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.byID[id] {
		select {
		case ch <- verdict:
		default: // told before
		}
	}
}

// Tell gives the verdicts on a batch to those who wait for them: here directly, elsewhere with one message an instance. A
// lost message costs a waiter some time, not its answer.
func (w *Waiters) Tell(ctx context.Context, here string, batch []Pending, verdicts []error) {
	elsewhere := map[string][]verdictMessage{}
	for i, p := range batch {
		if p.Instance == here {
			w.tell(p.Change.ID, verdicts[i])
			continue
		}
		m := verdictMessage{ID: p.Change.ID, Applied: errors.Is(verdicts[i], ErrAlreadyApplied)}
		if verdicts[i] != nil && !m.Applied {
			m.Reason = json.RawMessage(encodeRejection(verdicts[i]))
		}
		elsewhere[p.Instance] = append(elsewhere[p.Instance], m)
	}
	if len(elsewhere) == 0 {
		return
	}
	pipe := w.redis.Pipeline()
	for instance, messages := range elsewhere {
		body, err := json.Marshal(messages)
		if err != nil {
			panic(err) // plain values
		}
		pipe.Publish(ctx, persistedChannel+instance, body)
	}
	_, _ = pipe.Exec(ctx)
}
