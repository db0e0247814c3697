package commerce

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/hold"
	"holdfast/ent/holdline"
	"holdfast/lockprovider"
)

// A hold keeps products for a customer until a deadline, before there is an order, such as while the customer goes through the
// checkout. It is a change of the stock as an order is, with the same checks: so nobody else is sold what is held, under every
// strategy. It ends once: it is released, it expires, or an order takes it over. Each of these is a change that is conditional on
// the status of the hold, in the transaction that moves the balances. The order moves no stock, since the hold has.
//
// All of its changes are confirmed by the database before anybody is told of them: an order may follow at once, on any instance.

// Holds keeps products for customers.
type Holds struct {
	*core
	catalog   *Catalog
	customers *Customers
	orders    *Orders
}

// HoldResult is a hold after an operation.
type HoldResult struct {
	Hold *ent.Hold // with lines
	Meta Meta
}

// CreateHold requests variants of products to be held. Lines of the same variant are merged.
type CreateHold struct {
	Key   uuid.UUID
	Lines []Line
	TTL   time.Duration // how long from now
}

// HoldID is the identifier of the hold that a viewer makes under a key.
func HoldID(v Viewer, key uuid.UUID) string {
	return idOf(prefixHold, operationID(v, "holdCreate", key))
}

// Create takes the stock of all lines or of none, and keeps it for the viewer. Errors: INVALID_INPUT, NOT_FOUND of a product,
// OUT_OF_STOCK (one for each line that is short), PURCHASE_LIMIT, TOO_MANY_HOLDS; IDEMPOTENCY_EXPIRED of a hold that ended long ago;
// LOCK_TIMEOUT and the like, after which a repeat with the same key goes on.
func (s *Holds) Create(ctx context.Context, v Viewer, in CreateHold) (HoldResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return HoldResult{}, err
	}
	id, fp := operationID(v, "holdCreate", in.Key), fingerprint(in)
	change, refused, err := s.draft(ctx, v, in, id, fp)
	var receipt lockprovider.Receipt
	if err == nil {
		receipt, err = s.execute(ctx, change)
		err = refusals(err, refused)
	} else { // what the catalogue does not allow any more may be the repeat of what it allowed
		receipt, err = s.replayedOr(ctx, lockprovider.Stock, id, KindHoldCreated, fp, err)
	}
	if err != nil {
		return HoldResult{Meta: metaOf(receipt)}, err
	}
	row, err := s.load(ctx, idOf(prefixHold, id))
	if err == nil && row == nil { // it has ended, and the job retention has deleted it
		err = keyExpired()
	}
	return HoldResult{Hold: row, Meta: metaOf(receipt)}, err
}

// draft is the change that makes a hold, and the meaning of a balance that refuses it.
func (s *Holds) draft(
	ctx context.Context, v Viewer, in CreateHold, id uuid.UUID, fp string,
) (change lockprovider.Change, refused func(lockprovider.Refusal) *Error, err error) {
	w, err := s.orders.wanted(ctx, "a hold", in.Lines)
	if err != nil {
		return change, nil, err
	}
	if err := checkTTL(in.TTL, s.Shop.MaxHold); err != nil {
		return change, nil, err
	}
	now := s.now()
	r := reserve(v.UserID, w, now)
	p := holdCreated{
		HoldID: idOf(prefixHold, id), UserID: v.UserID, MaxHolds: s.Shop.MaxHolds, CreatedAt: now, ExpiresAt: now.Add(in.TTL),
	}
	for _, l := range r.lines {
		p.Lines = append(p.Lines, holdLine{ProductID: l.ProductID, VariantID: l.VariantID, Quantity: l.Quantity, Limit: l.Limit})
	}
	refused = func(refusal lockprovider.Refusal) *Error {
		if refusal.Balance == lockprovider.HoldsKey(v.UserID) {
			return tooManyHolds(s.Shop.MaxHolds)
		}
		return (&draft{payload: orderPlaced{UserID: v.UserID, Lines: r.lines}, at: w.at}).stockRefused(refusal)
	}
	return lockprovider.Change{
		ID: id, Family: lockprovider.Stock, Moves: append(r.moves, holdsMove(v.UserID, s.Shop.MaxHolds)), Confirm: true,
		Record: lockprovider.Record{Kind: KindHoldCreated, Payload: mustJSON(p), Fingerprint: fp},
	}, refused, nil
}

// checkTTL refuses a time that a hold may not have.
func checkTTL(ttl, most time.Duration) error {
	if ttl >= time.Second && ttl <= most {
		return nil
	}
	return invalid(input("ttlSeconds"), "ttlSeconds must be 1 to %d, not %d", int64(most/time.Second), int64(ttl/time.Second))
}

// Extend moves the deadline of an active hold of the viewer to a time from now. A deadline that is later stays, so that a repeat
// changes nothing. Errors: NOT_FOUND; INVALID_STATE if the hold has ended; INVALID_INPUT beyond shop.maxHold after its beginning.
func (s *Holds) Extend(ctx context.Context, v Viewer, holdID string, ttl time.Duration) (*ent.Hold, error) {
	row, err := s.own(ctx, v, holdID, v.owns)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if over(row, now) {
		return nil, holdOver(row, input("id"))
	}
	last := row.CreatedAt.Add(s.Shop.MaxHold)
	switch left := last.Sub(now); {
	case left < time.Second:
		return nil, invalid(input("ttlSeconds"), "this hold may last until %s and cannot be extended: order what it has before it ends at %s",
			last.UTC().Format(time.RFC3339), row.ExpiresAt.UTC().Format(time.RFC3339))
	case ttl < time.Second || ttl > left:
		return nil, invalid(input("ttlSeconds"), "this hold may last until %s: ttlSeconds must be 1 to %d, not %d",
			last.UTC().Format(time.RFC3339), int64(left/time.Second), int64(ttl/time.Second))
	}
	deadline := now.Add(ttl)
	err = s.Client.Hold.Update().
		Where(hold.ID(row.ID), hold.StatusEQ(hold.StatusACTIVE), hold.ExpiresAtGT(now), hold.ExpiresAtLT(deadline)).
		SetExpiresAt(deadline).SetNextAttemptAt(deadline).SetAttempts(0).SetLastError("").SetUpdatedAt(now).Exec(ctx)
	if err != nil {
		return nil, err
	}
	row, err = s.own(ctx, v, holdID, v.owns)
	if err == nil && (row.Status != hold.StatusACTIVE || row.ExpiresAt.Before(deadline)) {
		return nil, holdOver(row, input("id")) // meanwhile
	}
	return row, err
}

// Release ends a hold, of the viewer or for an administrator, and gives its stock back. It does nothing if the hold was released.
// Errors: NOT_FOUND, INVALID_STATE if the hold has ended otherwise.
func (s *Holds) Release(ctx context.Context, v Viewer, holdID string) (*ent.Hold, error) {
	row, err := s.own(ctx, v, holdID, v.may)
	if err != nil {
		return nil, err
	}
	var failed error
	if row.Status == hold.StatusACTIVE {
		failed = s.end(ctx, row, hold.StatusRELEASED, stepID(row.ID, "release"))
		if row, err = s.own(ctx, v, holdID, v.may); err != nil {
			return nil, cmp.Or(failed, err)
		}
	}
	var refused *lockprovider.Refused
	switch {
	case row.Status == hold.StatusRELEASED:
		return row, nil
	case row.Status != hold.StatusACTIVE:
		return nil, holdOver(row, input("id"))
	case errors.As(failed, &refused): // perhaps since something else that ends it is under way
		return nil, &Error{
			Code: Unavailable, Field: input("id"), Retryable: true, RetryAfter: retryLater, cause: failed,
			Message: "the hold cannot be released at the moment; it ends at its deadline, or try again",
		}
	}
	return nil, failed
}

// end gives the stock of a hold back, in the change of this ID. The error is errHoldAdvanced if the hold is not active any more, or
// if the deadline of an expiry was moved.
func (s *Holds) end(ctx context.Context, row *ent.Hold, status hold.Status, id uuid.UUID) error {
	p := holdEnded{HoldID: row.ID, UserID: row.UserID, Status: status.String(), ExpiresAt: row.ExpiresAt.UTC(), At: s.now()}
	moves := []lockprovider.Move{{Balance: lockprovider.HoldsKey(row.UserID), Delta: -1}}
	for _, l := range row.Edges.Lines {
		p.Lines = append(p.Lines, holdLine{ProductID: l.ProductID, VariantID: l.VariantID, Quantity: l.Quantity, Limit: deref(l.LimitBalance)})
		moves = append(moves, lockprovider.Move{Balance: lockprovider.StockKey(l.VariantID), Delta: l.Quantity})
		if l.LimitBalance != nil {
			moves = append(moves, lockprovider.Move{Balance: *l.LimitBalance, Delta: -l.Quantity})
		}
	}
	_, err := s.execute(ctx, lockprovider.Change{
		ID: id, Family: lockprovider.Stock, Moves: moves, Confirm: true,
		Record: lockprovider.Record{Kind: KindHoldEnded, Payload: mustJSON(p), Fingerprint: row.ID},
	})
	if errors.Is(doneOtherwise(err), errOrderAdvanced) { // done so long ago that nobody knows
		return errHoldAdvanced
	}
	return err
}

// over reports whether no order can take a hold over any more.
func over(row *ent.Hold, now time.Time) bool {
	return row.Status != hold.StatusACTIVE || !now.Before(row.ExpiresAt)
}

// holdOver refuses what only an active hold allows.
func holdOver(row *ent.Hold, field []string) *Error {
	message := "the hold expired at " + row.ExpiresAt.UTC().Format(time.RFC3339) + ": make another one"
	switch row.Status {
	case hold.StatusCONSUMED:
		message = "the hold has become the order " + deref(row.OrderID)
	case hold.StatusRELEASED:
		message = "the hold was released: make another one"
	case hold.StatusACTIVE, hold.StatusEXPIRED:
	}
	return &Error{Code: InvalidState, Field: field, Message: message}
}

// load returns a hold with its lines, or nil.
func (s *Holds) load(ctx context.Context, id string) (*ent.Hold, error) {
	return orNil(withHoldLines(s.Client.Hold.Query().Where(hold.ID(id))).Only(ctx))
}

func withHoldLines(q *ent.HoldQuery) *ent.HoldQuery {
	return q.WithLines(func(q *ent.HoldLineQuery) { q.Order(ent.Asc(holdline.FieldPosition)) })
}

// own returns a hold whose owner the viewer may act for, or NOT_FOUND.
func (s *Holds) own(ctx context.Context, v Viewer, id string, mayActFor func(owner string) bool) (*ent.Hold, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	row, err := s.load(ctx, id)
	if err == nil && (row == nil || padded(id) || !mayActFor(row.UserID)) {
		return nil, notFound(input("id"), "hold", id)
	}
	return row, err
}

// GetAll returns the holds that the viewer may see, with their lines, by their IDs. Others are left out.
func (s *Holds) GetAll(ctx context.Context, v Viewer, ids []string) (map[string]*ent.Hold, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	rows, err := withHoldLines(s.Client.Hold.Query().Where(hold.IDIn(ids...))).All(ctx)
	byID := make(map[string]*ent.Hold, len(rows))
	for _, row := range rows {
		if v.may(row.UserID) && slices.Contains(ids, row.ID) { // MariaDB takes "hold_1 " for "hold_1"
			byID[row.ID] = row
		}
	}
	return byID, err
}

// List is the viewer's holds, the newest first, with their lines: those of one status if it is not "". Errors: INVALID_INPUT of the
// page.
func (s *Holds) List(ctx context.Context, v Viewer, status hold.Status, page Page) (PageOf[*ent.Hold], error) {
	if err := v.customer(); err != nil {
		return PageOf[*ent.Hold]{}, err
	}
	asked, err := page.of(filtered(listing{"holds:" + v.UserID, timeAndID, hold.FieldCreatedAt, true}, status))
	if err != nil {
		return PageOf[*ent.Hold]{}, err
	}
	selected := func() *ent.HoldQuery {
		query := s.Client.Hold.Query().Where(hold.UserID(v.UserID))
		if status != "" {
			query.Where(hold.StatusEQ(status))
		}
		return query
	}
	rows, err := withHoldLines(selected()).Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Hold]{}, err
	}
	list := pageOf(rows, asked, func(h *ent.Hold) position { return position{Time: h.CreatedAt, ID: h.ID} })
	list.Count = counts(selected)
	return list, nil
}

// takeOver has an order take over a hold of the viewer that has exactly its lines, and returns the moves of the order. Errors:
// NOT_FOUND, INVALID_STATE if the hold has ended, INVALID_INPUT if the lines differ.
func (s *Orders) takeOver(ctx context.Context, v Viewer, holdID string, p *orderPlaced) ([]lockprovider.Move, error) {
	field := input("holdId")
	row, err := orNil(s.Client.Hold.Query().Where(hold.ID(holdID)).WithLines().Only(ctx))
	switch {
	case err != nil:
		return nil, err
	case row == nil || padded(holdID) || !v.owns(row.UserID):
		return nil, notFound(field, "hold", holdID)
	case over(row, p.CreatedAt):
		return nil, holdOver(row, field)
	}
	held := make(map[string]*ent.HoldLine, len(row.Edges.Lines))
	for _, l := range row.Edges.Lines {
		held[l.VariantID] = l
	}
	same := len(held) == len(p.Lines)
	for i, l := range p.Lines {
		if held[l.VariantID] == nil || held[l.VariantID].Quantity != l.Quantity {
			same = false
			break
		}
		p.Lines[i].Limit = deref(held[l.VariantID].LimitBalance)
	}
	if !same {
		return nil, invalid(input("lines"), "an order that takes a hold over has exactly the variants and quantities of the hold: "+
			"release the hold, and hold what is wanted")
	}
	p.HoldID = row.ID
	return []lockprovider.Move{{Balance: lockprovider.HoldsKey(v.UserID), Delta: -1}}, nil
}

// nameHold has the refusal of an order whose hold has moved on name the hold.
func nameHold(err error) error {
	if errors.Is(err, errHoldAdvanced) {
		return &Error{
			Code: InvalidState, Field: input("holdId"), Message: "the hold has ended, or another order has taken it over; look at its status",
		}
	}
	return err
}

// reservation is what the lines of an order or hold take.
type reservation struct {
	lines    []orderLine
	moves    []lockprovider.Move // of the stock, and of what is counted against limits
	subtotal int64               // minor units
}

// reserve is what the lines of a request take, by their variants as they are.
func reserve(userID string, w wanted, now time.Time) (r reservation) {
	for _, l := range w.lines {
		row := w.variants[l.VariantID]
		r.subtotal += LineTotal(row.PriceMinor, l.Quantity)
		line := orderLine{
			ProductID: row.ProductID, VariantID: row.ID, Title: TitleOf(row), Quantity: l.Quantity, UnitPriceMinor: row.PriceMinor,
		}
		if limit := limitOf(row); limit.Quantity > 0 {
			counted := limit.move(row.ID, userID, l.Quantity, now)
			line.Limit = counted.Balance
			r.moves = append(r.moves, counted)
		}
		r.lines = append(r.lines, line)
		r.moves = append(r.moves, lockprovider.Move{Balance: lockprovider.StockKey(row.ID), Delta: -l.Quantity})
	}
	return r
}
