package lockprovider

// Guarantee is something that a strategy promises about the order in which changes happen, and in which reads see them.
type Guarantee string

// The guarantees, in the order of docs/strategies.md.
const (
	// OnceGuaranteed: what was acknowledged has taken effect once, and what was refused has not. No change is lost to another one.
	OnceGuaranteed Guarantee = "each effect once"
	// SerializableGuaranteed: all changes and reads of all balances could have happened one after another.
	SerializableGuaranteed Guarantee = "serializability over balances"
	// StrictGuaranteed: they could have happened so in an order that agrees with the clock. What is sent after an acknowledgement sees
	// what was acknowledged. For one balance this is strict serializability.
	StrictGuaranteed Guarantee = "strict serializability"
	// SessionGuaranteed: a customer sees its own changes, and never less than it has seen before.
	SessionGuaranteed Guarantee = "session guarantees"
)

// Guarantees are all guarantees.
func Guarantees() []Guarantee {
	return []Guarantee{OnceGuaranteed, SerializableGuaranteed, StrictGuaranteed, SessionGuaranteed}
}

// Since says from when on a guarantee holds for a change.
type Since string

// From when on guarantees hold.
const (
	// Never: the strategy does not promise it.
	Never Since = ""
	// SinceAnswer: from the answer on, which says that the change is persisted.
	SinceAnswer Since = "from the answer on"
	// SinceCommit: from the commit on. The answer may come before it, and then says that the change is accepted.
	SinceCommit Since = "from the commit on"
)

// Guarantees returns from when on a guarantee holds under the strategy, with an ack. Strategies that do not heed the ack answer after
// the commit.
func (i Info) Guarantees(_ Guarantee, ack Ack) Since {
	switch {
	case i.Control:
		return Never
	case i.Traits.HeedsAck && ack == AckAccepted:
		return SinceCommit
	}
	return SinceAnswer
}
