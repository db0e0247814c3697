package events

import (
	"context"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/processedevent"
)

// once makes the effect of an event and a row of ProcessedEvent in one transaction, so that either both are there or neither.
// If the row is there already, once does nothing. Watermill's Deduplicator writes its record before the handler runs: an event
// whose handler then fails would be lost.
func once(
	ctx context.Context, client *ent.Client, now time.Time, name string, e Event, effect func(tx *ent.Tx) error,
) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	if err := tx.ProcessedEvent.Create().SetID(name + ":" + e.ID).SetProcessedAt(now).Exec(ctx); err != nil {
		_ = tx.Rollback() // a failed rollback ends the connection, and with it the transaction
		if ent.IsConstraintError(err) {
			return nil
		}
		return fmt.Errorf("record event: %w", err)
	}
	if err := effect(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// ForgetProcessed deletes the rows of events that were processed before a time, and returns how many. If an event is delivered
// again after that, its effect is made twice. So keep the rows for longer than the broker redelivers messages.
func ForgetProcessed(ctx context.Context, client *ent.Client, before time.Time) (int, error) {
	n, err := client.ProcessedEvent.Delete().Where(processedevent.ProcessedAtLT(before)).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("forget processed events: %w", err)
	}
	return n, nil
}
