// Package webhooks receives the messages of payment gateways over HTTP: POST /webhooks/{gateway}.
//
// Whether a message is to be trusted, and what it means, package commerce says. This package bounds what is read, and answers so that
// a gateway repeats exactly those messages that were not recorded.
package webhooks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
)

// Pattern is what an http.ServeMux routes to the handler. It answers other methods with 405.
const Pattern = "POST /webhooks/{gateway}"

const (
	// maxBody bounds the body of a message. It is chosen: a message is about one payment, and has a few kilobytes.
	maxBody = 256 << 10
	// timeout bounds one message. It is chosen: gateways wait for some ten seconds, and then repeat the message.
	timeout = 10 * time.Second
)

// Receiver takes messages, as [commerce.Orders] does.
type Receiver interface {
	ReceiveWebhook(ctx context.Context, gateway string, header http.Header, body []byte) (commerce.WebhookOutcome, error)
}

// The outcomes besides those of package commerce.
const (
	elsewhere = "elsewhere" // the shop does not take messages of this gateway
	refused   = "refused"   // the signature or the body is bad
	tooLarge  = "too_large"
	failed    = "failed" // not recorded, or not looked up: the gateway repeats it
)

type handler struct {
	receiver Receiver
	log      *slog.Logger
	messages *prometheus.CounterVec
}

// New returns the handler. It counts messages in the registry, unless that is nil.
//
// It answers 200 if the message is recorded or was before, 400 if its signature or its body is bad, 404 if the shop does not take messages
// of this gateway, 413 if it is too large, and 503 if it could not be recorded. It logs neither bodies nor headers.
func New(receiver Receiver, log *slog.Logger, registry prometheus.Registerer) http.Handler {
	h := &handler{receiver: receiver, log: log, messages: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_webhooks_total", Help: "Messages of payment gateways by what they have done.",
	}, []string{"outcome"})}
	if registry != nil {
		registry.MustRegister(h.messages)
	}
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		h.answer(w, http.StatusRequestEntityTooLarge, tooLarge)
		return
	}
	if err != nil {
		h.answer(w, http.StatusBadRequest, refused)
		return
	}
	outcome, err := h.receiver.ReceiveWebhook(ctx, r.PathValue("gateway"), r.Header, body)
	switch {
	case err == nil:
		h.answer(w, http.StatusOK, string(outcome))
	case errors.Is(err, commerce.ErrNoWebhook):
		h.answer(w, http.StatusNotFound, elsewhere)
	case errors.Is(err, commerce.ErrBadWebhook):
		h.log.DebugContext(ctx, "webhook refused", "reason", err) // anybody can send such a message, and the counter has them
		h.answer(w, http.StatusBadRequest, refused)
	default:
		h.log.WarnContext(ctx, "webhook not recorded", "error", err)
		h.answer(w, http.StatusServiceUnavailable, failed)
	}
}

func (h *handler) answer(w http.ResponseWriter, status int, outcome string) {
	h.messages.WithLabelValues(outcome).Inc()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, outcome+"\n")
}
