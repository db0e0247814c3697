package experiment

import (
	"sync"
	"sync/atomic"
	"time"

	"holdfast/experiment/plans"
	"holdfast/experiment/report"
)

// Progress is how far an experiment has come.
type Progress struct {
	Case  plans.Case `json:"case"`
	Round int        `json:"round"`
	// Run counts from 1 to Runs.
	Run  int `json:"run"`
	Runs int `json:"runs"`
	// Operations have been answered in this run.
	Operations int64 `json:"operations"`
	// Finished is the run's result, nil before its end.
	Finished *report.Run `json:"finished,omitempty"`
}

func (r *Runner) tell(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

// counter tells now and then how many operations are done, one teller at a time.
type counter struct {
	done atomic.Int64
	mu   sync.Mutex
	last time.Time
	tell func(done int64)
}

// tellEvery is how often progress is told within a run.
const tellEvery = 200 * time.Millisecond

func newCounter(tell func(done int64)) *counter { return &counter{tell: tell, last: time.Now()} }

func (c *counter) add() {
	done := c.done.Add(1)
	if !c.mu.TryLock() { // somebody else is at it
		return
	}
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.last) >= tellEvery {
		c.last = now
		c.tell(done)
	}
}
