package commerce

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/couponissue"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// Coupons are limited discounts: a total quota, a limit per user, and a time in which they are valid.
type Coupons struct {
	*core
	customers *Customers
}

// IssueCoupon asks for one coupon.
type IssueCoupon struct {
	Key      uuid.UUID
	CouponID string
}

// IssueResult is what was issued.
type IssueResult struct {
	Issue  *ent.CouponIssue
	Coupon *ent.Coupon
	Meta   Meta
}

// Issue gives the viewer a coupon. Errors: NOT_FOUND, COUPON_NOT_VALID if it was stopped or outside of its time, COUPON_EXHAUSTED,
// COUPON_ALREADY_ISSUED if the user has as many as allowed.
func (s *Coupons) Issue(ctx context.Context, v Viewer, in IssueCoupon) (IssueResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return IssueResult{}, err
	}
	id, fp := operationID(v, "issueCoupon", in.Key), fingerprint(in)
	row, err := s.Get(ctx, in.CouponID)
	if err != nil {
		return IssueResult{}, err
	}
	if row == nil {
		return IssueResult{}, notFound(input("couponId"), "coupon", in.CouponID)
	}
	var receipt lockprovider.Receipt
	if err = validAt(row, s.now()); err == nil {
		receipt, err = s.execute(ctx, s.issueChange(id, fp, v, row))
		err = refusals(err, func(r lockprovider.Refusal) *Error { return issueRefused(row, r) })
	} else {
		receipt, err = s.replayedOr(ctx, lockprovider.Coupons, id, KindCouponIssued, fp, err)
	}
	if err != nil {
		return IssueResult{Meta: metaOf(receipt)}, err
	}
	issue, err := s.issued(ctx, receipt)
	if issue != nil {
		issue.Edges.Coupon = row
	}
	return IssueResult{Issue: issue, Coupon: row, Meta: metaOf(receipt)}, err
}

// issued returns the coupon that a receipt is about. If the request was a repeat, it returns the row as it is now.
func (s *Coupons) issued(ctx context.Context, receipt lockprovider.Receipt) (*ent.CouponIssue, error) {
	var p couponIssued
	if err := json.Unmarshal(receipt.Payload, &p); err != nil {
		return nil, err
	}
	if receipt.Replayed && receipt.State == lockprovider.Committed {
		return s.Client.CouponIssue.Get(ctx, p.IssueID)
	}
	return &ent.CouponIssue{
		ID: p.IssueID, CouponID: p.CouponID, UserID: p.UserID, Status: couponissue.StatusISSUED, IssuedAt: p.At,
	}, nil
}

func (s *Coupons) issueChange(id uuid.UUID, fp string, v Viewer, row *ent.Coupon) lockprovider.Change {
	return lockprovider.Change{
		ID: id, Family: lockprovider.Coupons,
		Moves: []lockprovider.Move{
			{Balance: lockprovider.CouponKey(row.ID), Delta: 1},
			{
				Balance: lockprovider.CouponUserKey(row.ID, v.UserID), Delta: 1,
				Open: &lockprovider.Bounds{Ceiling: int64(row.PerUserLimit)},
			},
		},
		Record: lockprovider.Record{
			Kind: KindCouponIssued,
			Payload: mustJSON(couponIssued{
				IssueID: idOf(prefixIssue, id), CouponID: row.ID, UserID: v.UserID, At: s.now(),
			}),
			Fingerprint: fp,
		},
	}
}

func issueRefused(row *ent.Coupon, r lockprovider.Refusal) *Error {
	if r.Balance == lockprovider.CouponKey(row.ID) {
		return &Error{
			Code: CouponExhausted, Field: input("couponId"), Details: CouponExhaustedDetails{CouponID: row.ID},
			Message: "all coupons of this kind have been issued",
		}
	}
	return &Error{
		Code: CouponAlreadyIssued, Field: input("couponId"),
		Message: "you have as many of this coupon as one customer may have",
	}
}

// validAt refuses a coupon that was stopped, and one outside of its time.
func validAt(row *ent.Coupon, now time.Time) error {
	var message string
	switch {
	case row.StoppedAt != nil:
		message = "this coupon was stopped"
	case row.ValidFrom != nil && now.Before(*row.ValidFrom):
		message = "this coupon is valid from " + row.ValidFrom.Format(time.RFC3339)
	case row.ValidUntil != nil && !now.Before(*row.ValidUntil):
		message = "this coupon was valid until " + row.ValidUntil.Format(time.RFC3339)
	default:
		return nil
	}
	// Retryable: when it begins, or an administrator changes it.
	return &Error{Code: CouponNotValid, Field: input("couponId"), Retryable: true, Message: message}
}

// CreateCoupon describes a new coupon.
type CreateCoupon struct {
	Key           uuid.UUID // the nil UUID for none: then each call creates a coupon
	Name          string
	DiscountKind  coupon.DiscountKind
	DiscountValue int64 // minor units for FIXED, 1 to 100 for PERCENT
	Quota         int64
	PerUserLimit  int
	ValidFrom     *time.Time
	ValidUntil    *time.Time
	id            string // demo data choose theirs
}

// Create adds a coupon. Admins only. A repeat with the same key returns the first one. Errors: INVALID_INPUT,
// IDEMPOTENCY_MISMATCH, IDEMPOTENCY_EXPIRED.
func (s *Coupons) Create(ctx context.Context, v Viewer, in CreateCoupon) (*ent.Coupon, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.Name = strings.TrimSpace(in.Name)
	if err := in.check(); err != nil {
		return nil, err
	}
	op := newOperation(v, "couponCreate", in.Key, in)
	if in.id == "" {
		in.id = op.objectID(prefixCoupon)
	}
	var row *ent.Coupon
	repeat, err := s.once(ctx, op, func(tx *ent.Tx) (err error) {
		row, err = tx.Coupon.Create().SetID(in.id).SetName(in.Name).SetDiscountKind(in.DiscountKind).
			SetDiscountValue(in.DiscountValue).SetQuota(in.Quota).SetPerUserLimit(in.PerUserLimit).
			SetNillableValidFrom(in.ValidFrom).SetNillableValidUntil(in.ValidUntil).SetCreatedAt(s.now()).Save(ctx)
		if err != nil {
			return err
		}
		return s.Ledger.Open(ctx, tx, map[string]lockprovider.Bounds{
			lockprovider.CouponKey(row.ID): {Ceiling: row.Quota},
		})
	})
	switch {
	case repeat:
		return s.Client.Coupon.Get(ctx, in.id)
	case op.keyed() && ent.IsConstraintError(err): // the coupon is there
		return nil, keyExpired()
	case err != nil:
		return nil, err
	}
	return row, nil
}

func (in CreateCoupon) check() error {
	var errs Errors
	errs = append(errs, checkText("name", in.Name, 1, schema.MaxName)...)
	if in.DiscountKind == coupon.DiscountKindPERCENT && (in.DiscountValue < 1 || in.DiscountValue > 100) {
		errs = append(errs, invalid(input("discountValue"), "a percentage must be 1 to 100, not %d", in.DiscountValue))
	} else if in.DiscountValue < 1 || in.DiscountValue > MaxPrice {
		errs = append(errs, invalid(input("discountValue"), "discount must be 1 to %d, not %d", int64(MaxPrice), in.DiscountValue))
	}
	if in.Quota < 1 || in.Quota > lockprovider.MaxAmount {
		errs = append(errs, invalid(input("quota"), "quota must be 1 to %d, not %d", int64(lockprovider.MaxAmount), in.Quota))
	}
	if in.PerUserLimit < 1 || in.PerUserLimit > 1000 {
		errs = append(errs, invalid(input("perUserLimit"), "perUserLimit must be 1 to 1000, not %d", in.PerUserLimit))
	}
	errs = append(errs, checkValidity(in.ValidFrom, in.ValidUntil, "validUntil")...)
	if errs != nil {
		return errs
	}
	return nil
}

// checkValidity refuses a time that ends before it begins. The error names the field that the caller has given.
func checkValidity(from, until *time.Time, given string) Errors {
	if from == nil || until == nil || from.Before(*until) {
		return nil
	}
	return Errors{invalid(input(given), "validUntil must be after validFrom: they would be %s and %s",
		until.Format(time.RFC3339), from.Format(time.RFC3339))}
}

// NewBound is a new bound of the time in which a coupon is valid.
type NewBound struct {
	Given bool       // else the bound stays
	At    *time.Time // nil for none
}

// of returns the new bound, given the one before.
func (b NewBound) of(before *time.Time) *time.Time {
	if b.Given {
		return b.At
	}
	return before
}

// UpdateCoupon changes what is given.
type UpdateCoupon struct {
	Key                   uuid.UUID // the nil UUID for none
	ID                    string
	Version               int     // the version that the caller saw
	Name                  *string // nil leaves it as it is
	ValidFrom, ValidUntil NewBound
}

// Update changes the name of a coupon and the time in which it is valid. Admins only. A repeat with the same key changes nothing and
// returns the coupon as it is now. Errors: NOT_FOUND, INVALID_INPUT, IDEMPOTENCY_MISMATCH, VERSION_CONFLICT if somebody else changed
// it since the caller looked.
func (s *Coupons) Update(ctx context.Context, v Viewer, in UpdateCoupon) (*ent.Coupon, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	if in.Name != nil {
		name := strings.TrimSpace(*in.Name)
		if errs := checkText("name", name, 1, schema.MaxName); errs != nil {
			return nil, errs
		}
		in.Name = &name
	}
	return changeOnce(ctx, s.core, newOperation(v, "couponUpdate", in.Key, in), in.ID, s.Client.Coupon.Get, func(tx *ent.Tx) (*ent.Coupon, error) {
		n, err := tx.Coupon.Update().Where(coupon.ID(in.ID), coupon.Version(in.Version)).AddVersion(1).Save(ctx) // locks it
		if err != nil {
			return nil, err
		}
		row, err := existingCoupon(ctx, tx, in.ID)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, versionConflict("coupon", row.Version)
		}
		from, until := in.ValidFrom.of(row.ValidFrom), in.ValidUntil.of(row.ValidUntil)
		given := "validUntil"
		if !in.ValidUntil.Given {
			given = "validFrom"
		}
		if errs := checkValidity(from, until, given); errs != nil {
			return nil, errs
		}
		update := tx.Coupon.UpdateOne(row).SetNillableName(in.Name).SetNillableValidFrom(from).SetNillableValidUntil(until)
		if from == nil {
			update.ClearValidFrom()
		}
		if until == nil {
			update.ClearValidUntil()
		}
		return update.Save(ctx)
	})
}

// StopCoupon names a coupon to stop or to resume.
type StopCoupon struct {
	Key uuid.UUID // the nil UUID for none
	ID  string
}

// Stop lets nobody take or spend a coupon whose request begins after it has returned. Requests that were under way may still succeed.
// Those who have taken one keep it. Admins only.
// It does nothing to one that is stopped. Errors: NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Coupons) Stop(ctx context.Context, v Viewer, in StopCoupon) (*ent.Coupon, error) {
	return s.setStopped(ctx, v, "couponStop", in, true)
}

// Resume lets customers take and spend a coupon again that was stopped. Admins only. It does nothing to one that is not stopped.
// Errors: NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Coupons) Resume(ctx context.Context, v Viewer, in StopCoupon) (*ent.Coupon, error) {
	return s.setStopped(ctx, v, "couponResume", in, false)
}

func (s *Coupons) setStopped(ctx context.Context, v Viewer, operation string, in StopCoupon, stopped bool) (*ent.Coupon, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	return changeOnce(ctx, s.core, newOperation(v, operation, in.Key, in), in.ID, s.Client.Coupon.Get, func(tx *ent.Tx) (*ent.Coupon, error) {
		update := tx.Coupon.Update().Where(coupon.ID(in.ID)).AddVersion(1)
		if stopped {
			update.Where(coupon.StoppedAtIsNil()).SetStoppedAt(s.now())
		} else {
			update.Where(coupon.StoppedAtNotNil()).ClearStoppedAt()
		}
		if _, err := update.Save(ctx); err != nil {
			return nil, err
		}
		return existingCoupon(ctx, tx, in.ID)
	})
}

// existingCoupon returns a coupon as a transaction sees it, or NOT_FOUND.
func existingCoupon(ctx context.Context, tx *ent.Tx, id string) (*ent.Coupon, error) {
	row, err := tx.Coupon.Get(ctx, id)
	return existing(row, err, "coupon", id)
}

// Get returns a coupon, or nil if there is none.
func (s *Coupons) Get(ctx context.Context, id string) (*ent.Coupon, error) {
	if padded(id) {
		return nil, nil
	}
	return orNil(s.Client.Coupon.Get(ctx, id))
}

// Show returns a coupon that the viewer may look up, or nil if there is none: one that begins later is for administrators.
func (s *Coupons) Show(ctx context.Context, v Viewer, id string) (*ent.Coupon, error) {
	byID, err := s.ShowAll(ctx, v, []string{id})
	return byID[id], err
}

// ShowAll is Show for several coupons. It returns those that the viewer may look up, by their IDs.
func (s *Coupons) ShowAll(ctx context.Context, v Viewer, ids []string) (map[string]*ent.Coupon, error) {
	rows, err := s.Client.Coupon.Query().Where(coupon.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byID, now := make(map[string]*ent.Coupon, len(rows)), s.now()
	for _, row := range rows {
		if row.ValidFrom == nil || !row.ValidFrom.After(now) || v.Admin {
			byID[row.ID] = row
		}
	}
	return byID, nil
}

// GetIssue returns an issued coupon of the viewer, with its coupon. It returns nil if there is none or it is another
// customer's.
func (s *Coupons) GetIssue(ctx context.Context, v Viewer, id string) (*ent.CouponIssue, error) {
	byID, err := s.Issues(ctx, v, []string{id})
	return byID[id], ErrorOf(err, id)
}

// couponIssue returns an issued coupon with its coupon, or nil if there is none. It waits for one that was accepted.
func (c *core) couponIssue(ctx context.Context, id string) (*ent.CouponIssue, error) {
	return awaited(ctx, c, lockprovider.Coupons, prefixIssue, id, c.Client.CouponIssue.Query().Where(couponissue.ID(id)).WithCoupon().Only)
}

// Issues returns issued coupons of the viewer by their IDs, with their coupons; those of others are left out. It waits for those
// that were accepted. If some are not confirmed in time, the error is [ErrorsByID] of these.
func (s *Coupons) Issues(ctx context.Context, v Viewer, ids []string) (map[string]*ent.CouponIssue, error) {
	if v.UserID == "" { // nothing to wait for
		return nil, nil
	}
	byID := make(map[string]*ent.CouponIssue, len(ids))
	err := allAwaited(ctx, s.core, lockprovider.Coupons, prefixIssue, ids, func(ctx context.Context, ids []string) ([]string, error) {
		rows, err := s.Client.CouponIssue.Query().Where(couponissue.IDIn(ids...)).WithCoupon().All(ctx)
		found := make([]string, len(rows))
		for i, row := range rows {
			byID[row.ID], found[i] = row, row.ID
		}
		return found, err
	})
	maps.DeleteFunc(byID, func(_ string, row *ent.CouponIssue) bool { return !v.may(row.UserID) })
	return byID, err
}

var allCoupons = listing{"coupons", timeAndID, coupon.FieldCreatedAt, true}

// List is all coupons, newest first. Those that begin later are for administrators.
func (s *Coupons) List(ctx context.Context, v Viewer, page Page) (PageOf[*ent.Coupon], error) {
	asked, err := page.of(allCoupons)
	if err != nil {
		return PageOf[*ent.Coupon]{}, err
	}
	shown := func() *ent.CouponQuery {
		query := s.Client.Coupon.Query()
		if !v.Admin {
			query.Where(coupon.Or(coupon.ValidFromIsNil(), coupon.ValidFromLTE(s.now())))
		}
		return query
	}
	rows, err := shown().Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Coupon]{}, err
	}
	list := pageOf(rows, asked, func(c *ent.Coupon) position { return position{Time: c.CreatedAt, ID: c.ID} })
	list.Count = counts(shown)
	return list, nil
}

// Held lists the viewer's issued coupons, newest first, with their coupons.
func (s *Coupons) Held(ctx context.Context, v Viewer, page Page) (PageOf[*ent.CouponIssue], error) {
	if err := v.customer(); err != nil {
		return PageOf[*ent.CouponIssue]{}, err
	}
	asked, err := page.of(listing{"couponIssues:" + v.UserID, timeAndID, couponissue.FieldIssuedAt, true})
	if err != nil {
		return PageOf[*ent.CouponIssue]{}, err
	}
	held := func() *ent.CouponIssueQuery { return s.Client.CouponIssue.Query().Where(couponissue.UserID(v.UserID)) }
	rows, err := held().Where(asked.within).WithCoupon().Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.CouponIssue]{}, err
	}
	list := pageOf(rows, asked, func(i *ent.CouponIssue) position { return position{Time: i.IssuedAt, ID: i.ID} })
	list.Count = counts(held)
	return list, nil
}

// Issued tells how much of each coupon's quota is issued.
func (s *Coupons) Issued(ctx context.Context, ids []string) (map[string]int64, error) {
	readings, err := s.readings(ctx, ids, lockprovider.CouponKey)
	amounts := make(map[string]int64, len(readings))
	for id, r := range readings {
		amounts[id] = r.Amount
	}
	return amounts, err
}

// readings reads the balances of objects, by the objects' IDs.
func (c *core) readings(ctx context.Context, ids []string, key func(id string) string) (map[string]Reading, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = key(id)
	}
	byKey, err := c.Ledger.Readings(ctx, keys)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Reading, len(ids))
	for i, id := range ids {
		if r, ok := byKey[keys[i]]; ok {
			byID[id] = r
		}
	}
	return byID, nil
}
