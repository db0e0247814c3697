package audit

import (
	"slices"

	"holdfast/experiment/claims"
	"holdfast/experiment/history"
)

// Finding is something that must not be.
type Finding struct {
	// Kind is one of the kinds below.
	Kind string `json:"kind"`
	// Subject is the balance or the request that is concerned.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Units are how many units, points or minor units of money are concerned, where that can be said.
	Units int64 `json:"units,omitempty"`
}

// The kinds of findings.
const (
	LostMoney    = "money lost or invented"
	Oversold     = "oversold"
	LostUnits    = "units lost or invented"
	Journal      = "journal does not add up"
	Missing      = claims.Missing
	Phantom      = claims.Phantom
	Contradicted = claims.Contradiction
	WrongRefusal = "refused without a reason"
	Unasked      = "nobody asked for it"
	Drift        = "redis and database differ"
	Stuck        = "never persisted"
	Untold       = "an event was lost or handled twice"
)

// LoudestFirst returns the findings in another order: anomalies of the order come first, then those that customers feel.
func LoudestFirst(findings []Finding) []Finding {
	var anomalies, first, then []Finding
	for _, f := range findings {
		if slices.Contains(history.Names(), history.Name(f.Kind)) {
			anomalies = append(anomalies, f)
			continue
		}
		switch f.Kind {
		case LostMoney, LostUnits, Oversold, Missing:
			first = append(first, f)
		default:
			then = append(then, f)
		}
	}
	return slices.Concat(anomalies, first, then)
}
