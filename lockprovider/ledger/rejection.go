package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Rejected is the refusal of a change by the [RecordWriter] under a Redis-first strategy, or by the database after
// Redis had admitted it: a failure with a code that survives the way through Redis to the process that waits.
type Rejected struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *Rejected) Error() string { return r.Code + ": " + r.Message }

const (
	// rejectedByDatabase is the code of a rejection that is no business failure.
	rejectedByDatabase = "REJECTED"
	// rejectedAsExpired is the code of [ErrIDExpired].
	rejectedAsExpired = "EXPIRED"
	// rejectedAsUnknown is the code of [ErrUnknownBalance].
	rejectedAsUnknown = "UNKNOWN_BALANCE"
)

// rejection is how a reason is remembered in Redis and sent to other processes: a Rejected, or the moves that did not fit.
type rejection struct {
	Rejected *Rejected         `json:"rejected,omitempty"`
	Refusals []rejectedRefusal `json:"refusals,omitempty"`
}

type rejectedRefusal struct {
	Balance   string `json:"balance"`
	Delta     int64  `json:"delta"`
	Available int64  `json:"available"`
}

// EncodeRejection returns why a change was refused in the form in which Redis, messages and the change log keep it; "" for nil.
func EncodeRejection(reason error) string {
	if reason == nil {
		return ""
	}
	var refused *Refused
	var rejected *Rejected
	var r rejection
	switch {
	case errors.As(reason, &refused):
		for _, f := range refused.Refusals {
			r.Refusals = append(r.Refusals, rejectedRefusal{Balance: f.Balance, Delta: f.Delta, Available: f.Available})
		}
	case errors.As(reason, &rejected):
		r.Rejected = rejected
	case errors.Is(reason, ErrIDExpired):
		r.Rejected = &Rejected{Code: rejectedAsExpired}
	case errors.Is(reason, ErrUnknownBalance):
		r.Rejected = &Rejected{Code: rejectedAsUnknown, Message: strings.TrimPrefix(reason.Error(), ErrUnknownBalance.Error()+": ")}
	default:
		r.Rejected = &Rejected{Code: rejectedByDatabase, Message: reason.Error()}
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain values
	}
	return string(body)
}

// DecodeRejection is the inverse of [EncodeRejection]. A reason of another kind than *[Refused] comes back as a *[Rejected].
func DecodeRejection(body string) error {
	var r rejection
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Rejected == nil && r.Refusals == nil {
		return fmt.Errorf("rejection %q cannot be read: %w", body, err)
	}
	switch {
	case r.Rejected == nil:
	case r.Rejected.Code == rejectedAsExpired:
		return ErrIDExpired
	case r.Rejected.Code == rejectedAsUnknown:
		return fmt.Errorf("%w: %s", ErrUnknownBalance, r.Rejected.Message)
	default:
		return r.Rejected
	}
	refused := &Refused{}
	for _, f := range r.Refusals {
		reason := ErrInsufficient // only a move downwards falls below a floor
		if f.Delta > 0 {
			reason = ErrLimit
		}
		refused.Refusals = append(refused.Refusals, Refusal{
			Balance: f.Balance, Delta: f.Delta, Available: f.Available, Reason: reason,
		})
	}
	return refused
}
