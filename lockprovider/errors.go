package lockprovider

import (
	"errors"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
)

// Errors that a caller acts on; see [Provider] for what each means.
var (
	ErrInsufficient   = ledger.ErrInsufficient
	ErrLimit          = ledger.ErrLimit
	ErrLockTimeout    = ledger.ErrLockTimeout
	ErrLockLost       = ledger.ErrLockLost
	ErrConflict       = ledger.ErrConflict
	ErrUnavailable    = ledger.ErrUnavailable
	ErrUnknown        = ledger.ErrUnknown
	ErrIDReused       = ledger.ErrIDReused
	ErrIDExpired      = ledger.ErrIDExpired
	ErrUnknownBalance = ledger.ErrUnknownBalance
	ErrInvalidChange  = ledger.ErrInvalidChange
	ErrBroken         = ledger.ErrBroken
	// ErrNestedLock is returned instead of a self-deadlock where the context already holds one of the keys.
	ErrNestedLock = lock.ErrNested
)

type (
	// Refusal and the types below say what a refused change tells. Package ledger documents them.
	Refusal  = ledger.Refusal
	Refused  = ledger.Refused
	Rejected = ledger.Rejected
)

// Retryable tells whether the same change, with the same ID, may succeed when it is sent again.
func Retryable(err error) bool {
	return errors.Is(err, ErrLockTimeout) || errors.Is(err, ErrLockLost) || errors.Is(err, ErrConflict) ||
		errors.Is(err, ErrUnavailable)
}

// Effect is what an answer of [Provider.Execute] says of the balances.
type Effect string

// The effects.
const (
	// EffectApplied: the change is applied, or accepted, now or before. After [ErrIDExpired] it is one with the same ID.
	EffectApplied Effect = "applied"
	// EffectRefused: the change was decided about and refused. It was not applied and will not be, unless it is sent again.
	EffectRefused Effect = "refused"
	// EffectNotStarted: the change was not decided about. This attempt changed nothing, and will not. An attempt before it whose
	// outcome is unknown may still be applied.
	EffectNotStarted Effect = "not started"
	// EffectUnknown: the change may be applied now or later. A repeat with the same ID finds out.
	EffectUnknown Effect = "unknown"
)

// EffectOf returns the effect of a change by the error of Execute. What is not known to have none counts as unknown.
func EffectOf(err error) Effect {
	var refused *Refused
	var rejected *Rejected
	switch {
	case err == nil, errors.Is(err, ErrIDExpired):
		return EffectApplied
	case errors.Is(err, ErrUnknown):
		return EffectUnknown
	case errors.As(err, &refused), errors.As(err, &rejected), errors.Is(err, ErrIDReused), errors.Is(err, ErrUnknownBalance),
		errors.Is(err, ErrInvalidChange), errors.Is(err, ErrBroken), errors.Is(err, ErrNestedLock):
		return EffectRefused
	case errors.Is(err, ErrLockTimeout), errors.Is(err, ErrLockLost), errors.Is(err, ErrConflict), errors.Is(err, ErrUnavailable):
		return EffectNotStarted
	}
	return EffectUnknown
}
