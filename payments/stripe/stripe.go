// Package stripe is the adapter of the port payments.Gateway for Stripe: https://docs.stripe.com/payments.
//
// A payment attempt is a PaymentIntent with manual capture. Its metadata names the attempt. Without a payment method it waits for the
// customer, who confirms it in the browser by Stripe.js and the client secret; with one, the shop confirms it at once.
//
// Each call has an idempotency key of its own, made of the ID of the attempt or refund. Stripe keeps the answer to a key for 24 hours, and
// gives it again, whatever has become of the payment since, even if it is a failure. So an answer that was kept counts for nothing
// here: the payment is retrieved.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v82"

	"holdfast/config/setting"
	"holdfast/payments"
)

// Settings say how Stripe is asked.
type Settings struct {
	// SecretKey is the secret API key of the account at Stripe: sk_… or rk_…. A restricted key needs PaymentIntents and Refunds
	// (write), and Charges and Balance (read). It is better set by the variable HOLDFAST_PAYMENT_STRIPE_SECRET_KEY than in a file.
	SecretKey string `key:"secretKey" secret:"true"`
	// WebhookSecret is the signing secret of the endpoint /webhooks/stripe at Stripe: whsec_…. The endpoint must have an API version
	// with the name basil, as 2025-08-27.basil.
	WebhookSecret string `key:"webhookSecret" secret:"true"`
	// URL is where the API is: another one is for tests.
	URL setting.URL `key:"url" default:"https://api.stripe.com"`
}

// Test reports whether the key is one for tests: Stripe then takes no money.
func (s Settings) Test() bool {
	return strings.HasPrefix(s.SecretKey, "sk_test_") || strings.HasPrefix(s.SecretKey, "rk_test_")
}

const (
	// metaAttempt and metaRefund name the attempt and the refund in the metadata of what is made at Stripe.
	metaAttempt, metaRefund = "holdfast_attempt", "holdfast_refund"
	// metaConfirmed marks a PaymentIntent that the shop has confirmed, with the payment method of the customer.
	metaConfirmed = "holdfast_confirmed"
)

// page is the most objects that Stripe lists at once.
const page = 100

// The tries of a call that Stripe refuses because of another call at the same time. They are chosen: calls take about a second.
const (
	busyTries = 6
	busyPause = 50 * time.Millisecond // doubles with each try
)

// Gateway is Stripe.
type Gateway struct {
	client        *stripego.Client
	webhookSecret string
}

var (
	_ payments.Gateway = (*Gateway)(nil)
	_ payments.Stepped = (*Gateway)(nil)
)

// New returns the gateway. It asks nobody. The version of the API is that of the library, which is pinned in go.mod.
func New(settings Settings) *Gateway {
	backends := stripego.NewBackendsWithConfig(&stripego.BackendConfig{
		URL:               stripego.String(strings.TrimSuffix(string(settings.URL), "/")),
		HTTPClient:        &http.Client{},    // calls are bounded by their contexts
		MaxNetworkRetries: stripego.Int64(0), // callers repeat calls that are not answered
		LeveledLogger:     &stripego.LeveledLogger{Level: stripego.LevelNull},
		EnableTelemetry:   stripego.Bool(false),
	})
	return &Gateway{client: stripego.NewClient(settings.SecretKey, stripego.WithBackends(backends)), webhookSecret: settings.WebhookSecret}
}

// Authorize implements payments.Gateway. An amount that Stripe cannot take is declined.
//
// It must not be repeated for the first time after 24 hours: then Stripe has forgotten the key. Look the attempt up before.
func (g *Gateway) Authorize(ctx context.Context, a payments.Authorization) (payments.Answer, error) {
	amount, err := toStripe(a.Amount)
	if err != nil {
		return payments.Answer{State: payments.StateDeclined, Reason: err.Error()}, nil //nolint:nilerr // the customer is told
	}
	params := &stripego.PaymentIntentCreateParams{
		Amount: stripego.Int64(amount), Currency: stripego.String(strings.ToLower(a.Amount.Currency)),
		CaptureMethod:      stripego.String(string(stripego.PaymentIntentCaptureMethodManual)),
		PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
		Description:        stripego.String(a.Subject),
		Metadata:           map[string]string{metaAttempt: a.Attempt},
	}
	if a.Token != "" {
		params.PaymentMethod, params.Confirm = stripego.String(a.Token), stripego.Bool(true)
		params.Metadata[metaConfirmed] = "true"
	}
	params.SetIdempotencyKey(a.Attempt + "/authorize")
	var intent *stripego.PaymentIntent
	err = busy(ctx, func() (err error) {
		intent, err = g.client.V1PaymentIntents.Create(ctx, params)
		return err
	})
	var refused *stripego.Error
	switch {
	case err == nil && !replayed(intent.LastResponse):
		return answer(intent)
	case err == nil:
		return g.retrieve(ctx, intent.ID)
	case !errors.As(err, &refused):
		return payments.Answer{}, unanswered(err)
	case refused.Type == stripego.ErrorTypeIdempotency: // another amount, or another text that says what is paid
		found, err := g.find(ctx, a.Attempt)
		if err == nil && found != nil && found.Amount == amount && strings.EqualFold(string(found.Currency), a.Amount.Currency) {
			return answer(found)
		}
		return payments.Answer{}, errors.Join(payments.ErrMismatch, err)
	case refused.PaymentIntent != nil: // it was made, and the card declined
		return g.retrieve(ctx, refused.PaymentIntent.ID)
	case refused.Type == stripego.ErrorTypeCard:
		return payments.Answer{State: payments.StateDeclined, Reason: refused.Msg}, nil // nothing was made
	case refused.Type == stripego.ErrorTypeInvalidRequest && refused.HTTPStatusCode == http.StatusBadRequest:
		// Nothing was made. The message may repeat what the customer sent.
		return payments.Answer{State: payments.StateDeclined, Reason: "Stripe refuses the request"}, nil
	case refused.HTTPStatusCode >= http.StatusInternalServerError: // and kept: a repeat is answered alike, so look what was done
		if found, ferr := g.find(ctx, a.Attempt); ferr == nil && found != nil {
			return answer(found)
		}
	}
	return payments.Answer{}, unanswered(err)
}

// Capture implements payments.Gateway.
func (g *Gateway) Capture(ctx context.Context, p payments.Ref, amount payments.Amount) (payments.Answer, error) {
	units, err := toStripe(amount)
	if err != nil {
		return g.Lookup(ctx, p)
	}
	return g.act(ctx, p, fmt.Sprintf("capture/%d", units), payments.StateAuthorized, func(id, key string) error {
		params := &stripego.PaymentIntentCaptureParams{AmountToCapture: stripego.Int64(units)}
		params.SetIdempotencyKey(key)
		_, err := g.client.V1PaymentIntents.Capture(ctx, id, params)
		return err
	})
}

// Void implements payments.Gateway. A declined payment is cancelled, too, so that nobody confirms it once more.
func (g *Gateway) Void(ctx context.Context, p payments.Ref) (payments.Answer, error) {
	before, err := g.Lookup(ctx, p)
	if err != nil || before.State == payments.StateNotFound || before.State == payments.StateVoided {
		return before, err
	}
	p.Reference = before.Reference
	after, err := g.act(ctx, p, "void", before.State, func(id, key string) error {
		params := &stripego.PaymentIntentCancelParams{}
		params.SetIdempotencyKey(key)
		_, err := g.client.V1PaymentIntents.Cancel(ctx, id, params)
		return err
	})
	if err == nil && before.State == payments.StateDeclined && after.State == payments.StateVoided {
		return before, nil
	}
	return after, err
}

// act makes a call that has the payment leave a state, and returns the payment's state after it.
func (g *Gateway) act(
	ctx context.Context, p payments.Ref, kind string, leaves payments.State, call func(id, key string) error,
) (payments.Answer, error) {
	intent, err := g.locate(ctx, p)
	if err != nil || intent == nil {
		return payments.Answer{State: payments.StateNotFound}, err
	}
	err = keyed(ctx, p.Attempt+"/"+kind, func(key string) error { return call(intent.ID, key) }, func() (bool, error) {
		now, err := g.retrieve(ctx, intent.ID)
		return now.State == leaves, err
	})
	if err != nil {
		return payments.Answer{}, err
	}
	return g.retrieve(ctx, intent.ID)
}

// Refund implements payments.Gateway.
func (g *Gateway) Refund(ctx context.Context, p payments.Ref, refund string, amount payments.Amount) (payments.Answer, error) {
	intent, err := g.locate(ctx, p)
	if err != nil || intent == nil {
		return payments.Answer{State: payments.StateNotFound}, err
	}
	now, err := answer(intent)
	if err != nil {
		return now, err
	}
	// Stripe forgets keys after a day, and the shop may repeat a refund for longer.
	now.Made, err = g.refunded(ctx, intent.ID, refund)
	units, uerr := toStripe(amount)
	if err != nil || now.Made || uerr != nil || amount.Minor > now.Captured-now.Refunded {
		return now, err
	}
	made := false
	err = keyed(ctx, p.Attempt+"/refund/"+refund, func(key string) error {
		params := &stripego.RefundCreateParams{
			PaymentIntent: stripego.String(intent.ID), Amount: stripego.Int64(units),
			Metadata: map[string]string{metaRefund: refund, metaAttempt: p.Attempt},
		}
		params.SetIdempotencyKey(key)
		_, err := g.client.V1Refunds.Create(ctx, params)
		return err
	}, func() (bool, error) {
		made, err := g.refunded(ctx, intent.ID, refund)
		return !made, err
	})
	if err == nil {
		made, err = g.refunded(ctx, intent.ID, refund) // an answer may have been kept, and a refund may have failed at once
	}
	if err != nil {
		return payments.Answer{}, err
	}
	now, err = g.retrieve(ctx, intent.ID)
	now.Made = made && err == nil
	return now, err
}

// refunded reports whether a refund was made, and has not failed since.
func (g *Gateway) refunded(ctx context.Context, intentID, refund string) (bool, error) {
	list := &stripego.RefundListParams{PaymentIntent: stripego.String(intentID)}
	list.Limit = stripego.Int64(page)
	for made, err := range g.client.V1Refunds.List(ctx, list) {
		if err != nil {
			return false, unanswered(err)
		}
		if made.Metadata[metaRefund] == refund && !undone(made) {
			return true, nil
		}
	}
	return false, nil
}

// List implements payments.Gateway. Stripe notes each capture and each refund as a transaction of the balance, with its time. Transactions that are not
// of attempts of a shop are left out.
func (g *Gateway) List(ctx context.Context, from, to time.Time, cursor string) (payments.Page, error) {
	list := &stripego.BalanceTransactionListParams{
		CreatedRange: &stripego.RangeQueryParams{GreaterThanOrEqual: from.Unix(), LesserThan: to.Unix()},
	}
	list.Limit = stripego.Int64(page)
	if cursor != "" {
		list.StartingAfter = stripego.String(cursor)
	}
	list.AddExpand("data.source")
	var out payments.Page
	seen := 0
	for transaction, err := range g.client.V1BalanceTransactions.List(ctx, list) {
		if err != nil {
			return payments.Page{}, unanswered(err)
		}
		if m, ok := movementOf(transaction); ok {
			out.Movements = append(out.Movements, m)
		}
		seen++
		if seen == page {
			out.Next = transaction.ID
			break
		}
	}
	return out, nil
}

// movementOf returns what a transaction of the balance has moved. The amounts of the transaction itself may be in another currency.
func movementOf(transaction *stripego.BalanceTransaction) (m payments.Movement, ok bool) {
	if transaction.Source == nil {
		return m, false
	}
	switch charge, refund := transaction.Source.Charge, transaction.Source.Refund; {
	case transaction.Type == stripego.BalanceTransactionTypeCharge && charge != nil && charge.PaymentIntent != nil:
		currency := strings.ToUpper(string(charge.Currency))
		m = payments.Movement{
			Kind: payments.MovedCapture, ID: charge.ID, Attempt: charge.Metadata[metaAttempt], Reference: charge.PaymentIntent.ID,
			Amount: payments.Amount{Minor: fromStripe(charge.AmountCaptured, currency), Currency: currency},
		}
	case transaction.Type == stripego.BalanceTransactionTypeRefund && refund != nil && refund.PaymentIntent != nil && !undone(refund):
		m = refundMoved(refund)
	case transaction.Type == stripego.BalanceTransactionTypeRefundFailure && refund != nil && refund.PaymentIntent != nil:
		m = refundMoved(refund)
		m.Kind = payments.MovedBack
	default:
		return m, false
	}
	m.At = time.Unix(transaction.Created, 0)
	return m, m.Attempt != "" || m.Kind != payments.MovedCapture // one by hand has no metadata; the reference tells whose it is
}

// undone reports whether a refund was not made after all.
func undone(r *stripego.Refund) bool {
	return r.Status == stripego.RefundStatusFailed || r.Status == stripego.RefundStatusCanceled
}

// refundMoved is the movement of a refund.
func refundMoved(r *stripego.Refund) payments.Movement {
	currency := strings.ToUpper(string(r.Currency))
	return payments.Movement{
		Kind: payments.MovedRefund, ID: r.ID, Attempt: r.Metadata[metaAttempt], Reference: r.PaymentIntent.ID, Refund: r.Metadata[metaRefund],
		Amount: payments.Amount{Minor: fromStripe(r.Amount, currency), Currency: currency}, At: time.Unix(r.Created, 0),
	}
}

// Movements implements payments.Gateway.
func (g *Gateway) Movements(ctx context.Context, p payments.Ref) ([]payments.Movement, error) {
	intent, err := g.locate(ctx, p)
	if err != nil || intent == nil {
		return nil, err
	}
	var moved []payments.Movement
	currency := strings.ToUpper(string(intent.Currency))
	if intent.Status == stripego.PaymentIntentStatusSucceeded && intent.AmountReceived > 0 {
		m := payments.Movement{
			Kind: payments.MovedCapture, Attempt: intent.Metadata[metaAttempt], Reference: intent.ID,
			Amount: payments.Amount{Minor: fromStripe(intent.AmountReceived, currency), Currency: currency}, At: time.Unix(intent.Created, 0),
		}
		if intent.LatestCharge != nil {
			m.ID = intent.LatestCharge.ID
		}
		moved = append(moved, m)
	}
	list := &stripego.RefundListParams{PaymentIntent: stripego.String(intent.ID)}
	list.Limit = stripego.Int64(page)
	for made, err := range g.client.V1Refunds.List(ctx, list) {
		if err != nil {
			return nil, unanswered(err)
		}
		if made.PaymentIntent == nil {
			made.PaymentIntent = intent
		}
		if !undone(made) {
			m := refundMoved(made)
			m.Attempt = intent.Metadata[metaAttempt]
			moved = append(moved, m)
		}
	}
	return moved, nil
}

// keys bounds how often a call is made with another key. It is chosen: each time Stripe must have failed, and have kept that.
const keys = 4

// keyed makes a call with an idempotency key. If Stripe gives a failure again that it has kept, and the call is undone, it will do so for a day:
// keyed goes on with the next key. Callers at the same time take the same keys, so that the call has one effect.
//
// It returns nil if Stripe has done what it was asked for, or has refused it: the state of the payment tells which.
func keyed(ctx context.Context, key string, call func(key string) error, undone func() (bool, error)) error {
	for n := 1; ; n++ {
		err := busy(ctx, func() error { return call(key) })
		var refused *stripego.Error
		if err == nil || !errors.As(err, &refused) {
			return unanswered(err)
		}
		if !replayed(refused.LastResponse) {
			if refused.HTTPStatusCode == http.StatusBadRequest || refused.HTTPStatusCode == http.StatusPaymentRequired {
				return nil
			}
			return unanswered(err)
		}
		again, uerr := undone()
		if uerr != nil {
			return uerr
		}
		if !again || n == keys {
			return nil
		}
		key = fmt.Sprintf("%s/%d", key, n+1)
	}
}

// Lookup implements payments.Gateway.
func (g *Gateway) Lookup(ctx context.Context, p payments.Ref) (payments.Answer, error) {
	intent, err := g.locate(ctx, p)
	if err != nil {
		return payments.Answer{}, err
	}
	if intent == nil {
		return payments.Answer{State: payments.StateNotFound}, nil
	}
	return answer(intent)
}

// locate returns the PaymentIntent of an attempt, or nil if there is none.
func (g *Gateway) locate(ctx context.Context, p payments.Ref) (*stripego.PaymentIntent, error) {
	if p.Reference == "" {
		return g.find(ctx, p.Attempt)
	}
	intent, err := g.intent(ctx, p.Reference)
	if refused := (*stripego.Error)(nil); errors.As(err, &refused) && refused.Code == stripego.ErrorCodeResourceMissing {
		return nil, nil
	}
	if err != nil {
		return nil, unanswered(err)
	}
	return intent, nil
}

// find returns the PaymentIntent of an attempt whose reference is not known, or nil if there is none. Lists have what was made right now,
// and cannot be asked for metadata; the search can, and has what was made less than a minute ago not yet. So the last
// [page] of the list are looked at, and then the search. To repeat the creation with the same key would need all of its parameters, and
// would make a payment where there was none.
func (g *Gateway) find(ctx context.Context, attempt string) (*stripego.PaymentIntent, error) {
	list := &stripego.PaymentIntentListParams{}
	list.Limit = stripego.Int64(page)
	list.AddExpand("data.latest_charge")
	seen := 0
	for intent, err := range g.client.V1PaymentIntents.List(ctx, list) {
		if err != nil {
			return nil, unanswered(err)
		}
		if intent.Metadata[metaAttempt] == attempt {
			return intent, nil
		}
		seen++
		if seen == page {
			break
		}
	}
	search := &stripego.PaymentIntentSearchParams{}
	search.Query = fmt.Sprintf("metadata['%s']:'%s'", metaAttempt, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(attempt))
	search.AddExpand("data.latest_charge")
	for intent, err := range g.client.V1PaymentIntents.Search(ctx, search) {
		if err != nil {
			return nil, unanswered(err)
		}
		return intent, nil
	}
	return nil, nil
}

func (g *Gateway) intent(ctx context.Context, id string) (*stripego.PaymentIntent, error) {
	params := &stripego.PaymentIntentRetrieveParams{}
	params.AddExpand("latest_charge")
	return g.client.V1PaymentIntents.Retrieve(ctx, id, params)
}

func (g *Gateway) retrieve(ctx context.Context, id string) (payments.Answer, error) {
	intent, err := g.intent(ctx, id)
	if err != nil {
		return payments.Answer{}, unanswered(err)
	}
	return answer(intent)
}

// answer returns the state of a PaymentIntent, whose charge must be expanded if anything was captured.
func answer(intent *stripego.PaymentIntent) (payments.Answer, error) {
	a := payments.Answer{Reference: intent.ID}
	if e := intent.LastPaymentError; e != nil {
		a.Reason = e.Msg
	}
	switch intent.Status {
	case stripego.PaymentIntentStatusRequiresPaymentMethod:
		a.State = payments.StateRequiresAction // of a customer whose card was declined, too: they may take another one
		if intent.Metadata[metaConfirmed] != "" && intent.LastPaymentError != nil {
			a.State = payments.StateDeclined
		}
	case stripego.PaymentIntentStatusRequiresConfirmation, stripego.PaymentIntentStatusRequiresAction:
		a.State = payments.StateRequiresAction
	case stripego.PaymentIntentStatusProcessing:
		a.State = payments.StatePending
	case stripego.PaymentIntentStatusRequiresCapture:
		a.State = payments.StateAuthorized
	case stripego.PaymentIntentStatusCanceled:
		a.State, a.Held = payments.StateVoided, intent.LatestCharge != nil && intent.LatestCharge.Paid
	case stripego.PaymentIntentStatusSucceeded:
		currency := strings.ToUpper(string(intent.Currency))
		a.State, a.Captured = payments.StateCaptured, fromStripe(intent.AmountReceived, currency)
		if intent.LatestCharge != nil {
			a.Refunded = fromStripe(intent.LatestCharge.AmountRefunded, currency)
		}
		if a.Captured > 0 && a.Refunded >= a.Captured {
			a.State = payments.StateRefunded
		}
	default:
		return payments.Answer{}, fmt.Errorf("stripe: the payment has the status %q, which is not known here", intent.Status)
	}
	if a.State == payments.StateRequiresAction {
		a.ClientSecret = intent.ClientSecret
		if next := intent.NextAction; next != nil && next.RedirectToURL != nil {
			a.RedirectURL = next.RedirectToURL.URL
		}
	}
	return a, nil
}

// replayed reports whether Stripe has kept an answer and gives it again.
func replayed(r *stripego.APIResponse) bool {
	return r != nil && r.Header.Get("Idempotent-Replayed") == "true"
}

// busy repeats a call that Stripe refuses because another call with the same key, or of the same payment, is under way.
func busy(ctx context.Context, call func() error) error {
	for try, pause := 1, busyPause; ; try, pause = try+1, 2*pause {
		err := call()
		var refused *stripego.Error
		if !errors.As(err, &refused) || try == busyTries || refused.HTTPStatusCode != http.StatusConflict &&
			(refused.HTTPStatusCode != http.StatusTooManyRequests || refused.Code != stripego.ErrorCodeLockTimeout) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// unanswered describes an error of a call whose outcome is unknown, without what the library writes of the request.
func unanswered(err error) error {
	if err == nil {
		return nil
	}
	var refused *stripego.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("stripe: %w", setting.WithoutURL(err))
	}
	return fmt.Errorf("stripe: status %d, %s %s: %s (request %s)", refused.HTTPStatusCode, refused.Type, refused.Code, refused.Msg, refused.RequestID)
}
