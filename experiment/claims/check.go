package claims

// The kinds of false answers.
const (
	// Missing: the shop said that something was done, and it was not.
	Missing = "confirmed and missing"
	// Phantom: the shop said that nothing was done, and it was.
	Phantom = "refused and done all the same"
	// Contradiction: the shop said one thing and then another.
	Contradiction = "told one thing, then another"
)

// False is an answer that was not true.
type False struct {
	Kind string // one of the kinds above
	// Reply is which reply was false, counted from 0, or -1 if none alone was.
	Reply int
	Text  string
}

// Request is what the answers are about.
type Request struct {
	// Object is the identifier of what the request makes, "" if it makes nothing.
	Object string
	// Pays tells that the request pays an order: the one that it places, or, if Placed is set, one that was placed before.
	Pays, Placed bool
	// Followed tells that other requests pay or cancel the order that this one places.
	Followed bool
	// Unmarked tells that replayed is said of the key alone, and not of what was done.
	Unmarked bool
}

// Allowed is what a fault may do.
type Allowed struct {
	// AcceptedLost: what only Redis had may be lost with it, or be refused by the database.
	AcceptedLost bool
	// Retried: the shop may have tried an attempt twice by itself, since the first try had no reply from Redis. It cannot tell whether
	// what it then finds done was done by this try, or by an earlier attempt.
	Retried bool
}

// Check returns the answers that were false, each once.
func (r *Record) Check(request Request, allowed Allowed) []False {
	change, pay := effect{what: "it"}, effect{what: "its payment"}
	c := checker{record: r, reported: map[int]bool{}}
	replies := 0
	for _, e := range r.events {
		if e.found != nil {
			if !request.Placed {
				c.add(change.found(e.found.Applied, allowed))
			}
			if e.found.Order != nil && !request.Followed {
				c.add(pay.found(e.found.Order.Captured || e.found.Order.Status == paid, allowed))
				c.add(c.order(*e.found.Order))
			}
			continue
		}
		i := replies
		replies++
		if !request.Placed {
			c.add(change.told(i, e.reply.Change(), allowed))
			if !request.Unmarked && !allowed.Retried {
				c.add(change.repeated(i, e.reply))
			}
			change.follow(i, e.reply.Change())
		}
		if request.Pays {
			c.add(pay.told(i, e.reply.payment(), allowed))
			pay.follow(i, e.reply.payment())
		}
		c.add(c.reply(i, e.reply, request))
	}
	return c.falsehoods
}

// The statuses of an order that answers are compared with.
const (
	pending = "PENDING"
	paid    = "PAID"
	failed  = "FAILED"
)

// checker collects what is false in one record.
type checker struct {
	record     *Record
	reported   map[int]bool // by reply
	falsehoods []False
	shown      *shownOrder // by the last reply that was definite about an order
}

type shownOrder struct {
	reply int
	Reply
}

// add reports a falsehood, unless the same reply is known to be false.
func (c *checker) add(f *False) {
	if f == nil || c.reported[f.Reply] {
		return
	}
	c.reported[f.Reply] = true
	f.Text += ": " + c.record.String()
	c.falsehoods = append(c.falsehoods, *f)
}

// reply looks at what a reply says besides whether something was done.
func (c *checker) reply(i int, reply Reply, request Request) *False {
	if reply.Status != "" && (reply.Code == "" || reply.Status == failed && Of(reply.Code) == Refused) {
		c.shown = &shownOrder{i, reply}
	}
	switch {
	case reply.Code == mismatch:
		return &False{Contradiction, i, "its key was called that of another request"}
	case (reply.Code == "" || reply.Object != "") && reply.Object != request.Object && request.Object != "":
		return &False{Missing, i, "was shown as \"" + reply.Object + "\", and is " + request.Object}
	}
	return nil
}

// order compares the order that was shown with that of the database.
func (c *checker) order(o Order) *False {
	if c.shown == nil {
		return nil
	}
	i, told := c.shown.reply, c.shown.Reply
	switch {
	case told.Status == paid && o.Status != paid:
		return &False{Missing, i, "the order was paid, and is not"}
	case told.Status == pending && o.Status != pending && o.Status != paid:
		return &False{Missing, i, "the order was placed, and has ended"}
	case told.Status == failed && o.Status != failed:
		return &False{Phantom, i, "the order had failed, and has not"}
	case told.Status == failed && o.FailureCode != told.Code:
		return &False{Contradiction, i, "the order has failed for another reason"}
	case told.Status == failed && (!o.Settled || o.Captured):
		return &False{Phantom, i, "the order had failed, and has not given everything back"}
	}
	return nil
}

// belief is what a customer has to believe about an effect.
type belief int

const (
	no       belief = iota // it is not there, and nothing is under way
	maybe                  // it may be there, now or later
	accepted               // it is there or under way
	yes                    // it is there
)

// effect follows what a customer is told about one effect.
type effect struct {
	what   string
	belief belief
	by     int // 1 + the reply that says so, 0 if none does
}

func (e *effect) believe(b belief, reply int) { e.belief, e.by = b, reply+1 }

// follow believes the next reply.
func (e *effect) follow(i int, claim Claim) {
	switch {
	case claim == Applied, claim == Accepted && e.belief == yes:
		e.believe(yes, i)
	case claim == Accepted:
		e.believe(accepted, i)
	case claim == Refused && e.belief != yes, claim == NotStarted && e.belief == no:
		e.believe(no, i)
	case claim == Unknown && e.belief == no:
		e.believe(maybe, i)
	}
}

// told compares the next reply with those before.
func (e *effect) told(i int, claim Claim, allowed Allowed) *False {
	if claim == Refused && (e.belief == yes || e.belief == accepted && !allowed.AcceptedLost) {
		return &False{Contradiction, i, e.what + " was done, and a repeat was refused"}
	}
	return nil
}

// repeated compares what the next reply says about the attempts before it with what these were told.
func (e *effect) repeated(i int, reply Reply) *False {
	switch claim := reply.Change(); {
	case claim != Applied && claim != Accepted:
	case reply.Replayed && e.belief == no && e.by > 0:
		return &False{Phantom, e.by - 1, "nothing was done, and a repeat was told that it had been done before"}
	case reply.Replayed && e.belief == no:
		return &False{Contradiction, i, "the first attempt was told that it was a repeat"}
	case !reply.Replayed && e.belief == yes && claim == Applied:
		return &False{Contradiction, i, "it was done, and a repeat was told that it did it"}
	}
	return nil
}

// found compares what the database has with the replies up to now, and believes the database.
func (e *effect) found(there bool, allowed Allowed) (f *False) {
	switch {
	case there && e.belief == no && e.by > 0:
		f = &False{Phantom, e.by - 1, "nothing was done, and " + e.what + " is there"}
	case there && e.belief == no:
		f = &False{Phantom, -1, e.what + " is there, and nobody asked for it"}
	case !there && (e.belief == yes || e.belief == accepted && !allowed.AcceptedLost):
		f = &False{Missing, e.by - 1, e.what + " was done, and is not there"}
	}
	switch {
	case there && e.belief != yes:
		e.believe(yes, -1)
	case !there && e.belief >= accepted:
		e.believe(maybe, -1)
	}
	return f
}
