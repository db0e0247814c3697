package history

import (
	"fmt"
	"strings"
	"time"
)

// Name is the name of an anomaly.
type Name string

// The anomalies, the worst first.
const (
	// DuplicatedEffect: one change has taken effect more than once.
	DuplicatedEffect Name = "duplicated effect"
	// VanishedEffect: an effect that was acknowledged, or that the balance counts, is not in the journal.
	VanishedEffect Name = "vanished effect"
	// LostUpdate: two changes were made of the same version, so that the second overwrote the first.
	LostUpdate Name = "lost update"
	// G0 is a cycle of writes: of two changes, each overwrote the other.
	G0 Name = "G0"
	// G1a is an aborted read: somebody saw, or built on, what was refused or never committed.
	G1a Name = "G1a"
	// G1b is an intermediate read: somebody saw a balance between two effects of one change.
	G1b Name = "G1b"
	// G1c is a cycle of writes and reads: of two operations, each saw what the other did.
	G1c Name = "G1c"
	// GSingle is a cycle with exactly one rw edge: somebody saw one part of a change and not the other.
	GSingle Name = "G-single"
	// G2 is a cycle with more rw edges: of two operations, neither saw the other, as in a write skew.
	G2 Name = "G2"
	// StaleRead: a read was sent after a write was acknowledged as persisted, and does not see it.
	StaleRead Name = "stale read after acknowledgement"
	// NonMonotonicRead: a client sees less than it has seen before.
	NonMonotonicRead Name = "non-monotonic read"
	// SessionViolation: another cycle that has a session in it.
	SessionViolation Name = "session violation"
	// RealTimeViolation: an operation was sent after another was answered, and comes before it all the same.
	RealTimeViolation Name = "real-time violation"
)

// Names are all anomalies, the worst first.
func Names() []Name {
	return []Name{
		DuplicatedEffect, VanishedEffect, LostUpdate, G0, G1a, G1b, G1c, GSingle, G2, StaleRead, NonMonotonicRead, SessionViolation,
		RealTimeViolation,
	}
}

// Meaning returns what an anomaly means, in one sentence.
func (n Name) Meaning() string { return meanings[n] }

var meanings = map[Name]string{
	DuplicatedEffect:  "One request has taken effect more than once.",
	VanishedEffect:    "An effect that was acknowledged, or counted, is not there.",
	LostUpdate:        "Two changes were computed from the same number; one of them is lost.",
	G0:                "Each of two changes overwrote the other.",
	G1a:               "Somebody saw, or built on, what was refused or never committed.",
	G1b:               "Somebody saw a number between two steps of one change.",
	G1c:               "Two operations each saw what the other did.",
	GSingle:           "Somebody saw one part of a change and missed another part.",
	G2:                "Operations each missed what the next one did.",
	StaleRead:         "A read that was sent after an acknowledgement does not see what was acknowledged.",
	NonMonotonicRead:  "A customer saw less than the same customer had seen before.",
	SessionViolation:  "The order in which one customer did things is not the order in which they happened.",
	RealTimeViolation: "Something that began after another thing had ended comes before it.",
}

// Anomaly is all findings of one name.
type Anomaly struct {
	Name Name `json:"name"`
	// Count is how many there are: of cycles, how many groups of operations have one.
	Count int `json:"count"`
	// Cycle is the shortest one. Its last edge leads back to its first operation. An anomaly of the kind "effect" has no edges.
	Cycle []Step `json:"cycle"`
	// Text tells the cycle, a line an edge.
	Text string `json:"text"`
}

// Step is one operation of a cycle and the edge that leads on from it.
type Step struct {
	// Operation describes it.
	Operation string `json:"operation"`
	// Client is who sent it, or -1 if no client of the history did.
	Client int `json:"client"`
	// Start and End are its times. End is 0 if no answer came that counts.
	Start time.Duration `json:"start"`
	End   time.Duration `json:"end"`
	// Edge is the kind of the edge, and Why what it says. Both are empty if no edge leads on.
	Edge EdgeKind `json:"edge,omitempty"`
	Why  string   `json:"why,omitempty"`
}

// EdgeKind says why one operation is before another.
type EdgeKind string

// The kinds of edges.
const (
	WW       EdgeKind = "ww"
	WR       EdgeKind = "wr"
	RW       EdgeKind = "rw"
	Session  EdgeKind = "session"
	RealTime EdgeKind = "real time"
)

// tell returns the text of a cycle.
func tell(name Name, cycle []Step, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", name, name.Meaning())
	if note != "" {
		fmt.Fprintf(&b, "  %s\n", note)
	}
	letters := map[int]string{}
	for i := range cycle {
		letters[i] = letter(i)
	}
	for i, s := range cycle {
		fmt.Fprintf(&b, "  %s = %s\n", letters[i], s.describe())
	}
	for i, s := range cycle {
		if s.Edge != "" {
			fmt.Fprintf(&b, "  %s is before %s (%s): %s\n", letters[i], letters[(i+1)%len(cycle)], s.Edge, s.Why)
		}
	}
	return b.String()
}

func (s Step) describe() string {
	switch {
	case s.Client < 0:
		return s.Operation + ", by an unknown client"
	case s.End == 0:
		return fmt.Sprintf("%s by client %d, sent at %s, no answer that counts", s.Operation, s.Client, s.Start)
	}
	return fmt.Sprintf("%s by client %d, from %s to %s", s.Operation, s.Client, s.Start, s.End)
}

// letter names the operations of a cycle: A to Z, then A1 and so on.
func letter(i int) string {
	name := string(rune('A' + i%26))
	if i >= 26 {
		name += fmt.Sprint(i / 26)
	}
	return name
}
