package schedulers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/ent"
	"holdfast/ent/schedulerjob"
)

// ErrElsewhere means that a job runs already, or has been run in this period.
var ErrElsewhere = errors.New("the job runs elsewhere, or has been run already")

// claims let each job run on one instance at a time, and once in a period, whichever instance comes first. They are rows of
// the database: that is what the instances of a deployment certainly share (each may have a Redis of its own embedded), and
// without it no job has anything to do. While Redis is down, orders still expire.
//
// They save work. That two runs of a job could overlap after all, because a clock has jumped, does no harm: each job does its
// effects so that they happen once.
//
// A lock that is freed when a job of a millisecond ends would let every instance run it, each at its own moment. So it is not
// the end of a run that admits the next one, but the time since the run began; and a lease makes up for an instance that died.
type claims struct {
	client   *ent.Client
	now      func() time.Time // see microseconds
	instance string
	lease    time.Duration
	periods  map[Job]time.Duration

	mu   sync.Mutex
	mine map[Job]bool // claimed by this process
}

// claim is a job that this process may run.
type claim struct {
	claims *claims
	job    Job
}

// claim takes a job that no instance runs. If it must be due, no instance may have begun a run in this period either.
// Otherwise the error is ErrElsewhere.
func (c *claims) claim(ctx context.Context, job Job, due bool) (*claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mine[job] {
		return nil, ErrElsewhere
	}
	claimed, err := c.take(ctx, job, due)
	if err == nil && !claimed {
		claimed, err = c.first(ctx, job, due)
	}
	if err != nil {
		return nil, fmt.Errorf("claim job %s: %w", job, err)
	}
	if !claimed {
		return nil, ErrElsewhere
	}
	c.mine[job] = true
	return &claim{claims: c, job: job}, nil
}

// early is the part of a period that may be missing, so that an instance whose timer runs a little late does not push the
// run to its next tick.
const early = 10

func (c *claims) take(ctx context.Context, job Job, due bool) (bool, error) {
	now, period := c.now(), c.periods[job]
	update := c.client.SchedulerJob.Update().Where(
		schedulerjob.ID(string(job)),
		schedulerjob.Or(
			schedulerjob.HeldUntilIsNil(),
			schedulerjob.HeldUntilLTE(now),
			schedulerjob.HeldUntilGT(now.Add(2*c.lease)), // written by a clock that had jumped
		),
	)
	if due {
		update.Where(schedulerjob.Or(
			schedulerjob.ClaimedAtIsNil(),
			schedulerjob.ClaimedAtLTE(now.Add(period/early-period)),
			schedulerjob.ClaimedAtGT(now.Add(period)),
		))
	}
	n, err := update.SetHolder(c.instance).SetClaimedAt(now).SetHeldUntil(now.Add(c.lease)).Save(ctx)
	return n == 1, err
}

// first makes sure that the job has its row, and tries again where it had none.
func (c *claims) first(ctx context.Context, job Job, due bool) (bool, error) {
	exists, err := c.client.SchedulerJob.Query().Where(schedulerjob.ID(string(job))).Exist(ctx)
	if err != nil || exists {
		return false, err
	}
	err = c.client.SchedulerJob.Create().SetID(string(job)).OnConflict().DoNothing().Exec(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // no rows: somebody was faster
		return false, err
	}
	return c.take(ctx, job, due)
}

// keep renews the claim until stop is called. The context ends if it can no longer be renewed.
func (cl *claim) keep(ctx context.Context) (held context.Context, stop func()) {
	held, lose := context.WithCancelCause(ctx)
	ticker := time.NewTicker(cl.claims.lease / 3)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		defer ticker.Stop()
		until := cl.claims.now().Add(cl.claims.lease)
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			asked := cl.claims.now()
			kept, err := cl.renew(held, asked)
			switch {
			case err == nil && kept:
				until = asked.Add(cl.claims.lease)
			case err == nil, !cl.claims.now().Before(until):
				lose(fmt.Errorf("job %s: the claim was lost: %w", cl.job, errors.Join(ErrElsewhere, err)))
				return
			}
		}
	})
	return held, func() {
		lose(nil)
		renewing.Wait()
	}
}

func (cl *claim) renew(ctx context.Context, now time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cl.claims.lease/3)
	defer cancel()
	n, err := cl.claims.client.SchedulerJob.Update().
		Where(schedulerjob.ID(string(cl.job)), schedulerjob.Holder(cl.claims.instance)).
		SetHeldUntil(now.Add(cl.claims.lease)).Save(ctx)
	return n == 1, err
}

// release lets other instances run the job once it is due again. A claim that cannot be released ends with its lease.
func (cl *claim) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	err := cl.claims.client.SchedulerJob.Update().
		Where(schedulerjob.ID(string(cl.job)), schedulerjob.Holder(cl.claims.instance)).
		ClearHeldUntil().Exec(ctx)
	cl.claims.mu.Lock()
	defer cl.claims.mu.Unlock()
	delete(cl.claims.mine, cl.job)
	return err
}
