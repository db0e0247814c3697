package events

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"holdfast/lockprovider/ledger"
)

// collector commits the changes of one batch together, although the router handles each message in a goroutine of its
// own. It is a barrier that is used once. Each handler call of the batch arrives: with commit if its change is to be
// committed, else with leave. The call that arrives last settles the group, in the order of the stream, and the others wait.
type collector struct {
	settle  settle
	batch   []ledger.Admitted
	joined  []bool        // by position in the batch: the change is to be committed
	missing atomic.Int64  // calls that have not arrived
	settled chan struct{} // closed when the group is; then waiting and err are set
	waiting map[string]bool
	err     error
}

// settle has the database decide on a group of changes. It returns those whose result is not final yet, by stream ID. After
// an error nothing is known of any.
type settle func(group []ledger.Admitted) (waiting map[string]bool, err error)

// errEarlierOnTheirWay means that the database refused a change, and may take it after one that Redis admitted before.
var errEarlierOnTheirWay = errors.New("refused while earlier changes of its balances are on their way")

// newCollector returns the collector of a batch.
func newCollector(batch []ledger.Admitted, s settle) *collector {
	c := &collector{settle: s, batch: batch, joined: make([]bool, len(batch)), settled: make(chan struct{})}
	c.missing.Store(int64(len(batch)))
	return c
}

// commit arrives with the change at a position of the batch and returns when the group is settled. Its error is an errWait:
// the message has to be delivered again.
func (c *collector) commit(position int) error {
	c.joined[position] = true
	c.arrive()
	<-c.settled
	switch {
	case c.err != nil:
		return fmt.Errorf("%w: %w", errWait, c.err)
	case c.waiting != nil && c.waiting[c.batch[position].StreamID]:
		return fmt.Errorf("%w: %w", errWait, errEarlierOnTheirWay)
	}
	return nil
}

// leave ends a call, once. If the call has committed nothing, this is how it arrives; it does not wait for the others.
func (c *collector) leave(position int) {
	if !c.joined[position] {
		c.arrive()
	}
}

func (c *collector) arrive() {
	if c.missing.Add(-1) > 0 {
		return
	}
	panicked := true
	defer func() {
		if panicked { // it fails the group, and not the message whose call happened to be the last
			c.err = middleware.RecoveredPanicError{V: recover(), Stacktrace: string(debug.Stack())}
		}
		close(c.settled)
	}()
	if group := c.group(); len(group) > 0 {
		c.waiting, c.err = c.settle(group)
	}
	panicked = false
}

// group is the changes to commit, in the order of the stream.
func (c *collector) group() []ledger.Admitted {
	if !slices.Contains(c.joined, false) {
		return c.batch
	}
	var group []ledger.Admitted
	for i, change := range c.batch {
		if c.joined[i] {
			group = append(group, change)
		}
	}
	return group
}
