package commerce

import (
	"context"
	"errors"
	"time"

	"holdfast/ent"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// Adjustments are the corrections that administrators have made by hand: of stock, points and money. Each has its row, with a
// reason and a name, for as long as the journal has its entry.
type Adjustments struct{ *core }

var allAdjustments = listing{"adjustments", numberOnly, "", true}

// List is all adjustments, newest first. Admins only.
func (s *Adjustments) List(ctx context.Context, v Viewer, page Page) (PageOf[*ent.Adjustment], error) {
	if err := v.admin(); err != nil {
		return PageOf[*ent.Adjustment]{}, err
	}
	asked, err := page.of(allAdjustments)
	if err != nil {
		return PageOf[*ent.Adjustment]{}, err
	}
	rows, err := s.Client.Adjustment.Query().Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Adjustment]{}, err
	}
	list := pageOf(rows, asked, func(a *ent.Adjustment) position { return position{Number: a.ID} })
	list.Count = counts(s.Client.Adjustment.Query)
	return list, nil
}

// checkAdjustment checks what is to be corrected, and that there is a reason.
func checkAdjustment(delta int64, field []string, reason string) error {
	errs := checkText("reason", reason, 1, schema.MaxReason)
	if delta == 0 || delta > lockprovider.MaxAmount || delta < -lockprovider.MaxAmount {
		errs = append(errs, invalid(field, "the correction must be 1 to %d, up or down, not %d", int64(lockprovider.MaxAmount), delta))
	}
	if errs != nil {
		return errs
	}
	return nil
}

// adjustmentRefused says what a bound means that forbids a correction.
func adjustmentRefused(err error, field []string, what string) error {
	return refusals(err, func(r lockprovider.Refusal) *Error {
		if errors.Is(r.Reason, lockprovider.ErrInsufficient) {
			return insufficientFunds(r, field, what)
		}
		return noRoom(field, "%s can take %d more, not %d", what, r.Available, r.Delta)
	})
}

func (p stockAdjusted) row(tx *ent.Tx, c lockprovider.Change) *ent.AdjustmentCreate {
	return adjustmentRow(tx, c, p.ProductID, p.Delta, p.Reason, p.By, p.At).
		SetVariantID(p.variantID())
}

func (p pointsAdjusted) row(tx *ent.Tx, c lockprovider.Change) *ent.AdjustmentCreate {
	return adjustmentRow(tx, c, p.UserID, p.Delta, p.Reason, p.By, p.At)
}

func (p accountAdjusted) row(tx *ent.Tx, c lockprovider.Change) *ent.AdjustmentCreate {
	return adjustmentRow(tx, c, p.AccountID, p.DeltaMinor, p.Reason, p.By, p.At)
}

func adjustmentRow(
	tx *ent.Tx, c lockprovider.Change, subject string, delta int64, reason, by string, at time.Time,
) *ent.AdjustmentCreate {
	return tx.Adjustment.Create().SetChangeID(c.ID).SetFamily(string(c.Family)).SetSubject(subject).SetDelta(delta).
		SetReason(reason).SetAdministrator(by).SetCreatedAt(at)
}
