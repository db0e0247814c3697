package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/changelog"
)

// A change that Redis has admitted is decided about by whoever holds its stream entry, and several processes may hold one
// entry: one has stalled, another has claimed it. If one of them tells the caller that the change is refused, the others must
// not apply it any more, whatever the balances allow by then. So a refusal that follows an admission is written into the change
// log, in the place that the change itself would take. The unique change ID there decides between the two, once and for all.

// KindRefused is the kind of the rows of the change log that stand for a refusal. All others stand for changes that are
// applied.
const KindRefused = "refused"

// Admission is the moment at which Redis admitted a change.
type Admission struct {
	Epoch int64
	// StreamID is the entry in the stream. It is empty for the end of the epoch, after all of its entries.
	StreamID string
}

// String is the form in which a row of [KindRefused] has it.
func (a Admission) String() string { return fmt.Sprintf("%d:%s", a.Epoch, a.StreamID) }

// admissionOf is the inverse of String. What cannot be read is before all others.
func admissionOf(s string) Admission {
	epoch, streamID, _ := strings.Cut(s, ":")
	number, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return Admission{Epoch: -1}
	}
	return Admission{Epoch: number, StreamID: streamID}
}

// before reports whether a is earlier than b, or the same.
func (a Admission) before(b Admission) bool {
	if a.Epoch != b.Epoch || b.StreamID == "" || a.StreamID == "" {
		return a.Epoch < b.Epoch || a.Epoch == b.Epoch && b.StreamID == ""
	}
	aTime, aNumber := streamTime(a.StreamID)
	bTime, bNumber := streamTime(b.StreamID)
	return aTime < bTime || aTime == bTime && aNumber <= bNumber
}

// streamTime returns the two parts of a stream ID.
func streamTime(id string) (ms, number uint64) {
	first, second, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(first, 10, 64)
	number, _ = strconv.ParseUint(second, 10, 64)
	return ms, number
}

func (a Admitted) admission() Admission { return Admission{Epoch: a.Epoch, StreamID: a.StreamID} }

// Refuse makes the refusal of a change final: from now on, none of its admissions until the given one is applied, by
// whichever process. A later admission, of a caller who asks again, may be. It returns false if the change is applied already;
// then it cannot be refused any more. After an error it is not known whether the refusal is final.
//
// The change log knows a refusal for as long as it knows an applied change of that time.
func (l *Ledger) Refuse(ctx context.Context, s Strategy, c Change, until Admission, reason error) (refused bool, err error) {
	for range refuseTries {
		row, err := l.row(ctx, c.ID)
		switch {
		case err != nil:
			return false, err
		case row == nil:
		case row.Kind != KindRefused:
			return false, nil
		case until.before(admissionOf(row.Admission)):
			return true, nil
		}
		// In a transaction, whose commit tells whether a standby has it.
		_, err = l.Run(ctx, s, func(tx *Tx) error {
			if row != nil {
				n, err := tx.Ent.ChangeLog.Delete().Where(changelog.ID(row.ID)).Exec(ctx)
				if err != nil {
					return err
				}
				if n == 0 {
					return errReplaced
				}
			}
			return l.refusalRow(tx.Ent, s, c, until, reason).Exec(ctx)
		})
		if err == nil {
			return true, nil
		}
		if !ent.IsConstraintError(err) && !errors.Is(err, errReplaced) {
			return false, err
		}
	}
	return false, fmt.Errorf("%w: the refusal of change %s", ErrConflict, c.ID)
}

// errReplaced means that another process has replaced a row of [KindRefused], or has applied the change.
var errReplaced = errors.New("another process has decided meanwhile")

// refuseTries bounds how often one refusal is written anew because of others of the same change.
const refuseTries = 10

func (l *Ledger) refusalRow(tx *ent.Tx, s Strategy, c Change, until Admission, reason error) *ent.ChangeLogCreate {
	now := l.now().UTC().Truncate(time.Microsecond)
	return tx.ChangeLog.Create().SetChangeID(c.ID).SetFamily(string(c.Family)).SetKind(KindRefused).
		SetStrategy(string(s)).SetPayload(EncodeRejection(reason)).SetPayloadHash(c.Record.Fingerprint).
		SetAdmission(until.String()).SetCreatedAt(now).SetPublishedAt(now) // there is no event to relay
}

// RefuseAdmitted makes the refusals among the verdicts on admitted changes final; see [Ledger.Refuse]. It corrects the verdicts
// on changes that another process has applied meanwhile. After an error, no verdict that is a refusal may be told.
func (l *Ledger) RefuseAdmitted(ctx context.Context, s Strategy, batch []Admitted, verdicts []error) error {
	var refused []int
	for i, a := range batch {
		if verdicts[i] != nil && !errors.Is(verdicts[i], ErrAlreadyApplied) && a.Malformed == nil {
			refused = append(refused, i)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	if len(refused) <= insertChunk {
		_, err := l.Run(ctx, s, func(tx *Tx) error {
			rows := make([]*ent.ChangeLogCreate, len(refused))
			for n, i := range refused {
				rows[n] = l.refusalRow(tx.Ent, s, batch[i].Change, batch[i].admission(), verdicts[i])
			}
			return tx.Ent.ChangeLog.CreateBulk(rows...).Exec(ctx)
		})
		if err == nil || !ent.IsConstraintError(err) { // else another row is in the way of one of them
			return err
		}
	}
	for _, i := range refused {
		final, err := l.Refuse(ctx, s, batch[i].Change, batch[i].admission(), verdicts[i])
		if err != nil {
			return err
		}
		if final {
			continue
		}
		verdicts[i] = nil
		if _, _, err := l.undecided(ctx, batch[i:i+1], verdicts[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// row returns the row of a change in the change log, which may be of [KindRefused], or nil if there is none.
func (l *Ledger) row(ctx context.Context, id uuid.UUID) (*ent.ChangeLog, error) {
	row, err := l.config.Client.ChangeLog.Query().Where(changelog.ChangeID(id)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, Failure(ctx, err)
	}
	if err := l.Replicated(ctx); err != nil {
		return nil, err
	}
	return row, nil
}

// removeRefusals removes rows of [KindRefused], in the transaction that applies their changes. If somebody has put another row
// in the place of one meanwhile, that row stays, and the transaction fails.
func (tx *Tx) removeRefusals(ctx context.Context, rows ...int64) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.Ent.ChangeLog.Delete().Where(changelog.IDIn(rows...)).Exec(ctx)
	return err
}

// refusalKey is where a context has the row of [KindRefused] that the transaction of a change removes.
type refusalKey struct{}

// Removes reports whether the transaction of a change removes a row of the change log, because it is an earlier refusal of that
// change. ctx is what [Ledger.Once] gave to the execution of the change.
func Removes(ctx context.Context, row int64) bool {
	removed, ok := ctx.Value(refusalKey{}).(int64)
	return ok && removed == row
}

// overRefusals executes a change, again if a refusal of an attempt before is in the way of it.
func (l *Ledger) overRefusals(ctx context.Context, c Change, execute func(ctx context.Context) (Receipt, error)) (Receipt, error) {
	var last *ent.ChangeLog
	for {
		in := ctx
		if last != nil {
			in = context.WithValue(ctx, refusalKey{}, last.ID)
		}
		receipt, err := execute(in)
		if !IsConstraint(err) {
			return receipt, err
		}
		row, rerr := l.row(ctx, c.ID)
		if rerr != nil || row == nil || row.Kind != KindRefused || last != nil && row.ID == last.ID {
			return receipt, err
		}
		last = row
	}
}
