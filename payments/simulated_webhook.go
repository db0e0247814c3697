package payments

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SimulatedSignature is the header of the signature of a message of the simulated gateway:
//
//	t=1893456000,v1=5257a869...
//
// t is when the message was signed, in seconds since 1970. v1 is the HMAC (SHA-256, with the secret, hexadecimal) of t, a dot, and the body.
const SimulatedSignature = "Holdfast-Signature"

// WebhookTolerance is how far the time of a signature may be from now, before and after. It is that which Stripe recommends: a message that
// somebody has recorded is worth nothing after it.
const WebhookTolerance = 5 * time.Minute

// SimulatedMessage is what the simulated gateway sends to the webhook, as JSON.
type SimulatedMessage struct {
	ID        string `json:"id"` // of the message; a repeat has the same
	Attempt   string `json:"attempt"`
	State     State  `json:"state"`
	Reference string `json:"reference,omitempty"`
	Captured  int64  `json:"captured,omitempty"` // minor units
	Refunded  int64  `json:"refunded,omitempty"` // minor units
	Reason    string `json:"reason,omitempty"`
}

// SignSimulated returns the signature of a message of the simulated gateway, for the header [SimulatedSignature].
func SignSimulated(secret string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(simulatedMAC(secret, t, body))
}

func simulatedMAC(secret, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// told are the states that a message may tell.
var told = []State{
	StatePending, StateRequiresAction, StateAuthorized, StateCaptured, StateRefunded, StateDeclined, StateVoided,
}

// ParseWebhook implements Gateway. Without a secret the simulated gateway has no webhook.
func (g *Simulated) ParseWebhook(header http.Header, body []byte, now time.Time) ([]Notification, error) {
	if g.settings.WebhookSecret == "" {
		return nil, errors.ErrUnsupported
	}
	if err := checkSimulated(g.settings.WebhookSecret, header.Get(SimulatedSignature), body, now); err != nil {
		return nil, err
	}
	var m SimulatedMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errors.New("the message is no JSON of a notification") // not err, which quotes the body
	}
	if m.ID == "" || m.Attempt == "" || !slices.Contains(told, m.State) || m.Captured < 0 || m.Refunded < 0 {
		return nil, errors.New("the message lacks id, attempt or state, or has one that does not exist")
	}
	return []Notification{{ID: m.ID, Attempt: m.Attempt, Answer: Answer{
		State: m.State, Reference: m.Reference, Captured: m.Captured, Refunded: m.Refunded, Reason: m.Reason,
	}}}, nil
}

// checkSimulated returns why a signature is not to be trusted. The time counts only if the signature is right.
func checkSimulated(secret, signature string, body []byte, now time.Time) error {
	var t, v1 string
	for part := range strings.SplitSeq(signature, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			t = value
		case "v1":
			v1 = value
		}
	}
	mac, err := hex.DecodeString(v1)
	seconds, terr := strconv.ParseInt(t, 10, 64)
	if err != nil || terr != nil || !hmac.Equal(mac, simulatedMAC(secret, t, body)) {
		return errors.New("the signature is missing or wrong")
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > WebhookTolerance {
		return fmt.Errorf("the signature is more than %s old, or of the future", WebhookTolerance)
	}
	return nil
}
