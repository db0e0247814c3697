package commerce

import (
	"cmp"
	"context"
	"time"

	"holdfast/ent"
	"holdfast/ent/hold"
	"holdfast/lockprovider"
)

// The payloads of the records of holds. That an order takes a hold over is part of the order's record.
type (
	holdCreated struct {
		HoldID    string     `json:"holdId"`
		UserID    string     `json:"userId"`
		Lines     []holdLine `json:"lines"`
		MaxHolds  int64      `json:"maxHolds"`
		CreatedAt time.Time  `json:"createdAt"`
		ExpiresAt time.Time  `json:"expiresAt"`
	}
	holdLine struct {
		ProductID string `json:"productId"`
		VariantID string `json:"variantId,omitempty"` // absent in a record from before there were variants
		Quantity  int64  `json:"quantity"`
		Limit     string `json:"limit,omitempty"` // the balance that counts against the customer's limit
	}
	holdEnded struct {
		HoldID    string     `json:"holdId"`
		UserID    string     `json:"userId"`
		Status    string     `json:"status"` // RELEASED or EXPIRED
		Lines     []holdLine `json:"lines"`
		ExpiresAt time.Time  `json:"expiresAt"` // the deadline that the hold had then
		At        time.Time  `json:"at"`
	}
)

// errHoldAdvanced means that a hold is not in the state that a step requires: another step was faster.
var errHoldAdvanced = &Error{
	Code: InvalidState, Message: "the hold has moved on meanwhile; look at its status",
	cause: &lockprovider.Rejected{Code: "HOLD_MOVED", Message: "the hold's status does not allow this step"},
}

func (p holdCreated) row(tx *ent.Tx) *ent.HoldCreate {
	return tx.Hold.Create().SetID(p.HoldID).SetUserID(p.UserID).SetStatus(hold.StatusACTIVE).
		SetExpiresAt(p.ExpiresAt).SetNextAttemptAt(p.ExpiresAt).SetCreatedAt(p.CreatedAt).SetUpdatedAt(p.CreatedAt)
}

func (p holdCreated) lineRows(tx *ent.Tx) []*ent.HoldLineCreate {
	lines := make([]*ent.HoldLineCreate, len(p.Lines))
	for i, l := range p.Lines {
		lines[i] = tx.HoldLine.Create().SetHoldID(p.HoldID).SetPosition(i).SetProductID(l.ProductID).
			SetVariantID(variantIn(l.VariantID, l.ProductID)).SetQuantity(l.Quantity)
		if l.Limit != "" {
			lines[i].SetLimitBalance(l.Limit)
		}
	}
	return lines
}

// writeHoldEnded ends a hold. Of release, expiry and an order, one ends it. An expiry is one of a deadline: an extension that came
// before it has moved the deadline, and the hold stays.
func writeHoldEnded(ctx context.Context, tx *ent.Tx, p holdEnded) error {
	update := tx.Hold.Update().Where(hold.ID(p.HoldID), hold.StatusEQ(hold.StatusACTIVE))
	if p.Status == hold.StatusEXPIRED.String() {
		update.Where(hold.ExpiresAt(p.ExpiresAt))
	}
	n, err := update.SetStatus(hold.Status(p.Status)).SetUpdatedAt(p.At).Save(ctx)
	if err == nil && n == 0 {
		return errHoldAdvanced
	}
	return err
}

// writeHoldConsumed has an order take a hold over, if the hold had not ended when the order was requested.
func writeHoldConsumed(ctx context.Context, tx *ent.Tx, p orderPlaced) error {
	n, err := tx.Hold.Update().
		Where(hold.ID(p.HoldID), hold.UserID(p.UserID), hold.StatusEQ(hold.StatusACTIVE), hold.ExpiresAtGT(p.CreatedAt)).
		SetStatus(hold.StatusCONSUMED).SetOrderID(p.OrderID).SetUpdatedAt(p.CreatedAt).Save(ctx)
	if err != nil || n == 0 {
		return cmp.Or[error](err, errHoldAdvanced)
	}
	return nil
}
