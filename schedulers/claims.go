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

// claims let each job run on one instance at a time, and once in a period, on the instance that comes first. They are rows of
// the database. The instances of a deployment share the database for certain, while each may have an embedded Redis of its
// own, and without the database no job has anything to do. While Redis is down, orders still expire.
//
// Claims save work. They are written and compared by the clock of the database. Two runs of a job may overlap after all if that
// clock has jumped. That does no harm: each job makes each of its effects once.
//
// A lock would not do. It is free when a job of a millisecond ends, so that every instance would run the job, each at its own
// moment. So the next run may begin a period after the last one began, and not when that one ends. A claim has a lease, for
// the case that its instance dies.
type claims struct {
	client   *ent.Client
	now      func() time.Time // see microseconds
	instance string
	lease    time.Duration
	periods  map[Job]time.Duration

	mu   sync.Mutex
	held map[Job]bool // by this process
}

// claim is a job that this process may run.
type claim struct {
	claims *claims
	job    Job
	until  time.Time // the end of the first lease
}

// claim takes a job that no instance runs. If it must be due, no instance may have begun a run in this period either.
// Otherwise the error is ErrElsewhere.
func (c *claims) claim(ctx context.Context, job Job, due bool) (*claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[job] {
		return nil, ErrElsewhere
	}
	until := c.now().Add(c.lease) // or a little later
	claimed, err := c.take(ctx, job, due)
	if err == nil && !claimed {
		claimed, err = c.createAndTake(ctx, job, due)
	}
	if err != nil {
		return nil, fmt.Errorf("claim job %s: %w", job, err)
	}
	if !claimed {
		return nil, ErrElsewhere
	}
	c.held[job] = true
	return &claim{claims: c, job: job, until: until}, nil
}

// tolerance is the part of a period, one in so many, that a run may begin too early. Without it, an instance whose timer was a
// little late the last time would find the job not due, and come back a whole period later.
const tolerance = 10

// take claims the row of a job, if the row is there and no instance holds it. If the job must be due, no instance may have
// begun a run in this period either.
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
			schedulerjob.ClaimedAtLTE(now.Add(period/tolerance-period)),
			schedulerjob.ClaimedAtGT(now.Add(period)),
		))
	}
	n, err := update.SetHolder(c.instance).SetClaimedAt(now).SetHeldUntil(now.Add(c.lease)).Save(ctx)
	return n == 1, err
}

// createAndTake creates the row of a job that has none, and takes it.
func (c *claims) createAndTake(ctx context.Context, job Job, due bool) (bool, error) {
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

// keepRenewed renews the claim until stop is called. The context that it returns ends when the claim is lost.
func (cl *claim) keepRenewed(ctx context.Context) (held context.Context, stop func()) {
	held, lose := context.WithCancelCause(ctx)
	ticker := time.NewTicker(cl.claims.lease / 3)
	lost := fmt.Errorf("job %s: the claim was lost: %w", cl.job, ErrElsewhere)
	// By the end of the lease another instance may begin, whatever a renewal is waiting for.
	end := time.AfterFunc(cl.until.Sub(cl.claims.now()), func() { lose(lost) })
	var renewing sync.WaitGroup
	renewing.Go(func() {
		defer ticker.Stop()
		defer end.Stop()
		until := cl.until
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			requested := cl.claims.now()
			renewed, err := cl.renew(held, requested)
			switch {
			case err == nil && renewed:
				until = requested.Add(cl.claims.lease)
				end.Reset(until.Sub(cl.claims.now()))
			case err == nil, !cl.claims.now().Before(until):
				lose(errors.Join(lost, err))
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterRunTimeout)
	defer cancel()
	err := cl.claims.client.SchedulerJob.Update().
		Where(schedulerjob.ID(string(cl.job)), schedulerjob.Holder(cl.claims.instance)).
		ClearHeldUntil().Exec(ctx)
	cl.claims.mu.Lock()
	defer cl.claims.mu.Unlock()
	delete(cl.claims.held, cl.job)
	return err
}
