package claims

import (
	"fmt"
	"strings"
)

// Record is the answers to one request under one idempotency key, and what the database had of it, in the order of time. Its zero
// value is that of a request that was not sent. It is not safe for concurrent use.
type Record struct {
	events []event
}

// event is a reply, or a look into the database.
type event struct {
	reply Reply
	found *Found
}

// Found is what the database has of a request. All that the shop was doing for the request must have come to its end.
type Found struct {
	// Applied tells that the change is in the change log.
	Applied bool
	// Order is the order that the request made, nil if there is none.
	Order *Order
}

// Order is what the database says about an order.
type Order struct {
	Status, FailureCode string
	// Settled tells that an order which has failed has given everything back.
	Settled bool
	// Captured tells that its payment was taken and not given back.
	Captured bool
}

// Told adds a reply. Each attempt has exactly one, [NoAnswer] at the worst: what was sent may have been done.
func (r *Record) Told(reply Reply) { r.events = append(r.events, event{reply: reply}) }

// Found adds what the database has.
func (r *Record) Found(f Found) { r.events = append(r.events, event{found: &f}) }

// Last returns the last reply; false if there is none.
func (r *Record) Last() (Reply, bool) {
	for i := len(r.events) - 1; i >= 0; i-- {
		if r.events[i].found == nil {
			return r.events[i].reply, true
		}
	}
	return Reply{}, false
}

// Answers returns how many answers came.
func (r *Record) Answers() (n int64) {
	for _, e := range r.events {
		if e.found == nil && e.reply.Code != NoAnswer {
			n++
		}
	}
	return n
}

// Open tells that the customer cannot know what was done: a repeat with the same key has to say it.
func (r *Record) Open(request Request) bool {
	var change, pay effect
	for i, e := range r.events {
		if e.found == nil {
			change.follow(i, e.reply.Change())
			pay.follow(i, e.reply.payment())
		}
	}
	return !request.Placed && change.belief == maybe || request.Pays && pay.belief == maybe
}

// Lost tells that the database lacked, when it was last looked into, what the shop had accepted last.
func (r *Record) Lost() bool {
	last, _ := r.Last()
	n := len(r.events)
	return last.Change() == Accepted && n > 0 && r.events[n-1].found != nil && !r.events[n-1].found.Applied
}

// String is the story of the request.
func (r *Record) String() string {
	var parts []string
	for _, e := range r.events {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, ", ")
}

func (e event) String() string {
	if e.found != nil {
		switch {
		case !e.found.Applied:
			return "not in the database"
		case e.found.Order == nil:
			return "in the database"
		}
		return strings.TrimSpace(fmt.Sprintf("in the database as %s %s", e.found.Order.Status, e.found.Order.FailureCode))
	}
	text := e.reply.Code
	if text == "" {
		text = "success"
	}
	for _, mark := range []struct {
		set  bool
		text string
	}{
		{e.reply.Status != "", " " + e.reply.Status}, {e.reply.Accepted, " accepted"}, {e.reply.Replayed, " replayed"},
	} {
		if mark.set {
			text += mark.text
		}
	}
	return text
}
