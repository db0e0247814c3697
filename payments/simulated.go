package payments

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// SimulatedSettings are what the simulated gateway makes of payments.
type SimulatedSettings struct {
	// Latency is how long each call of the simulated gateway takes.
	Latency time.Duration `key:"latency" min:"0s" max:"1m"`
	// AuthorizationFailureRate is the share of authorisations that the simulated gateway declines.
	AuthorizationFailureRate float64 `key:"authorizationFailureRate" min:"0" max:"1"`
	// ActionRate is the share of authorisations that the customer has to confirm at a page of the simulated gateway, which the server
	// has at /simulated-gateway/.
	ActionRate float64 `key:"actionRate" min:"0" max:"1"`
	// CaptureFailureRate is the share of captures that the simulated gateway declines.
	CaptureFailureRate float64 `key:"captureFailureRate" min:"0" max:"1"`
	// ErrorRate is the share of calls of the simulated gateway that fail before it has done anything.
	ErrorRate float64 `key:"errorRate" min:"0" max:"1"`
	// LostAnswerRate is the share of calls that the simulated gateway carries out without answering.
	LostAnswerRate float64 `key:"lostAnswerRate" min:"0" max:"1"`
	// WebhookSecret is what the messages of the simulated gateway are signed with, at least 32 bytes; "holdfast webhook simulate" sends
	// such messages. If it is empty, the simulated gateway has no webhook.
	WebhookSecret string `key:"webhookSecret" secret:"true"`
}

// Simulated is a gateway that takes no money. It decides by the payment method and the ID of the attempt what it declines, so that all
// instances decline the same. What it knows of a payment is in the memory of this process. A payment that another process has made, which the reference tells, is
// taken to be authorized, whatever has become of it there: its amount is not checked, what was captured, voided or refunded there is not
// known, a refund is made whatever was refunded there, and one that is repeated is made again. It keeps what [Gateway] promises within one
// process only.
type Simulated struct {
	settings SimulatedSettings
	// Now is the clock that movements are noted by: that of this process, unless it is set before the first call.
	Now   func() time.Time
	mu    sync.Mutex
	known *lru.Cache[string, *simulatedPayment]
}

type simulatedPayment struct {
	state    State
	held     bool   // it was AUTHORIZED before it was VOIDED
	amount   Amount // 0 if another process has authorized it
	captured int64
	at       time.Time // when it was captured
	refunds  map[string]simulatedRefund
}

type simulatedRefund struct {
	minor int64
	at    time.Time
}

// simulatedPayments bounds what a process remembers: about 50 MB. It is chosen to outlast the payments that are under way.
const simulatedPayments = 200_000

// NewSimulated returns a simulated gateway.
func NewSimulated(settings SimulatedSettings) *Simulated {
	known, err := lru.New[string, *simulatedPayment](simulatedPayments)
	if err != nil {
		panic(fmt.Sprintf("payments: %v", err)) // the size is a constant
	}
	return &Simulated{settings: settings, Now: time.Now, known: known}
}

// errSimulated is the failure of a call that gets no answer.
var errSimulated = errors.New("the simulated gateway does not answer")

// call waits for the latency and runs f, unless it fails before; the answer may be lost.
func (g *Simulated) call(ctx context.Context, f func() (Answer, error)) (Answer, error) {
	if g.settings.Latency > 0 {
		timer := time.NewTimer(g.settings.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
	if rand.Float64() < g.settings.ErrorRate {
		return Answer{}, fmt.Errorf("%w: it has done nothing", errSimulated)
	}
	g.mu.Lock()
	answer, err := f()
	g.mu.Unlock()
	if rand.Float64() < g.settings.LostAnswerRate {
		return Answer{}, fmt.Errorf("%w: it has done what it was asked for", errSimulated)
	}
	return answer, err
}

// declines decides by the attempt, so that it decides alike whenever it is asked.
func declines(call, attempt string, rate float64) bool {
	sum := sha256.Sum256([]byte(call + "\x00" + attempt))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11)/(1<<53) < rate
}

// Authorize implements Gateway.
func (g *Simulated) Authorize(ctx context.Context, a Authorization) (Answer, error) {
	return g.call(ctx, func() (Answer, error) {
		p, known := g.known.Get(a.Attempt)
		switch {
		case known && p.amount != (Amount{}) && p.amount != a.Amount:
			return Answer{}, ErrMismatch
		case known:
		default:
			p = &simulatedPayment{state: StateAuthorized, amount: a.Amount}
			switch {
			case a.Token == SimulatedDeclined, declines("authorize", a.Attempt, g.settings.AuthorizationFailureRate):
				p.state = StateDeclined
			case a.Token == SimulatedAction, declines("action", a.Attempt, g.settings.ActionRate):
				p.state = StateRequiresAction
			}
			g.known.Add(a.Attempt, p)
		}
		return p.answer(a.Attempt), nil
	})
}

// Capture implements Gateway.
func (g *Simulated) Capture(ctx context.Context, ref Ref, amount Amount) (Answer, error) {
	return g.change(ctx, ref, func(p *simulatedPayment) {
		switch {
		case p.state != StateAuthorized, p.amount.Minor > 0 && amount.Minor > p.amount.Minor:
		case declines("capture", ref.Attempt, g.settings.CaptureFailureRate):
			p.state = StateDeclined
		default:
			p.state, p.captured, p.at = StateCaptured, amount.Minor, g.Now()
		}
	})
}

// Void implements Gateway.
func (g *Simulated) Void(ctx context.Context, ref Ref) (Answer, error) {
	return g.change(ctx, ref, func(p *simulatedPayment) {
		if p.state == StateAuthorized || p.state == StateRequiresAction {
			p.held, p.state = p.state == StateAuthorized, StateVoided
		}
	})
}

// Refund implements Gateway.
func (g *Simulated) Refund(ctx context.Context, ref Ref, refund string, amount Amount) (Answer, error) {
	made, elsewhere := false, false
	answer, err := g.change(ctx, ref, func(p *simulatedPayment) {
		defer func() { _, made = p.refunds[refund] }()
		elsewhere = p.state == StateAuthorized && p.amount == (Amount{}) // it was captured by another process, nobody knows how much
		if _, repeated := p.refunds[refund]; repeated || !elsewhere && (p.state != StateCaptured || amount.Minor > p.captured-p.refunded()) {
			return
		}
		if p.refunds == nil {
			p.refunds = map[string]simulatedRefund{}
		}
		p.refunds[refund] = simulatedRefund{amount.Minor, g.Now()}
		if !elsewhere && p.refunded() == p.captured {
			p.state = StateRefunded
		}
	})
	if elsewhere && err == nil { // as far as this process knows, all of it
		answer.State, answer.Captured = StateRefunded, answer.Refunded
	}
	answer.Made = made && err == nil
	return answer, err
}

// Lookup implements Gateway.
func (g *Simulated) Lookup(ctx context.Context, ref Ref) (Answer, error) {
	return g.change(ctx, ref, func(*simulatedPayment) {})
}

// Partial implements Partial: other processes, and this one before it was started, may have moved more.
func (g *Simulated) Partial() bool { return true }

// simulatedListed is how many movements the simulated gateway lists at once. It is chosen.
const simulatedListed = 1000

// List implements Gateway. It has what this process has done.
func (g *Simulated) List(ctx context.Context, from, to time.Time, cursor string) (Page, error) {
	var page Page
	_, err := g.call(ctx, func() (Answer, error) {
		for _, attempt := range g.known.Keys() {
			p, _ := g.known.Peek(attempt)
			for _, m := range p.movements(attempt) {
				if !m.At.Before(from) && m.At.Before(to) && m.order() > cursor {
					page.Movements = append(page.Movements, m)
				}
			}
		}
		return Answer{}, nil
	})
	slices.SortFunc(page.Movements, func(a, b Movement) int { return cmp.Compare(a.order(), b.order()) })
	if len(page.Movements) > simulatedListed {
		page.Movements = page.Movements[:simulatedListed]
		page.Next = page.Movements[simulatedListed-1].order()
	}
	return page, err
}

// order is what the simulated gateway lists movements by.
func (m Movement) order() string { return fmt.Sprintf("%020d %s", m.At.UnixNano(), m.ID) }

// Movements implements Gateway.
func (g *Simulated) Movements(ctx context.Context, ref Ref) (list []Movement, err error) {
	_, err = g.call(ctx, func() (Answer, error) {
		if p, known := g.known.Peek(ref.Attempt); known {
			list = p.movements(ref.Attempt)
		}
		return Answer{}, nil
	})
	return list, err
}

// movements are those that this process has made. Of a payment that another process has authorized, it does not know all.
func (p *simulatedPayment) movements(attempt string) (list []Movement) {
	if p.amount == (Amount{}) {
		return nil
	}
	m := Movement{Kind: MovedCapture, ID: "sim_ch_" + attempt, Attempt: attempt, Reference: SimulatedReference(attempt), At: p.at}
	if p.captured > 0 {
		m.Amount = Amount{Minor: p.captured, Currency: p.amount.Currency}
		list = append(list, m)
	}
	m.Kind = MovedRefund
	for refund, r := range p.refunds {
		m.ID, m.Refund, m.Amount.Minor, m.At = "sim_re_"+attempt+"/"+refund, refund, r.minor, r.at
		list = append(list, m)
	}
	return list
}

// change applies f to a payment, and returns the payment's state.
func (g *Simulated) change(ctx context.Context, ref Ref, f func(p *simulatedPayment)) (Answer, error) {
	return g.call(ctx, func() (Answer, error) {
		p, known := g.known.Get(ref.Attempt)
		switch {
		case known:
		case ref.Reference == "":
			return Answer{State: StateNotFound}, nil
		default:
			p = &simulatedPayment{state: StateAuthorized}
			g.known.Add(ref.Attempt, p)
		}
		f(p)
		return p.answer(ref.Attempt), nil
	})
}

// The payment methods by which the simulated gateway does what it otherwise does at random. Stripe has them under the same names in its test
// mode. Any other is as none.
const (
	SimulatedDeclined = "pm_card_chargeDeclined"         // is declined
	SimulatedAction   = "pm_card_authenticationRequired" // its customer has to confirm the payment
)

// SimulatedReference returns the reference that the simulated gateway gives to the payment of an attempt.
func SimulatedReference(attempt string) string { return "sim_" + attempt }

func (p *simulatedPayment) refunded() int64 {
	sum := int64(0)
	for _, r := range p.refunds {
		sum += r.minor
	}
	return sum
}

func (p *simulatedPayment) answer(attempt string) Answer {
	a := Answer{State: p.state, Reference: SimulatedReference(attempt), Captured: p.captured, Refunded: p.refunded()}
	switch p.state {
	case StateDeclined:
		a.Reason = "the simulated gateway declines it"
	case StateVoided:
		a.Held = p.held
	case StateRequiresAction:
		a.ClientSecret, a.RedirectURL = "sim_secret_"+attempt, SimulatedPath+attempt
	}
	return a
}
