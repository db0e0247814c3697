package commerce

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"holdfast/clients/lazytx"
	"holdfast/ent"
	"holdfast/ent/couponissue"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// The kinds of records, which are the kinds of events as well.
const (
	KindOrderPlaced       = "order.placed"
	KindHoldCreated       = "hold.created"
	KindHoldEnded         = "hold.ended" // released or expired: the stock is given back
	KindOrderPaid         = "order.paid"
	KindOrderEnded        = "order.ended" // failed, cancelled or expired: the stock is given back
	KindOrderRefunded     = "order.refunded"
	KindOrderReleased     = "order.released" // it does not count as waiting for payment any more
	KindOrderFulfilled    = "order.fulfilled"
	KindOrderReturned     = "order.returned"   // products of a refund are in stock again
	KindRefundCompleted   = "refund.completed" // the money of a refund was given back
	KindRefundFailed      = "refund.failed"    // it has come back
	KindPaymentAuthorized = "payment.authorized"
	KindPaymentReturned   = "payment.returned"
	KindCouponIssued      = "coupon.issued"
	KindCouponSpent       = "coupon.spent"
	KindCouponReturned    = "coupon.returned"
	KindPointsCharged     = "points.charged"
	KindTransferCompleted = "transfer.completed"
	KindStockAdjusted     = "stock.adjusted"
	KindPointsAdjusted    = "points.adjusted"
	KindAccountAdjusted   = "account.adjusted"
	KindLimitCorrected    = "limit.corrected" // what a customer has ordered is counted rightly again
)

// The payloads of the records.
type (
	orderPlaced struct {
		OrderID       string      `json:"orderId"`
		UserID        string      `json:"userId"`
		Lines         []orderLine `json:"lines"`
		SubtotalMinor int64       `json:"subtotalMinor"`
		DiscountMinor int64       `json:"discountMinor"`
		TotalMinor    int64       `json:"totalMinor"`
		Currency      string      `json:"currency"`
		CouponIssueID string      `json:"couponIssueId,omitempty"`
		CreatedAt     time.Time   `json:"createdAt"`
		ExpiresAt     time.Time   `json:"expiresAt"`
		// Payment is how the customer wants to pay. The instance that continues an order from the queue needs it.
		Payment *paymentRequest `json:"payment,omitempty"`
		// Ticket is true if the customer has a ticket, and no request waits for the order.
		Ticket bool `json:"ticket,omitempty"`
		// MaxPending is how many orders of the customer may wait for payment, this one included, if they are counted.
		MaxPending int64 `json:"maxPending,omitempty"`
		// ShippingAddress and Contact are for the order's row. Events do not have them.
		ShippingAddress *Address `json:"shippingAddress,omitempty"`
		Contact         *Contact `json:"contact,omitempty"`
		// HoldID is the hold that the order takes over. Its change has not moved the stock then: that of the hold has.
		HoldID string `json:"holdId,omitempty"`
	}
	paymentRequest struct {
		Method    string `json:"method"`
		AccountID string `json:"accountId,omitempty"`
		Token     string `json:"token,omitempty"`
	}
	orderLine struct {
		ProductID      string `json:"productId"`
		VariantID      string `json:"variantId,omitempty"`    // absent in a record from before there were variants
		Title          string `json:"variantTitle,omitempty"` // of the variant
		Quantity       int64  `json:"quantity"`
		UnitPriceMinor int64  `json:"unitPriceMinor"`
		Limit          string `json:"limit,omitempty"` // the balance that counts against the customer's limit
	}
	orderPaid struct {
		OrderID string      `json:"orderId"`
		UserID  string      `json:"userId"`
		Payment paymentMade `json:"payment"`
		At      time.Time   `json:"at"`
	}
	paymentMade struct {
		Method      string `json:"method"`
		AmountMinor int64  `json:"amountMinor"`
		Currency    string `json:"currency"`
		AccountID   string `json:"accountId,omitempty"`
		Reference   string `json:"reference,omitempty"`
		AttemptID   string `json:"attemptId,omitempty"` // of a card
	}
	orderEnded struct {
		OrderID string      `json:"orderId"`
		UserID  string      `json:"userId"`
		Status  string      `json:"status"` // FAILED, CANCELLED or EXPIRED
		Code    string      `json:"code,omitempty"`
		Reason  string      `json:"reason,omitempty"`
		Lines   []orderLine `json:"lines"`
		At      time.Time   `json:"at"`
	}
	orderRefunded struct {
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	orderReleased struct {
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	limitCorrected struct {
		UserID    string    `json:"userId"`
		ProductID string    `json:"productId,omitempty"` // absent, as the variant: orders that wait for payment, or holds
		VariantID string    `json:"variantId,omitempty"`
		Period    string    `json:"period,omitempty"`
		Holds     bool      `json:"holds,omitempty"`
		Delta     int64     `json:"delta"`
		At        time.Time `json:"at"`
	}
	orderFulfilled struct {
		OrderID  string    `json:"orderId"`
		UserID   string    `json:"userId"`
		Tracking string    `json:"tracking,omitempty"`
		By       string    `json:"by"` // the administrator
		At       time.Time `json:"at"`
	}
	orderReturned struct {
		RefundID string         `json:"refundId"`
		OrderID  string         `json:"orderId"`
		UserID   string         `json:"userId"`
		Lines    []returnedLine `json:"lines"`
		At       time.Time      `json:"at"`
	}
	returnedLine struct {
		ProductID string `json:"productId"`
		VariantID string `json:"variantId"`
		Quantity  int64  `json:"quantity"`
	}
	refundCompleted struct {
		RefundID    string    `json:"refundId"`
		OrderID     string    `json:"orderId"`
		UserID      string    `json:"userId"`
		Method      string    `json:"method"`
		AmountMinor int64     `json:"amountMinor"`
		Currency    string    `json:"currency"`
		Reason      string    `json:"reason"`
		At          time.Time `json:"at"`
	}
	paymentReturned struct {
		AttemptID   string    `json:"attemptId"`
		OrderID     string    `json:"orderId,omitempty"` // that it was made for; absent if it was made for points
		UserID      string    `json:"userId"`
		Status      string    `json:"status"` // VOIDED or REFUNDED
		AmountMinor int64     `json:"amountMinor"`
		Currency    string    `json:"currency"`
		Reference   string    `json:"reference,omitempty"`
		Reason      string    `json:"reason"`
		At          time.Time `json:"at"`
	}
	couponIssued struct {
		IssueID  string    `json:"issueId"`
		CouponID string    `json:"couponId"`
		UserID   string    `json:"userId"`
		At       time.Time `json:"at"`
	}
	couponUsed struct { // spent or returned
		IssueID string    `json:"issueId"`
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	pointsCharged struct {
		UserID string `json:"userId"`
		Amount int64  `json:"amount"`
		// Payment is how the points were paid for. Those of demo data have none.
		Payment *paymentMade `json:"payment,omitempty"`
		At      time.Time    `json:"at"`
	}
	transferCompleted struct {
		TransferID    string    `json:"transferId"`
		UserID        string    `json:"userId"`
		FromAccountID string    `json:"fromAccountId"`
		ToAccountID   string    `json:"toAccountId"`
		AmountMinor   int64     `json:"amountMinor"`
		Currency      string    `json:"currency"`
		At            time.Time `json:"at"`
	}
	stockAdjusted struct {
		ProductID string    `json:"productId"`
		VariantID string    `json:"variantId,omitempty"` // absent in a record from before there were variants
		Delta     int64     `json:"delta"`
		Reason    string    `json:"reason,omitempty"`
		By        string    `json:"by,omitempty"` // the administrator
		At        time.Time `json:"at"`
		// Imported is set if the adjustment brings the stock in line with a file.
		Imported *importedStock `json:"imported,omitempty"`
	}
	pointsAdjusted struct {
		UserID string    `json:"userId"`
		Delta  int64     `json:"delta"`
		Reason string    `json:"reason"`
		By     string    `json:"by"` // the administrator
		At     time.Time `json:"at"`
	}
	accountAdjusted struct {
		AccountID  string    `json:"accountId"`
		UserID     string    `json:"userId"`
		DeltaMinor int64     `json:"deltaMinor"`
		Currency   string    `json:"currency"`
		Reason     string    `json:"reason"`
		By         string    `json:"by"` // the administrator
		At         time.Time `json:"at"`
	}
	importedStock struct {
		Quantity int64 `json:"quantity"` // that the file gives
		Import   int   `json:"import"`   // how many imports had changed the stock when it was compared
	}
)

// errOrderAdvanced means that an order is not in the state that a step requires: another step was faster.
var errOrderAdvanced = &Error{
	Code: InvalidState, Message: "the order has moved on meanwhile; look at its status",
	cause: &lockprovider.Rejected{Code: "ORDER_MOVED", Message: "the order's status does not allow this step"},
}

// errTopUpAdvanced means that the points of a payment were added before, or that the payment is given back.
var errTopUpAdvanced = &Error{
	Code: InvalidState, Message: "the payment has moved on meanwhile",
	cause: &lockprovider.Rejected{Code: "TOP_UP_MOVED", Message: "the payment attempt's status does not allow this step"},
}

// WriteRecords turns the records of changes into rows, in the transaction that moves the balances. What is only inserted
// goes in by many; transitions of an order are conditional on its state, so that of two steps that race, such as payment
// and cancellation, one loses and takes its moves with it.
func WriteRecords(ctx context.Context, tx *ent.Tx, changes []lockprovider.Change) error {
	var orders []*ent.OrderCreate
	var lines []*ent.OrderLineCreate
	var holds []*ent.HoldCreate
	var held []*ent.HoldLineCreate
	var issues []*ent.CouponIssueCreate
	var transfers []*ent.TransferCreate
	var adjustments []*ent.AdjustmentCreate
	var imported []stockAdjusted
	var transitions []lockprovider.Record
	for _, c := range changes {
		r := c.Record
		var err error
		switch r.Kind {
		case KindOrderPlaced:
			err = read(r, func(p orderPlaced) {
				orders, lines = append(orders, p.row(tx)), append(lines, p.lineRows(tx)...)
				if p.HoldID != "" {
					transitions = append(transitions, r)
				}
			})
		case KindHoldCreated:
			err = read(r, func(p holdCreated) { holds, held = append(holds, p.row(tx)), append(held, p.lineRows(tx)...) })
		case KindCouponIssued:
			err = read(r, func(p couponIssued) { issues = append(issues, p.row(tx)) })
		case KindTransferCompleted:
			err = read(r, func(p transferCompleted) { transfers = append(transfers, p.row(tx)) })
		case KindPointsCharged:
			err = read(r, func(p pointsCharged) {
				if p.attempt() != "" { // else the journal says it all
					transitions = append(transitions, r)
				}
			})
		case KindPointsAdjusted:
			err = read(r, func(p pointsAdjusted) { adjustments = append(adjustments, p.row(tx, c)) })
		case KindAccountAdjusted:
			err = read(r, func(p accountAdjusted) { adjustments = append(adjustments, p.row(tx, c)) })
		case KindStockAdjusted:
			err = read(r, func(p stockAdjusted) {
				if p.Imported == nil {
					adjustments = append(adjustments, p.row(tx, c))
				} else {
					imported = append(imported, p)
				}
			})
		default:
			transitions = append(transitions, r)
		}
		if err != nil {
			return err
		}
	}
	// Nothing is needed of these rows. They go with the change log at the latest.
	later := lazytx.Later(ctx)
	if err := insert(later, orders, tx.Order.CreateBulk); err != nil { // before the lines, which refer to them
		return err
	}
	if err := insert(later, lines, tx.OrderLine.CreateBulk); err != nil {
		return err
	}
	if err := insert(later, holds, tx.Hold.CreateBulk); err != nil { // before their lines, too
		return err
	}
	if err := insert(later, held, tx.HoldLine.CreateBulk); err != nil {
		return err
	}
	if err := insert(later, issues, tx.CouponIssue.CreateBulk); err != nil {
		return err
	}
	if err := insert(later, transfers, tx.Transfer.CreateBulk); err != nil {
		return err
	}
	if err := insert(later, adjustments, tx.Adjustment.CreateBulk); err != nil {
		return err
	}
	if err := noteAllImported(ctx, tx, imported); err != nil {
		return err
	}
	for _, r := range transitions {
		if err := writeTransition(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// insertChunk bounds the rows of one INSERT: databases bound its parameters.
const insertChunk = 500

func insert[Create any, Bulk interface{ Exec(context.Context) error }](
	ctx context.Context, rows []Create, bulk func(...Create) Bulk,
) error {
	for chunk := range slices.Chunk(rows, insertChunk) {
		if err := bulk(chunk...).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// read decodes a record's payload.
func read[T any](r lockprovider.Record, use func(T)) error {
	var payload T
	if err := json.Unmarshal(r.Payload, &payload); err != nil {
		return fmt.Errorf("%w: payload of %s: %w", lockprovider.ErrInvalidChange, r.Kind, err)
	}
	use(payload)
	return nil
}

func writeTransition(ctx context.Context, tx *ent.Tx, r lockprovider.Record) error {
	switch r.Kind {
	case KindOrderPlaced:
		return with(ctx, tx, r, writeHoldConsumed)
	case KindHoldEnded:
		return with(ctx, tx, r, writeHoldEnded)
	case KindOrderPaid:
		return with(ctx, tx, r, writeOrderPaid)
	case KindOrderEnded:
		return with(ctx, tx, r, writeOrderEnded)
	case KindOrderRefunded:
		return with(ctx, tx, r, writeOrderRefunded)
	case KindOrderReleased:
		return with(ctx, tx, r, writeOrderReleased)
	case KindLimitCorrected:
		return nil // its move is all
	case KindOrderFulfilled:
		return with(ctx, tx, r, writeOrderFulfilled)
	case KindOrderReturned:
		return with(ctx, tx, r, writeOrderReturned)
	case KindRefundCompleted:
		return with(ctx, tx, r, writeRefundCompleted)
	case KindRefundFailed:
		return with(ctx, tx, r, writeRefundFailed)
	case KindPaymentAuthorized:
		return with(ctx, tx, r, writePaymentAuthorized)
	case KindPaymentReturned:
		return with(ctx, tx, r, writePaymentReturned)
	case KindPointsCharged:
		return with(ctx, tx, r, writePointsCharged)
	case KindCouponSpent:
		return with(ctx, tx, r, writeCouponSpent)
	case KindCouponReturned:
		return with(ctx, tx, r, writeCouponReturned)
	}
	return fmt.Errorf("%w: unknown record kind %q", lockprovider.ErrInvalidChange, r.Kind)
}

func with[T any](
	ctx context.Context, tx *ent.Tx, r lockprovider.Record, write func(context.Context, *ent.Tx, T) error,
) (err error) {
	if rerr := read(r, func(payload T) { err = write(ctx, tx, payload) }); rerr != nil {
		return rerr
	}
	return err
}

// hasSteps reports whether steps follow the reservation of the stock: a coupon is to be spent, or a payment to be made.
func (p orderPlaced) hasSteps() bool {
	return p.Payment != nil || p.CouponIssueID != "" || p.TotalMinor == 0
}

// unattended reports whether a worker takes these steps.
func (p orderPlaced) unattended() bool { return p.Ticket && p.hasSteps() }

func (p orderPlaced) row(tx *ent.Tx) *ent.OrderCreate {
	create := tx.Order.Create().SetID(p.OrderID).SetUserID(p.UserID).SetStatus(order.StatusPENDING).
		SetSubtotalMinor(p.SubtotalMinor).SetDiscountMinor(p.DiscountMinor).SetTotalMinor(p.TotalMinor).
		SetCurrency(p.Currency).SetExpiresAt(p.ExpiresAt).SetNextAttemptAt(p.ExpiresAt).SetUnattended(p.unattended()).
		SetCounted(p.MaxPending > 0).SetCreatedAt(p.CreatedAt).SetUpdatedAt(p.CreatedAt)
	if p.unattended() {
		create.SetNextAttemptAt(p.CreatedAt)
	}
	if p.CouponIssueID != "" {
		create.SetCouponIssueID(p.CouponIssueID)
	}
	if p.ShippingAddress != nil {
		create.SetShippingAddress(p.ShippingAddress)
	}
	if p.Contact != nil {
		create.SetContact(p.Contact)
	}
	return create
}

func (p orderPlaced) lineRows(tx *ent.Tx) []*ent.OrderLineCreate {
	lines := make([]*ent.OrderLineCreate, len(p.Lines))
	for i, l := range p.Lines {
		lines[i] = tx.OrderLine.Create().SetOrderID(p.OrderID).SetPosition(i).SetProductID(l.ProductID).
			SetVariantID(l.variantID()).SetVariantTitle(l.Title).SetQuantity(l.Quantity).SetUnitPriceMinor(l.UnitPriceMinor)
		if l.Limit != "" {
			lines[i].SetLimitBalance(l.Limit)
		}
	}
	return lines
}

// variantIn is the variant that a record names. When a record had none, a product had one variant.
func variantIn(variantID, productID string) string {
	return cmp.Or(variantID, lockprovider.FirstVariantID(productID))
}

// variantID is the variant that was ordered.
func (l orderLine) variantID() string { return variantIn(l.VariantID, l.ProductID) }

func (p couponIssued) row(tx *ent.Tx) *ent.CouponIssueCreate {
	return tx.CouponIssue.Create().SetID(p.IssueID).SetCouponID(p.CouponID).SetUserID(p.UserID).
		SetStatus(couponissue.StatusISSUED).SetIssuedAt(p.At)
}

func (p transferCompleted) row(tx *ent.Tx) *ent.TransferCreate {
	return tx.Transfer.Create().SetID(p.TransferID).SetUserID(p.UserID).SetFromAccountID(p.FromAccountID).
		SetToAccountID(p.ToAccountID).SetAmountMinor(p.AmountMinor).SetCurrency(p.Currency).SetCreatedAt(p.At)
}

func writeOrderPaid(ctx context.Context, tx *ent.Tx, p orderPaid) error {
	paid := func(counted bool) *ent.OrderUpdate {
		return tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPENDING), order.Counted(counted)).
			SetStatus(order.StatusPAID).SetUpdatedAt(p.At)
	}
	n, err := paid(false).SetSettled(true).Save(ctx)
	if err == nil && n == 0 { // one that is counted is settled with its release, by the one who pays it or by the job
		n, err = paid(true).SetSettled(false).SetNextAttemptAt(p.At).SetAttempts(0).SetLastError("").Save(ctx)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return errOrderAdvanced
	}
	if p.Payment.AttemptID != "" {
		answer := payments.Answer{Reference: p.Payment.Reference}
		if _, err := moveAttempt(ctx, tx, p.Payment.AttemptID, p.At, answer, payments.OnCaptured); err != nil {
			return err
		}
		// What was read of the attempt may be older than what is so now: only a write tells whether it is captured.
		if n, err := lookedAfter(ctx, tx.PaymentAttempt, p.Payment.AttemptID); err != nil || n == 0 {
			return cmp.Or[error](err, errOrderAdvanced)
		}
	} else if open, err := tx.PaymentAttempt.Query().Where(inHand(p.OrderID)).Exist(ctx); err != nil || open {
		return cmp.Or[error](err, errOrderAdvanced) // a card payment is under way: do not take the money twice
	}
	authorized, err := tx.Payment.Query().Where(payment.OrderID(p.OrderID)).Exist(ctx)
	switch {
	case err != nil:
		return err
	case !authorized:
		return createPayment(tx, p, payment.StatusCAPTURED).Exec(ctx)
	case p.Payment.Method != payment.MethodCARD.String():
		return errOrderAdvanced // a card payment is under way: do not take the money twice
	}
	return tx.Payment.Update().Where(payment.OrderID(p.OrderID)).
		SetStatus(payment.StatusCAPTURED).SetNillableAttemptID(attemptOf(p)).SetUpdatedAt(p.At).Exec(ctx)
}

// attemptOf returns the attempt of a payment by card.
func attemptOf(p orderPaid) *string {
	if p.Payment.AttemptID == "" {
		return nil
	}
	return &p.Payment.AttemptID
}

// endedBeforePaid is what the customer is told of an order that had ended when its payment came.
var endedBeforePaid = map[order.Status]string{
	order.StatusEXPIRED:   "the order expired before it was paid; the payment was given back",
	order.StatusCANCELLED: "the order was cancelled before it was paid; the payment was given back",
}

// writePaymentReturned notes that the gateway has given back what nothing was sold for.
func writePaymentReturned(ctx context.Context, tx *ent.Tx, p paymentReturned) error {
	if err := tellEndedOrder(ctx, tx, p); err != nil {
		return err
	}
	answer := payments.Answer{Reference: p.Reference, Reason: p.Reason}
	_, err := moveAttempt(ctx, tx, p.AttemptID, p.At, answer, payments.Event(p.Status))
	return err
}

// tellEndedOrder has an order that has ended tell its customer that a payment was given back. Of an
// order that was paid, its payment tells; one whose payment was authorized only was not.
func tellEndedOrder(ctx context.Context, tx *ent.Tx, p paymentReturned) error {
	if p.OrderID == "" { // of a top-up
		return nil
	}
	paid := payment.StatusIn(payment.StatusCAPTURED, payment.StatusREFUNDED)
	for ended, why := range endedBeforePaid {
		if err := tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(ended), order.Not(order.HasPaymentWith(paid))).
			SetFailureCode(string(PaymentDeclined)).SetFailureReason(why).SetUpdatedAt(p.At).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// attempt returns the attempt that points were paid by, "" for those of demo data.
func (p pointsCharged) attempt() string {
	if p.Payment == nil {
		return ""
	}
	return p.Payment.AttemptID
}

// writePointsCharged notes that the points of a payment were added. Of this and of giving the payment back, one happens, once.
func writePointsCharged(ctx context.Context, tx *ent.Tx, p pointsCharged) error {
	n, err := tx.PaymentAttempt.Update().
		Where(paymentattempt.ID(p.attempt()), paymentattempt.StatusEQ(paymentattempt.StatusCAPTURED), paymentattempt.CreditedAtIsNil()).
		SetCreditedAt(p.At).ClearLookAt().SetLooks(0).SetLastError("").Save(ctx)
	if err == nil && n == 0 {
		return errTopUpAdvanced
	}
	return err
}

func writePaymentAuthorized(ctx context.Context, tx *ent.Tx, p orderPaid) error {
	n, err := tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPENDING)).
		SetUpdatedAt(p.At).Save(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return errOrderAdvanced
	}
	answer := payments.Answer{Reference: p.Payment.Reference}
	a, err := moveAttempt(ctx, tx, p.Payment.AttemptID, p.At, answer, payments.OnAuthorized, payments.OnCapture)
	if err != nil {
		return err
	}
	if a.Status != paymentattempt.StatusCAPTURING && a.Status != paymentattempt.StatusCAPTURED {
		return errOrderAdvanced // it was ended meanwhile
	}
	return createPayment(tx, p, payment.StatusAUTHORIZED).Exec(ctx)
}

func createPayment(tx *ent.Tx, p orderPaid, status payment.Status) *ent.PaymentCreate {
	create := tx.Payment.Create().SetID(paymentID(p.OrderID)).SetOrderID(p.OrderID).
		SetMethod(payment.Method(p.Payment.Method)).SetStatus(status).SetAmountMinor(p.Payment.AmountMinor).
		SetCurrency(p.Payment.Currency).SetReference(p.Payment.Reference).SetNillableAttemptID(attemptOf(p)).
		SetCreatedAt(p.At).SetUpdatedAt(p.At)
	if p.Payment.AccountID != "" {
		create.SetAccountID(p.Payment.AccountID)
	}
	return create
}

func writeOrderEnded(ctx context.Context, tx *ent.Tx, p orderEnded) error {
	from := []order.Status{order.StatusPENDING}
	if p.Status == order.StatusCANCELLED.String() {
		from = append(from, order.StatusPAID) // a paid order is cancelled and refunded
	}
	n, err := tx.Order.Update().
		// A fulfilled order is returned, and one of which something was refunded is refunded further, not cancelled.
		Where(order.ID(p.OrderID), order.StatusIn(from...), order.FulfilmentEQ(order.FulfilmentUNFULFILLED), order.RefundCount(0)).
		SetStatus(order.Status(p.Status)).SetFailureCode(p.Code).SetFailureReason(p.Reason).
		// Until coupon and payment are given back as well, by the one who ends the order or by the job.
		SetSettled(false).SetNextAttemptAt(p.At).SetAttempts(0).SetLastError("").
		SetUpdatedAt(p.At).Save(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return errOrderAdvanced
	}
	if p.Status == order.StatusFAILED.String() {
		open, err := tx.PaymentAttempt.Query().Where(inHand(p.OrderID)).Exist(ctx)
		if err != nil || open {
			return cmp.Or[error](err, errOrderAdvanced) // one payment was refused, and another one is under way or has the money
		}
	}
	return nil
}

func writeOrderRefunded(ctx context.Context, tx *ent.Tx, p orderRefunded) error {
	made, err := orNil(tx.Payment.Query().Where(payment.OrderID(p.OrderID)).Only(ctx))
	if err != nil || made == nil {
		return cmp.Or[error](err, errOrderAdvanced)
	}
	n, err := tx.Payment.Update().Where(payment.ID(made.ID), payment.StatusEQ(payment.StatusCAPTURED)).
		SetStatus(payment.StatusREFUNDED).SetRefundedMinor(made.AmountMinor).SetUpdatedAt(p.At).Save(ctx)
	if err == nil && n == 0 {
		return errOrderAdvanced
	}
	return err
}

// writeOrderReleased settles a paid order, of which nothing else is owed.
func writeOrderReleased(ctx context.Context, tx *ent.Tx, p orderReleased) error {
	n, err := tx.Order.Update().Where(order.ID(p.OrderID), order.Counted(true), order.StatusNEQ(order.StatusPENDING)).
		SetCounted(false).Save(ctx)
	if err == nil && n == 0 {
		return errOrderAdvanced
	}
	if err != nil {
		return err
	}
	return tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPAID)).SetSettled(true).Exec(ctx)
}

func writeCouponSpent(ctx context.Context, tx *ent.Tx, p couponUsed) error {
	n, err := tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPENDING)).
		SetCouponSpent(true).SetUpdatedAt(p.At).Save(ctx)
	if err == nil && n == 0 {
		return errOrderAdvanced
	}
	if err != nil {
		return err
	}
	return tx.CouponIssue.UpdateOneID(p.IssueID).SetStatus(couponissue.StatusUSED).SetOrderID(p.OrderID).Exec(ctx)
}

func writeCouponReturned(ctx context.Context, tx *ent.Tx, p couponUsed) error {
	n, err := tx.Order.Update().Where(order.ID(p.OrderID), order.CouponSpent(true)).
		SetCouponSpent(false).SetUpdatedAt(p.At).Save(ctx)
	if err == nil && n == 0 {
		return errOrderAdvanced
	}
	if err != nil {
		return err
	}
	return tx.CouponIssue.UpdateOneID(p.IssueID).SetStatus(couponissue.StatusISSUED).ClearOrderID().Exec(ctx)
}
