package commerce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/ent"
	"holdfast/ent/hold"
)

// holdLook is how often an instance looks for holds whose deadline has passed. It is chosen: with the change that follows, what was
// held is for sale within a second, and a look that finds nothing reads one entry of an index.
const holdLook = 250 * time.Millisecond

// holdBatch bounds how many holds are read at a time.
const holdBatch = 200

// Run ends holds as soon as their deadline has passed, until ctx ends. Every instance does so for the holds of all: which one has
// made a hold does not matter, and of several that end it at the same time, one does. What fails is tried again, here and by the
// job expire. The log tells the first failure of a series, and its end.
func (s *Holds) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(holdLook)
	defer ticker.Stop()
	for failing := false; ; {
		var err error
		for isFull := true; isFull; {
			var done, failed int
			done, failed, err = s.ExpireOverdue(ctx, holdBatch)
			isFull = err == nil && done+failed == holdBatch
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.WarnContext(ctx, "holds cannot be ended at their deadlines", "error", err)
		case err == nil && failing:
			log.InfoContext(ctx, "holds end at their deadlines again")
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// ExpireOverdue ends the holds whose deadline has passed, at most limit of them, those that have been due for longest first. A hold
// that cannot be ended is due again after a pause, which grows with each attempt: so it keeps nobody waiting. It notes why.
//
// It returns how many have ended, or have been extended meanwhile, and how many could not be ended. The error is that of a store,
// or the end of ctx. Calls may overlap, on any number of instances.
func (s *Holds) ExpireOverdue(ctx context.Context, limit int) (done, failed int, err error) {
	rows, err := withHoldLines(s.Client.Hold.Query().Where(hold.StatusEQ(hold.StatusACTIVE), hold.NextAttemptAtLTE(s.now()))).
		Order(hold.ByNextAttemptAt(), hold.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("find overdue holds: %w", err)
	}
	return inParallel(ctx, rows, s.expire, func(row *ent.Hold) string { return "hold " + row.ID })
}

// expire ends a hold whose deadline has passed, and reports whether it has ended or was extended. The error is one that says nothing
// about the hold: a store is away, or ctx has ended.
func (s *Holds) expire(ctx context.Context, row *ent.Hold) (done bool, err error) {
	// The ID is that of the deadline: an extension makes another expiry of it.
	err = s.end(ctx, row, hold.StatusEXPIRED, stepID(row.ID, "expire\x00"+row.ExpiresAt.UTC().Format(time.RFC3339Nano)))
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err == nil, errors.Is(err, errHoldAdvanced):
		return true, nil
	case isStoreAway(err):
		return false, err
	}
	attempts := row.Attempts + 1
	perr := s.Client.Hold.Update().
		Where(hold.ID(row.ID), hold.StatusEQ(hold.StatusACTIVE), hold.ExpiresAt(row.ExpiresAt), hold.Attempts(row.Attempts)).
		SetNextAttemptAt(s.now().Add(pauseAfter(attempts))).SetAttempts(attempts).SetLastError(lastError(err)).Exec(ctx)
	if perr != nil {
		return false, fmt.Errorf("postpone the hold: %w", perr)
	}
	return false, nil
}

// CountStuck returns how many active holds there are that several attempts in a row have failed to end after their deadline.
func (s *Holds) CountStuck(ctx context.Context) (int, error) {
	return s.Client.Hold.Query().Where(hold.StatusEQ(hold.StatusACTIVE), hold.AttemptsGTE(failedAttempts)).Count(ctx)
}
