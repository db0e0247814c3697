package commerce

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// operation is a mutation under an idempotency key of a user. A mutation that is one change needs no row for it: the change
// has the operation's ID, and the change log is its record. Others are recorded in the table of operations: before their first
// step if they have several, else in the transaction of their effect.
type operation struct {
	id          uuid.UUID
	fingerprint string
	bounded     bool // see waitingBriefly
}

// newOperation returns the operation of a request. A key that is the nil UUID is none: the request is carried out whenever it
// comes.
func newOperation(v Viewer, name string, key uuid.UUID, request any) operation {
	if key == uuid.Nil {
		return operation{}
	}
	return operation{id: operationID(v, name, key), fingerprint: fingerprint(request)}
}

func (o operation) keyed() bool { return o.id != uuid.Nil }

// request is the fingerprint of the steps that the operation does: of two operations, one does a step.
func (o operation) request() string { return o.id.String() }

// objectID names the object that the operation creates, so that a repeat cannot create a second one.
func (o operation) objectID(prefix string) string {
	if !o.keyed() {
		return newID(prefix)
	}
	return idOf(prefix, o.id)
}

// waitingBriefly is the operation of one that writes products: its record waits for rowWait at most for another one that records the same, as
// other statements of such writers do.
func (o operation) waitingBriefly() operation {
	o.bounded = true
	return o
}

func (o operation) record(ctx context.Context, c *ent.OperationClient, now time.Time) error {
	create := c.Create().SetID(o.id).SetFingerprint(o.fingerprint).SetCreatedAt(now)
	if !o.bounded {
		return create.Exec(ctx)
	}
	_, err := lockRows(ctx, create.Save)
	return err
}

// recorded reports whether an operation has been recorded. The error is IDEMPOTENCY_MISMATCH if its key was used for another
// request.
func (c *core) recorded(ctx context.Context, o operation) (bool, error) {
	if !o.keyed() {
		return false, nil
	}
	row, err := orNil(c.Client.Operation.Get(ctx, o.id))
	switch {
	case err != nil:
		return false, fmt.Errorf("look up the idempotency key: %w", err)
	case row == nil:
		return false, nil
	case row.Fingerprint != o.fingerprint:
		return false, keyReused()
	}
	if err := c.Ledger.Replicated(ctx); err != nil { // or it may be lost with this server, and what it stands for
		return false, translate(err, lockprovider.Receipt{})
	}
	return true, nil
}

// begin records an operation before its first step, and reports whether it had been recorded before. Of two that come at the
// same moment, one records it.
func (c *core) begin(ctx context.Context, o operation) (repeat bool, err error) {
	if !o.keyed() {
		return false, nil
	}
	err = o.record(ctx, c.Client.Operation, c.now())
	if ent.IsConstraintError(err) {
		return c.recorded(ctx, o)
	}
	return false, err
}

// once runs write in one transaction with the record of its operation, and reports whether that had been done before. Then,
// as for every change, the key counts more than what would be refused now.
func (c *core) once(ctx context.Context, o operation, write func(tx *ent.Tx) error) (repeat bool, err error) {
	if !o.keyed() {
		return false, c.inTx(ctx, write)
	}
	err = c.inTx(ctx, func(tx *ent.Tx) error {
		if err := o.record(ctx, tx.Operation, c.now()); err != nil {
			return err
		}
		return write(tx)
	})
	if err == nil {
		return false, nil
	}
	repeat, rerr := c.recorded(ctx, o)
	if rerr != nil || repeat {
		return repeat, rerr
	}
	return false, err
}

// changeOnce runs change in one transaction with the record of its operation, and returns the row that it has changed. A repeat returns
// that row as it is now, by get.
func changeOnce[T any](
	ctx context.Context, c *core, o operation, id string, get func(ctx context.Context, id string) (*T, error), change func(tx *ent.Tx) (*T, error),
) (row *T, err error) {
	repeat, err := c.once(ctx, o, func(tx *ent.Tx) (err error) {
		row, err = change(tx)
		return err
	})
	switch {
	case repeat:
		return get(ctx, id)
	case err != nil:
		return nil, err
	}
	return row, nil
}

// existing returns what a transaction has read by an ID, or NOT_FOUND, which says what it was to be.
func existing[T any](row *T, err error, what, id string) (*T, error) {
	row, err = orNil(row, err)
	if err == nil && (row == nil || padded(id)) {
		return nil, notFound(input("id"), what, id)
	}
	return row, err
}

// versionConflict refuses a change that starts from another version than the current one.
func versionConflict(what string, current int) *Error {
	return &Error{
		Code: VersionConflict, Field: input("version"), Details: VersionConflictDetails{Current: current},
		Message: "somebody else changed this " + what + "; read it again and start from its version",
	}
}
