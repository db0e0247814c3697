package payments

// Status is how far a payment attempt has come, as the shop has it in its database.
type Status string

// The statuses of an attempt.
const (
	Created        Status = "CREATED"     // the gateway was not asked
	Authorizing    Status = "AUTHORIZING" // the gateway is being asked to reserve the amount
	RequiresAction Status = "REQUIRES_ACTION"
	Authorized     Status = "AUTHORIZED"
	Capturing      Status = "CAPTURING" // the gateway is being asked to take the amount
	Captured       Status = "CAPTURED"
	Refunding      Status = "REFUNDING" // the gateway is being asked to give it back
	Refunded       Status = "REFUNDED"  // it is given back, wholly or partly
	Declined       Status = "DECLINED"
	Voiding        Status = "VOIDING" // the gateway is being asked to end it without money
	Voided         Status = "VOIDED"
	Unknown        Status = "UNKNOWN" // an answer is missing: the gateway is to be looked up
)

// Statuses are all statuses of an attempt.
var Statuses = []Status{
	Created, Authorizing, RequiresAction, Authorized, Capturing, Captured, Refunding, Refunded, Declined, Voiding, Voided, Unknown,
}

// Pays reports whether the attempt may still take the money for what it is made for. An order has one such attempt at a time.
func (s Status) Pays() bool {
	switch s {
	case Created, Authorizing, RequiresAction, Authorized, Capturing, Unknown:
		return true
	}
	return false
}

// Open reports whether the attempt still has to come to an end at the gateway. What it is made for is not settled before.
func (s Status) Open() bool { return s.Pays() || s == Voiding || s == Refunding }

// Event is what moves an attempt: a call that the shop is about to make, or an answer of the gateway, whether it comes as the result
// of a call, of a look-up, or by a webhook.
type Event string

// The events. Those of the gateway have the names of its states.
const (
	OnAuthorize Event = "authorize" // the shop is about to call Authorize
	OnCapture   Event = "capture"
	OnVoid      Event = "void"
	OnRefund    Event = "refund"
	OnNoAnswer  Event = "no answer" // a call of Authorize or Capture has failed

	OnRequiresAction = Event(StateRequiresAction)
	OnAuthorized     = Event(StateAuthorized)
	OnCaptured       = Event(StateCaptured)
	OnRefunded       = Event(StateRefunded)
	OnRefundFailed   = Event("refund failed") // a part or all of what was given back has come back
	OnDeclined       = Event(StateDeclined)
	OnVoided         = Event(StateVoided)
	OnNotFound       = Event(StateNotFound)
)

// transitions are all there are. What the table does not have leaves the attempt as it is: a repeat, or an answer that is older than
// what is known. So answers may come in any order and any number. An answer that says that the gateway holds money always
// counts: what was declined or voided, and is authorized or captured after all, is open again, to be voided or refunded.
var transitions = map[Status]map[Event]Status{
	Created: {OnAuthorize: Authorizing, OnVoid: Voided},
	Authorizing: {
		OnNoAnswer: Unknown, OnVoid: Voiding,
		OnRequiresAction: RequiresAction, OnAuthorized: Authorized, OnCaptured: Captured, OnRefunded: Refunded,
		OnDeclined: Declined, OnVoided: Voided,
	},
	RequiresAction: {
		OnVoid:       Voiding,
		OnAuthorized: Authorized, OnCaptured: Captured, OnRefunded: Refunded, OnDeclined: Declined, OnVoided: Voided,
	},
	Authorized: {
		OnCapture: Capturing, OnVoid: Voiding,
		OnCaptured: Captured, OnRefunded: Refunded, OnDeclined: Declined, OnVoided: Voided,
	},
	Capturing: {
		OnNoAnswer: Unknown, OnVoid: Voiding,
		OnCaptured: Captured, OnRefunded: Refunded, OnDeclined: Declined, OnVoided: Voided,
	},
	Unknown: {
		OnAuthorize: Authorizing, OnCapture: Capturing, OnVoid: Voiding,
		OnRequiresAction: RequiresAction, OnAuthorized: Authorized, OnCaptured: Captured, OnRefunded: Refunded,
		OnDeclined: Declined, OnVoided: Voided,
	},
	Captured:  {OnRefund: Refunding, OnRefunded: Refunded},
	Refunding: {OnRefunded: Refunded},
	Refunded:  {OnRefund: Refunding, OnRefundFailed: Captured}, // the next part
	Voiding: {
		OnCaptured: Captured, OnRefunded: Refunded, OnDeclined: Declined, OnVoided: Voided,
		OnNotFound: Voided, // the gateway has nothing to end
	},
	Voided:   {OnAuthorized: Voiding, OnCaptured: Captured, OnRefunded: Refunded},
	Declined: {OnAuthorized: Voiding, OnCaptured: Captured, OnRefunded: Refunded},
}

// Next returns the status of an attempt after an event, and whether that is another one than before.
func Next(from Status, event Event) (to Status, moved bool) {
	to, moved = transitions[from][event]
	if !moved {
		return from, false
	}
	return to, true
}
