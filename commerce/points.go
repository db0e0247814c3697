package commerce

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/ent/user"
	"holdfast/lockprovider"
)

// Points are the customers' wallets. One point is worth one minor unit of the shop's currency.
type Points struct {
	*core
	customers *Customers
}

// ChargePoints buys points for the viewer's wallet.
type ChargePoints struct {
	Key    uuid.UUID
	Amount int64
	Token  string // the customer's payment method at the gateway, or ""
}

// PointsResult is the wallet after a charge.
type PointsResult struct {
	Balance int64
	Meta    Meta
	// Attempt is the payment of bought points. If the customer has to confirm it, the points are not added yet.
	Attempt *ent.PaymentAttempt
}

// AdjustPoints corrects the points of a customer.
type AdjustPoints struct {
	Key    uuid.UUID
	UserID string
	Delta  int64 // negative to take
	Reason string
}

// Adjust corrects the points of any customer, with a reason that is kept. Admins only. Errors: NOT_FOUND if no such customer has
// ever done anything, INVALID_INPUT, INSUFFICIENT_FUNDS if there are fewer points than are to be taken.
func (s *Points) Adjust(ctx context.Context, v Viewer, in AdjustPoints) (PointsResult, error) {
	if err := v.admin(); err != nil {
		return PointsResult{}, err
	}
	in.Reason = strings.TrimSpace(in.Reason)
	if err := checkAdjustment(in.Delta, input("delta"), in.Reason); err != nil {
		return PointsResult{}, err
	}
	known, err := s.Client.User.Query().Where(user.ID(in.UserID)).Exist(ctx)
	if err != nil {
		return PointsResult{}, err
	}
	if !known || !userIDPattern.MatchString(in.UserID) {
		missing := notFound(input("userId"), "customer", in.UserID)
		missing.Retryable = userIDPattern.MatchString(in.UserID) // when they have done something
		return PointsResult{}, missing
	}
	key := lockprovider.PointsKey(in.UserID)
	open := unbounded(0)
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: operationID(v, "pointsAdjust", in.Key), Family: lockprovider.Points,
		Moves: []lockprovider.Move{{Balance: key, Delta: in.Delta, Open: &open}},
		Record: lockprovider.Record{
			Kind: KindPointsAdjusted, Fingerprint: fingerprint(in),
			Payload: mustJSON(pointsAdjusted{UserID: in.UserID, Delta: in.Delta, Reason: in.Reason, By: v.UserID, At: s.now()}),
		},
	})
	return PointsResult{Balance: receipt.Balances[key], Meta: metaOf(receipt)}, adjustmentRefused(err, input("delta"), "the wallet")
}

// Balance returns the points of a customer: the viewer's own, or anybody's for admins.
func (s *Points) Balance(ctx context.Context, v Viewer, userID string) (int64, error) {
	readings, err := s.Balances(ctx, v, []string{userID})
	return readings[userID].Amount, ErrorOf(err, userID)
}

// Balances returns the points of customers as [Points.Balance] does, by customer. A customer who has never had any has none. If the viewer
// may not see those of some, the error is [ErrorsByID] of these.
func (s *Points) Balances(ctx context.Context, v Viewer, userIDs []string) (map[string]Reading, error) {
	forbidden := ErrorsByID{}
	var allowed []string
	for _, id := range userIDs {
		if err := v.mayAsk(id); err != nil {
			forbidden[id] = err
		} else {
			allowed = append(allowed, id)
		}
	}
	readings, err := s.readings(ctx, allowed, lockprovider.PointsKey)
	if err != nil {
		return nil, err
	}
	for _, id := range allowed {
		if _, found := readings[id]; !found {
			readings[id] = Reading{}
		}
	}
	if len(forbidden) > 0 {
		return readings, forbidden
	}
	return readings, nil
}

// Entries is the point history of a customer, newest first: the viewer's own, or anybody's for admins.
func (s *Points) Entries(ctx context.Context, v Viewer, userID string, filter EntryFilter, page Page) (PageOf[*ent.Entry], error) {
	if err := v.mayAsk(userID); err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	return s.entries(ctx, lockprovider.PointsKey(userID), filter, page)
}

// entries is the journal of one balance, newest first.
func (c *core) entries(ctx context.Context, balance string, filter EntryFilter, page Page) (PageOf[*ent.Entry], error) {
	asked, err := filter.of(balance, page)
	if err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	rows, err := c.Client.Entry.Query().Where(entry.Balance(balance), filter.within, asked.within).
		Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	return pageOf(rows, asked, entryPosition), nil
}

// journal is the listing of the entries of one balance, newest first.
func journal(balance string) listing { return listing{"entries:" + balance, numberOnly, "", true} }

func entryPosition(e *ent.Entry) position { return position{Number: e.ID} }

// orNil turns "not found" into nil.
func orNil[T any](row *T, err error) (*T, error) {
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}
