package claims

// Claim is what an answer says about an effect of a request.
type Claim int

// The claims.
const (
	// Unknown: the effect may be there, now or later. A repeat with the same key finds out.
	Unknown Claim = iota
	// NotStarted: this attempt has no effect, now or later. An earlier one, whose outcome is unknown, may have one.
	NotStarted
	// Refused: no attempt up to now has an effect, or will have one. A later attempt may: see ADR 5.
	Refused
	// Accepted: the effect will be in the database as soon as that has followed Redis.
	Accepted
	// Applied: the effect is in the database.
	Applied
)

// NoAnswer is the code of an answer that did not come: a connection broke, or the client's time was up.
const NoAnswer = "NO_ANSWER"

// mismatch is the code that calls a key that of another request.
const mismatch = "IDEMPOTENCY_MISMATCH"

// byCode is what each error code says about the attempt that it answers, by the schema and docs/api.md.
var byCode = map[string]Claim{
	// of userErrors
	"OUT_OF_STOCK":            Refused,
	"PURCHASE_LIMIT":          Refused,
	"TOO_MANY_PENDING_ORDERS": Refused,
	"TOO_MANY_HOLDS":          Refused,
	"COUPON_EXHAUSTED":        Refused,
	"COUPON_ALREADY_ISSUED":   Refused,
	"COUPON_NOT_VALID":        Refused,
	"INSUFFICIENT_FUNDS":      Refused,
	"VERSION_CONFLICT":        Refused,
	"PRICE_CHANGED":           Refused,
	"LOCK_TIMEOUT":            NotStarted,
	"LOCK_LOST":               NotStarted,
	mismatch:                  Refused,
	"IDEMPOTENCY_EXPIRED":     NotStarted, // an attempt of long ago was carried out
	"PAYMENT_DECLINED":        Refused,    // of refunds, which nobody asks for here, the money only
	"INVALID_STATE":           Refused,
	"NOT_FOUND":               Refused,
	"INVALID_INPUT":           Refused,
	"UNAVAILABLE":             Unknown, // of errors[] as well
	// of errors[]
	"GRAPHQL_PARSE_FAILED":        NotStarted,
	"GRAPHQL_VALIDATION_FAILED":   NotStarted,
	"BAD_USER_INPUT":              NotStarted,
	"UNAUTHENTICATED":             NotStarted,
	"FORBIDDEN":                   NotStarted,
	"PERSISTED_QUERY_NOT_FOUND":   NotStarted,
	"PERSISTED_QUERY_NOT_IN_LIST": NotStarted,
	"QUERY_NOT_IN_SAFELIST":       NotStarted,
	"BAD_REQUEST":                 NotStarted,
	"RATE_LIMITED":                NotStarted,
	"TIMEOUT":                     Unknown,
	"SUBSCRIBER_TOO_SLOW":         Unknown,
	"INTERNAL_SERVER_ERROR":       Unknown,
	// of nobody
	NoAnswer: Unknown,
}

// Of returns what an error code says. A code that is not documented says nothing.
func Of(code string) Claim { return byCode[code] }

// Reply is one answer of the shop, or the lack of one.
type Reply struct {
	// Code is that of the first error, [NoAnswer] if no answer came, or "" if the shop did what it was asked for.
	Code string
	// Object is the identifier of what the request makes, such as an order, if the answer shows it.
	Object string
	// Status is that of the order that the answer shows, and Payment tells that the order has a payment.
	Status  string
	Payment bool
	// Accepted tells that the database does not have it yet.
	Accepted bool
	// Replayed tells that this is said to be the first result again.
	Replayed bool
}

// Change returns what the reply says about the change of the balances. An error that comes with the order, such as that the
// order's payment was declined, says that the order was placed.
func (r Reply) Change() Claim {
	switch {
	case r.Code == "" && r.Accepted:
		return Accepted
	case r.Code == "" || r.Object != "":
		return Applied
	}
	return Of(r.Code)
}

// payment returns what the reply to a request that pays says about the payment.
func (r Reply) payment() Claim {
	switch claim := Of(r.Code); {
	case r.Code == "" && !r.Accepted:
		return Applied
	case r.Code == "", claim == NotStarted && r.Payment: // a payment that has begun is shown
		return Unknown
	default:
		return claim
	}
}
