package redisfirst

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// Confirmations delivers the results of changes to the callers in this process that wait for them, and to other processes.
// It is safe for concurrent use.
type Confirmations struct {
	redis    redis.UniversalClient
	messages *redis.PubSub
	stop     context.CancelFunc
	done     chan struct{}

	mu   sync.Mutex
	byID map[uuid.UUID][]chan Result
}

// Result is what became of one stream entry of a change. A change may have several entries: what was refused may be sent
// again. So a result says nothing about another entry of the same change.
type Result struct {
	StreamID string // "" if the process that tells is of an earlier version
	// Err is nil if the database holds the change, [ledger.ErrAlreadyApplied] if it held the change before, or why it refused
	// this entry.
	Err error
	// Positions are those of [ledger.Admitted]. They are nil if Err is not, if the change had been written before, and if the process
	// that tells is of an earlier version.
	Positions []int64
}

// persistedChannel is the prefix of the channels on which processes tell each other; the instance follows.
const persistedChannel = "holdfast:persisted:"

// resubscribePause bounds how fast a broken subscription is retried.
const resubscribePause = 100 * time.Millisecond

// resultMessage is one change's result on its way to another process.
type resultMessage struct {
	ID      uuid.UUID       `json:"id"`
	Entry   string          `json:"entry,omitempty"`
	Applied bool            `json:"applied,omitempty"` // before, from another stream entry
	Reason  json.RawMessage `json:"reason,omitempty"`  // a rejection
	// Positions are of the moves.
	Positions []int64 `json:"positions,omitempty"`
}

func (m resultMessage) result() Result {
	r := Result{StreamID: m.Entry, Positions: m.Positions}
	switch {
	case m.Applied:
		r.Err = ledger.ErrAlreadyApplied
	case m.Reason != nil:
		r.Err = ledger.DecodeRejection(string(m.Reason))
	}
	return r
}

// NewConfirmations subscribes to what other processes tell this instance, until Close is called.
func NewConfirmations(r redis.UniversalClient, instance string) *Confirmations {
	open, stop := context.WithCancel(context.Background())
	c := &Confirmations{
		redis: r, messages: r.Subscribe(open, persistedChannel+instance), stop: stop, done: make(chan struct{}),
		byID: map[uuid.UUID][]chan Result{},
	}
	go c.listen(open)
	return c
}

// listen reads messages until Close is called. It reads with Receive, since the channel that go-redis offers drops messages
// when it is full. What is lost with a connection is not missed: callers look for themselves.
func (c *Confirmations) listen(open context.Context) {
	defer close(c.done)
	for {
		message, err := c.messages.Receive(context.Background())
		switch {
		case errors.Is(err, redis.ErrClosed):
			return
		case err != nil: // the next Receive reconnects
			select {
			case <-time.After(resubscribePause):
			case <-open.Done():
			}
		default:
			if m, ok := message.(*redis.Message); ok {
				c.receive(m.Payload)
			}
		}
	}
}

func (c *Confirmations) receive(payload string) {
	var messages []resultMessage
	if json.Unmarshal([]byte(payload), &messages) != nil {
		return // not ours: callers look for themselves
	}
	for _, m := range messages {
		c.deliver(m.ID, m.result())
	}
}

// Close ends the subscription.
func (c *Confirmations) Close() error {
	c.stop()
	err := c.messages.Close()
	<-c.done
	return err
}

// undelivered is how many results of one change wait for one caller. They are of different entries; few changes have two.
const undelivered = 4

// Expect returns the channel on which the results of a change's entries are delivered. The caller must call forget when it
// does not wait any more.
func (c *Confirmations) Expect(id uuid.UUID) (results <-chan Result, forget func()) {
	ch := make(chan Result, undelivered)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[id] = append(c.byID[id], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		rest := slices.DeleteFunc(c.byID[id], func(other chan Result) bool { return other == ch })
		if len(rest) == 0 {
			delete(c.byID, id)
			return
		}
		c.byID[id] = rest
	}
}

func (c *Confirmations) deliver(id uuid.UUID, result Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.byID[id] {
		select {
		case ch <- result:
		default: // the caller is busy, and will look for itself
		}
	}
}

// Tell delivers the results of a batch: to callers in this process, which is the instance here, directly, and to others
// with one message an instance. A message that is lost costs a caller some time, not its result.
func (c *Confirmations) Tell(ctx context.Context, here string, batch []ledger.Admitted, results []error) {
	elsewhere := map[string][]resultMessage{}
	for i, a := range batch {
		positions := a.Positions
		if results[i] != nil {
			positions = nil
		}
		if a.Instance == here {
			c.deliver(a.Change.ID, Result{StreamID: a.StreamID, Err: results[i], Positions: positions})
			continue
		}
		m := resultMessage{Positions: positions, ID: a.Change.ID, Entry: a.StreamID, Applied: errors.Is(results[i], ledger.ErrAlreadyApplied)}
		if results[i] != nil && !m.Applied {
			m.Reason = json.RawMessage(ledger.EncodeRejection(results[i]))
		}
		elsewhere[a.Instance] = append(elsewhere[a.Instance], m)
	}
	if len(elsewhere) == 0 {
		return
	}
	pipe := c.redis.Pipeline()
	for instance, messages := range elsewhere {
		body, err := json.Marshal(messages)
		if err != nil {
			panic(err) // plain values
		}
		pipe.Publish(ctx, persistedChannel+instance, body)
	}
	_, _ = pipe.Exec(ctx)
}
