package commerce

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// Gateway takes card payments. Calls are idempotent by reference, which is the order's ID: a call repeated after a
// crash or a lost answer returns the first result.
type Gateway interface {
	// Authorize reserves the amount. It returns ErrDeclined if the payer's bank refuses.
	Authorize(ctx context.Context, reference string, amount Money) error
	// Capture takes what was authorized. It returns ErrDeclined if that has become impossible.
	Capture(ctx context.Context, reference string) error
	// Cancel ends a payment whatever its state: an authorization is voided, a capture refunded. A later Capture is
	// declined.
	Cancel(ctx context.Context, reference string) error
}

// ErrDeclined means that the payment was refused for good: no repeat will change that.
var ErrDeclined = errors.New("payment declined")

// SimulatedGateway answers after a latency and declines at given rates, decided by the reference: as a real gateway, it
// gives the same answer to a repeated call, here without having to remember.
type SimulatedGateway struct {
	// Latency is how long each call of the simulated gateway takes.
	Latency time.Duration `key:"latency" min:"0s" max:"1m"`
	// AuthorizationFailureRate is the share of authorisations that the simulated gateway declines.
	AuthorizationFailureRate float64 `key:"authorizationFailureRate" min:"0" max:"1"`
	// CaptureFailureRate is the share of captures that the simulated gateway declines.
	CaptureFailureRate float64 `key:"captureFailureRate" min:"0" max:"1"`
}

// Authorize implements Gateway.
func (g SimulatedGateway) Authorize(ctx context.Context, reference string, _ Money) error {
	return g.answer(ctx, "authorize", reference, g.AuthorizationFailureRate)
}

// Capture implements Gateway.
func (g SimulatedGateway) Capture(ctx context.Context, reference string) error {
	return g.answer(ctx, "capture", reference, g.CaptureFailureRate)
}

// Cancel implements Gateway.
func (g SimulatedGateway) Cancel(ctx context.Context, reference string) error {
	return g.answer(ctx, "cancel", reference, 0)
}

func (g SimulatedGateway) answer(ctx context.Context, call, reference string, failureRate float64) error {
	if g.Latency > 0 {
		timer := time.NewTimer(g.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	sum := sha256.Sum256([]byte(call + "\x00" + reference))
	if float64(binary.BigEndian.Uint64(sum[:8])>>11)/(1<<53) < failureRate {
		return ErrDeclined
	}
	return nil
}
