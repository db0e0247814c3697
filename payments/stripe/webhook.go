package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"

	"holdfast/payments"
)

// ParseWebhook implements payments.Gateway. It knows the events about PaymentIntents, charge.refunded, and those of refunds that have failed; others tell nothing. Without a
// secret there is no webhook.
func (g *Gateway) ParseWebhook(header http.Header, body []byte, now time.Time) ([]payments.Notification, error) {
	if g.webhookSecret == "" {
		return nil, errors.ErrUnsupported
	}
	signature := header.Get("Stripe-Signature")
	// The library goes by the clock of this process, and the shop by that of its database.
	event, err := webhook.ConstructEventWithOptions(body, signature, g.webhookSecret, webhook.ConstructEventOptions{IgnoreTolerance: true})
	switch {
	case errors.Is(err, webhook.ErrNotSigned), errors.Is(err, webhook.ErrInvalidHeader), errors.Is(err, webhook.ErrNoValidSignature):
		return nil, errors.New("the signature is missing or wrong")
	case err != nil && event.APIVersion != "":
		return nil, fmt.Errorf("the event has another API version than %s: set that of the endpoint at Stripe", stripego.APIVersion)
	case err != nil:
		return nil, errors.New("the message is no event") // not err, which may quote the body
	}
	if off := now.Sub(signedAt(signature)).Abs(); off > payments.WebhookTolerance {
		return nil, fmt.Errorf("the signature is more than %s old, or of the future", payments.WebhookTolerance)
	}
	if event.ID == "" || event.Data == nil {
		return nil, errors.New("the message is no event")
	}
	n := payments.Notification{ID: event.ID}
	switch {
	case strings.HasPrefix(string(event.Type), "refund."), event.Type == stripego.EventTypeChargeRefundUpdated:
		var refund stripego.Refund
		if err := json.Unmarshal(event.Data.Raw, &refund); err != nil {
			return nil, errors.New("the event has no refund")
		}
		if !undone(&refund) || refund.Metadata[metaRefund] == "" {
			return nil, nil // that it was made tells charge.refunded
		}
		n.Attempt, n.FailedRefund, n.Answer.Reason = refund.Metadata[metaAttempt], refund.Metadata[metaRefund], string(refund.FailureReason)
	case strings.HasPrefix(string(event.Type), "payment_intent."):
		var intent stripego.PaymentIntent
		if err := json.Unmarshal(event.Data.Raw, &intent); err != nil {
			return nil, errors.New("the event has no PaymentIntent")
		}
		n.Attempt = intent.Metadata[metaAttempt]
		if n.Answer, err = answer(&intent); err != nil {
			return nil, nil //nolint:nilerr // of a status that later versions may have: a look-up will tell
		}
	case event.Type == stripego.EventTypeChargeRefunded:
		var charge stripego.Charge
		if err := json.Unmarshal(event.Data.Raw, &charge); err != nil || charge.PaymentIntent == nil {
			return nil, errors.New("the event has no charge of a PaymentIntent")
		}
		currency := strings.ToUpper(string(charge.Currency))
		n.Attempt = charge.Metadata[metaAttempt] // Stripe copies those of the PaymentIntent when it makes the charge
		n.Answer = payments.Answer{
			State: payments.StateCaptured, Reference: charge.PaymentIntent.ID,
			Captured: fromStripe(charge.AmountCaptured, currency), Refunded: fromStripe(charge.AmountRefunded, currency),
		}
		if charge.Refunded && charge.Captured {
			n.Answer.State = payments.StateRefunded
		}
		if !charge.Captured { // an authorization that was released
			return nil, nil
		}
	}
	if n.Attempt == "" { // of something else that the account is used for
		return nil, nil
	}
	return []payments.Notification{n}, nil
}

// signedAt is the time of a signature that the library has checked. It takes the last one, as the library does.
func signedAt(signature string) time.Time {
	var at time.Time
	for part := range strings.SplitSeq(signature, ",") {
		if seconds, err := strconv.ParseInt(strings.TrimPrefix(part, "t="), 10, 64); err == nil && strings.HasPrefix(part, "t=") {
			at = time.Unix(seconds, 0)
		}
	}
	return at
}
