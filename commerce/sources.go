package commerce

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/adjustment"
	"holdfast/ent/changelog"
)

// EntryRef names the change that a line of a journal is part of.
type EntryRef struct {
	Kind     string
	ChangeID uuid.UUID
}

// SourceIDs returns the IDs of what lines of journals come from: an order, a hold, a transfer or an issued coupon. It says nothing of whose these
// are: who looks one up by its ID sees no more than otherwise. Some have no such source, such as corrections.
//
// The ID of what a change has created is made of the ID of the change. Of later changes of an order or hold, only the change log has it,
// which forgets a change after pipeline.remember.
func (s *Accounts) SourceIDs(ctx context.Context, refs []EntryRef) (map[EntryRef]string, error) {
	ids, logged := make(map[EntryRef]string, len(refs)), map[uuid.UUID]EntryRef{}
	for _, ref := range refs {
		switch ref.Kind {
		case KindTransferCompleted:
			ids[ref] = idOf(prefixTransfer, ref.ChangeID)
		case KindCouponIssued:
			ids[ref] = idOf(prefixIssue, ref.ChangeID)
		case KindOrderPlaced:
			ids[ref] = idOf(prefixOrder, ref.ChangeID)
		case KindHoldCreated:
			ids[ref] = idOf(prefixHold, ref.ChangeID)
		case KindHoldEnded, KindOrderPaid, KindOrderReleased, KindOrderEnded, KindOrderRefunded, KindOrderReturned, KindRefundCompleted, KindCouponSpent,
			KindCouponReturned:
			logged[ref.ChangeID] = ref
		}
	}
	if len(logged) == 0 {
		return ids, nil
	}
	changes := make([]uuid.UUID, 0, len(logged))
	for change := range logged {
		changes = append(changes, change)
	}
	rows, err := s.Client.ChangeLog.Query().Where(changelog.ChangeIDIn(changes...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	for _, row := range rows {
		var of struct {
			OrderID string `json:"orderId"`
			HoldID  string `json:"holdId"`
		}
		if err := json.Unmarshal([]byte(row.Payload), &of); err != nil {
			return nil, fmt.Errorf("payload of the change %s: %w", row.ChangeID, err)
		}
		if id := cmp.Or(of.OrderID, of.HoldID); id != "" {
			ids[logged[row.ChangeID]] = id
		}
	}
	return ids, nil
}

// ByChange returns the corrections by the changes that they are. It returns none to viewers who are no administrators.
func (s *Adjustments) ByChange(ctx context.Context, v Viewer, changes []uuid.UUID) (map[uuid.UUID]*ent.Adjustment, error) {
	if !v.isAdmin() {
		return nil, nil
	}
	rows, err := s.Client.Adjustment.Query().Where(adjustment.ChangeIDIn(changes...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byChange := make(map[uuid.UUID]*ent.Adjustment, len(rows))
	for _, row := range rows {
		byChange[row.ChangeID] = row
	}
	return byChange, nil
}
