package events

import (
	"context"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/processedevent"
)

// once runs the effect of an event and notes that in the same transaction: either both are there or neither. An event that
// has been noted is done. (Noting it before, as Watermill's Deduplicator does, would lose those whose handler then fails.)
func once(ctx context.Context, client *ent.Client, name string, e Event, effect func(tx *ent.Tx) error) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	if err := tx.ProcessedEvent.Create().SetID(name + ":" + e.ID).Exec(ctx); err != nil {
		_ = tx.Rollback() // a failed rollback ends the connection, and with it the transaction
		if ent.IsConstraintError(err) {
			return nil
		}
		return fmt.Errorf("note event: %w", err)
	}
	if err := effect(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// ForgetProcessed deletes the notes about events that were processed before a time, and returns how many. An event that is
// delivered again after that counts twice: keep them for longer than the broker keeps its messages.
func ForgetProcessed(ctx context.Context, client *ent.Client, before time.Time) (int, error) {
	n, err := client.ProcessedEvent.Delete().Where(processedevent.ProcessedAtLT(before)).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("forget processed events: %w", err)
	}
	return n, nil
}
