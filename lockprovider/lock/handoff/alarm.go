package handoff

import "time"

// alarm runs a function at the earliest of the times that it is set to. Its owner's mutex guards it.
type alarm struct {
	ring  func()
	timer *time.Timer
	at    time.Time // zero if it is not set
}

// set has the alarm ring no later than at.
func (a *alarm) set(at time.Time) {
	if !a.at.IsZero() && !at.Before(a.at) {
		return
	}
	a.at = at
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(at), a.ring)
	} else {
		a.timer.Reset(time.Until(at))
	}
}

// rung notes that the alarm has rung: it has to be set again.
func (a *alarm) rung() { a.at = time.Time{} }
