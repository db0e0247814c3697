package commerce

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// attemptID names the attempt that a request makes to pay an order. A request makes one, however often it is repeated.
func attemptID(orderID, request string) string {
	return idOf(prefixAttempt, stepID(orderID, "attempt\x00"+request))
}

// openAttempt returns the attempt that a request goes on with, and whether its payment is known to be authorized. That is the attempt that
// the request has made or names, or the one that is open, or else a new one, which the database has then and the gateway does not know yet. An order whose
// payment was authorized is paid by that payment or not at all: it gets no new attempt. The error is errOrderAdvanced if the order is not
// PENDING any more.
func (s *Orders) openAttempt(
	ctx context.Context, row *ent.Order, pay Payment, request string,
) (a *ent.PaymentAttempt, authorized bool, err error) {
	id, now := cmp.Or(pay.AttemptID, attemptID(row.ID, request)), s.now()
	err = s.inTx(ctx, func(tx *ent.Tx) error {
		// The order first: so one request at a time opens an attempt, and none does while another one pays or ends the order.
		n, err := tx.Order.Update().Where(order.ID(row.ID), order.StatusEQ(order.StatusPENDING)).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return errOrderAdvanced
		}
		if authorized, err = tx.Payment.Query().Where(payment.OrderID(row.ID)).Exist(ctx); err != nil {
			return err
		}
		known, err := tx.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID)).All(ctx)
		if err != nil {
			return err
		}
		var own, open, captured *ent.PaymentAttempt
		for _, k := range known {
			if k.ID == id {
				own = k
			}
			if k.OpenOrderID != nil {
				open = k
			}
			if k.Status == paymentattempt.StatusCAPTURED {
				captured = k
			}
		}
		a = nil
		switch {
		case captured != nil && (own == nil || payments.Status(own.Status).Pays() || request == row.ID):
			a = captured // a webhook or a look-up was faster than its request; what is taken pays the order before what is only open
		case open != nil && (own == nil || request == row.ID): // the order itself goes on with whatever pays it
			a = open
		case open != nil:
			a, authorized = own, authorized && own.ID == open.ID
		case authorized:
			a = captured
		case own != nil:
			a = own
		default:
			a, err = s.newAttempt(tx.PaymentAttempt, id, Money{Minor: row.TotalMinor, Currency: row.Currency}, now).
				SetOrderID(row.ID).SetOpenOrderID(row.ID).SetToken(pay.Token).Save(ctx)
		}
		return err
	})
	if err == nil && (a == nil || !payments.Status(a.Status).Pays() && a.Status != paymentattempt.StatusCAPTURED) {
		err = errClosed
	}
	return a, authorized, err
}

// hasOpenAttempt reports whether an attempt may still pay a pending order, or has taken the money for it.
func (s *Orders) hasOpenAttempt(ctx context.Context, orderID string) (bool, error) {
	return s.Client.PaymentAttempt.Query().Where(inHand(orderID)).Exist(ctx)
}

// underWay refuses another payment of an order that an attempt may still pay.
func underWay() *Error {
	return &Error{
		Code: InvalidState, Field: input("payment", "method"), Retryable: true, // if that payment is declined
		Message: "a card payment of this order is under way: repeat it to learn what became of it, or wait for its end",
	}
}

// payByCard makes an attempt to pay by the payment method that the token of pay names at the gateway, or goes on with the one that is open,
// whatever this request says. If that one was another request's and does not pay the order, this request makes its own, unless it names
// the one that it is about. The order is PAID when the gateway has captured the payment.
func (s *Orders) payByCard(ctx context.Context, row *ent.Order, pay Payment, request string) error {
	for {
		a, authorized, err := s.openAttempt(ctx, row, pay, request)
		if errors.Is(err, errClosed) {
			message := "the payment was not authorized"
			if authorized {
				message = "the authorized payment could not be captured"
			}
			return &stepRefused{
				why: &Error{Code: PaymentDeclined, Field: input("payment"), Message: message},
				// The customer of payOrder may try another card. An order that was to be paid when it was placed is all or nothing.
				stays: request != row.ID && !authorized,
			}
		}
		if err == nil {
			err = s.goOn(ctx, orderPayment{s, row, request}, a, authorized)
		}
		if !errors.Is(err, errClosed) {
			return err
		}
	}
}

// orderPayment is an order as what an attempt pays for.
type orderPayment struct {
	*Orders
	row     *ent.Order
	request string // the fingerprint of the request that pays
}

func (p orderPayment) subject() string { return p.row.ID }

// authorized notes that an attempt is authorized, and that it is about to be captured.
func (p orderPayment) authorized(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) (*ent.PaymentAttempt, error) {
	_, err := p.Ledger.Apply(ctx, lockprovider.Change{
		ID: stepID(a.ID, "authorization"), Family: lockprovider.Stock,
		Record: lockprovider.Record{
			Kind: KindPaymentAuthorized, Fingerprint: a.ID,
			Payload: mustJSON(orderPaid{OrderID: p.row.ID, UserID: p.row.UserID, Payment: cardPayment(a, answer), At: p.now()}),
		},
	})
	if err := doneOtherwise(translate(err, lockprovider.Receipt{})); err != nil {
		return a, p.keepAnswer(ctx, a, answer, err)
	}
	return p.Client.PaymentAttempt.Get(ctx, a.ID)
}

// captured marks the order paid.
func (p orderPayment) captured(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) error {
	err := p.recordPaid(ctx, p.row, stepID(a.ID, "payment"), cardPayment(a, answer), p.request)
	return p.keepAnswer(ctx, a, answer, err)
}

// keepAnswer notes an answer about an order that was paid otherwise or has ended during the call: the attempt is then to be
// given back.
func (s *Orders) keepAnswer(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer, err error) error {
	if !errors.Is(err, errOrderAdvanced) {
		return err
	}
	moved, merr := s.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
	if merr != nil {
		return merr
	}
	if !payments.Status(moved.Status).Pays() && moved.Status != paymentattempt.StatusCAPTURED {
		return errClosed // the attempt was ended during the call, and perhaps not the order
	}
	return err
}

func cardPayment(a *ent.PaymentAttempt, answer payments.Answer) paymentMade {
	made := paymentMade{
		Method: payment.MethodCARD.String(), AmountMinor: a.AmountMinor, Currency: a.Currency,
		Reference: answer.Reference, AttemptID: a.ID,
	}
	if made.Reference == "" {
		made.Reference = a.Reference
	}
	return made
}

// endAttempts has the gateway end what it has in hand for an order that has ended: authorizations are voided, captures are refunded. An
// attempt that may still reach the gateway stays open: the order is not settled before.
func (s *Orders) endAttempts(ctx context.Context, row *ent.Order) error {
	list, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID)).All(ctx)
	for _, a := range list {
		if err == nil {
			if err = s.endAttempt(ctx, a, s.givingBack(row, a)); errors.Is(err, errOnItsWay) {
				err = nil
			}
		}
	}
	return err
}

// givingBack tells why an attempt for an order is given back.
func (s *Orders) givingBack(row *ent.Order, a *ent.PaymentAttempt) givingBack {
	g := givingBack{owner: row.UserID, why: "the order is " + row.Status.String()}
	switch row.Status {
	case order.StatusPENDING:
		g.why = "it has not reached the payment gateway"
	case order.StatusPAID:
		g.why = "the order was paid otherwise"
	default:
		// The event of the refunded order tells of the attempt that has paid it.
		g.told = paidBy(row, a) && row.Edges.Payment.Status != payment.StatusAUTHORIZED
	}
	return g
}

// paidBy reports whether an attempt has made the payment of an order.
func paidBy(row *ent.Order, a *ent.PaymentAttempt) bool {
	made := row.Edges.Payment
	return made != nil && made.Method == payment.MethodCARD && (made.AttemptID == nil || *made.AttemptID == a.ID)
}

// MaxAttempts is how many attempts of an order are listed.
const MaxAttempts = 20

// Attempts returns the payment attempts of orders by the orders' IDs, the newest first, at most [MaxAttempts] of each. The caller has
// found these orders, so that the viewer may see them. What the customer confirms a payment with is only there for its owner.
func (s *Orders) Attempts(ctx context.Context, v Viewer, orderIDs []string) (map[string][]*ent.PaymentAttempt, error) {
	rows, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderIDIn(orderIDs...), newestOf(paymentattempt.Table, orderIDs, MaxAttempts)).
		WithOrder(func(q *ent.OrderQuery) { q.Select(order.FieldID, order.FieldUserID) }).
		Order(ent.Desc(paymentattempt.FieldCreatedAt, paymentattempt.FieldID)).All(ctx)
	list := make(map[string][]*ent.PaymentAttempt, len(orderIDs))
	for _, id := range orderIDs {
		list[id] = nil
	}
	for _, a := range rows {
		id := *a.OrderID
		if !v.may(a.Edges.Order.UserID) || len(list[id]) == MaxAttempts {
			continue
		}
		list[id] = append(list[id], shownTo(v, a, a.Edges.Order.UserID))
	}
	return list, err
}

// shownTo returns an attempt without what only its owner may see.
func shownTo(v Viewer, a *ent.PaymentAttempt, owner string) *ent.PaymentAttempt {
	if !v.owns(owner) {
		a.ClientSecret, a.RedirectURL = "", ""
	}
	return a
}

// validToken reports whether a customer's payment method may be the name of one at a gateway, or "". Such a name begins with a letter. The
// number of a card does not, however its digits are separated.
func validToken(token string) bool {
	if token == "" {
		return true
	}
	first := token[0] | 0x20 // lower case
	return len(token) <= schema.MaxToken && first >= 'a' && first <= 'z' && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// invalidToken refuses the name of a payment method. It does not repeat it: somebody may have sent the number of a card.
func invalidToken(field []string) *Error {
	return invalid(field, "token is the name that the payment gateway gave to a payment method, such as pm_..., "+
		"of at most %d letters, digits, hyphens and underscores, a letter first", schema.MaxToken)
}
