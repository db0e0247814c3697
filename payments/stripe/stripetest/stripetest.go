// Package stripetest is a Stripe for tests: an HTTP server that answers as the documents of Stripe say, as far as the adapter asks it.
//
// It keeps the answer to an idempotency key for 24 hours, failures included, and compares the parameters; it finds by the search only what
// is older than a minute; it can fail in the ways in which a server on the network fails. Its clock is set by the test.
package stripetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"
)

// What the tests are known by.
const (
	SecretKey     = "sk_test_of_the_tests" //nolint:gosec // it opens nothing but this server
	WebhookSecret = "whsec_of_the_tests"   //nolint:gosec // see above
)

// The payment methods of Stripe's own tests: https://docs.stripe.com/testing.
const (
	Visa           = "pm_card_visa"
	Declined       = "pm_card_chargeDeclined"
	Authentication = "pm_card_authenticationRequired"
)

// Fault is how a call fails.
type Fault int

// The faults.
const (
	None         Fault = iota
	Unreached          // the connection breaks before the server has read the call
	LostAnswer         // the call is carried out, and the connection breaks
	FailedAfter        // the call is carried out, and answered with 500
	FailedBefore       // the call is not carried out, and answered with 500 that is kept for its key
	Busy               // 429: another call has the object
)

const (
	keyMemory   = 24 * time.Hour
	searchDelay = time.Minute
)

// Server is a Stripe.
type Server struct {
	URL string
	// Fault decides how a call fails: method and path, such as POST /v1/payment_intents. It may be called by several goroutines.
	Fault func(call string) Fault

	mu       sync.Mutex
	now      time.Time
	intents  []*intent
	kept     map[string]*kept
	inFlight map[string]bool
	events   []Event
	balance  []*transaction // the oldest first
	made     int
}

// transaction is a movement of the balance: of a capture, or of a refund.
type transaction struct {
	id, kind string
	of       *intent
	refund   *refund // nil of a capture
	created  time.Time
}

// Event is a message that the server sends to the webhook.
type Event struct {
	ID, Type string
	Body     []byte
}

type intent struct {
	id, secret, status, currency, charge, description, refusal, redirect string
	amount, capturable, received                                         int64
	metadata                                                             map[string]string
	created                                                              time.Time
	refunds                                                              []*refund
}

type refund struct {
	id, status string
	amount     int64
	metadata   map[string]string
	created    time.Time
}

// kept is the answer that is kept for a key.
type kept struct {
	call   string // method, path and parameters
	status int
	body   []byte
	at     time.Time
}

// failure is an answer that is an error.
type failure struct {
	status              int
	kind, code, message string
	intent              *intent
	validation          bool // before the call is carried out, and so not kept
}

// New returns a running server, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), kept: map[string]*kept{}, inFlight: map[string]bool{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Advance moves the clock.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Intents returns how many PaymentIntents there are.
func (s *Server) Intents() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.intents)
}

// Taken returns what was captured and not given back, in all.
func (s *Server) Taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := int64(0)
	for _, i := range s.intents {
		sum += i.received - i.refunded()
	}
	return sum
}

// Captured returns what was captured of each payment of which something was, refunded or not, by its ID.
func (s *Server) Captured() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	captured := map[string]int64{}
	for _, i := range s.intents {
		if i.received > 0 {
			captured[i.id] = i.received
		}
	}
	return captured
}

// Held returns how many payments are authorized, and neither captured nor cancelled.
func (s *Server) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, i := range s.intents {
		if i.status == "requires_capture" {
			n++
		}
	}
	return n
}

// Events returns the messages so far.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Event(nil), s.events...)
}

// Sign returns the header of a message that is signed at a time.
func Sign(body []byte, secret string, at time.Time) http.Header {
	signature := fmt.Sprintf("t=%d,v1=%x", at.Unix(), webhook.ComputeSignature(at, body, secret))
	return http.Header{"Stripe-Signature": {signature}}
}

// Alter changes by hand what was captured of the payment of an attempt, and what its refunds have given back, by the shop's IDs of the refunds. A refund of 0
// has failed, which an event tells; one with the ID "" is made by hand.
func (s *Server) Alter(t testing.TB, attempt string, captured int64, refunds map[string]int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if i.metadata["holdfast_attempt"] != attempt {
			continue
		}
		if i.received = captured; captured == 0 {
			i.status = "canceled"
			s.balance = slices.DeleteFunc(s.balance, func(t *transaction) bool { return t.of == i })
		}
		for key, amount := range refunds {
			at := slices.IndexFunc(i.refunds, func(r *refund) bool { return r.metadata["holdfast_refund"] == key })
			if at < 0 {
				made := &refund{id: s.newID("re"), status: "succeeded", metadata: map[string]string{}, created: s.now}
				i.refunds, at = append([]*refund{made}, i.refunds...), 0
				s.move("refund", i, made)
			}
			r := i.refunds[at]
			if amount > 0 {
				r.amount = amount
				continue
			}
			r.status = "failed"
			s.move("refund_failure", i, r)
			s.tell("refund.failed", r.json(i))
			s.tell("charge.refund.updated", r.json(i))
			s.tell("refund.updated", r.json(i))
		}
		return
	}
	t.Fatalf("there is no payment of %s", attempt)
}

// Confirm is what the customer's browser does with the client secret and a payment method.
func (s *Server) Confirm(t testing.TB, clientSecret, method string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if i.secret == clientSecret {
			if f := s.confirm(i, method); f != nil && f.kind != "card_error" {
				t.Fatalf("confirm: %+v", f)
			}
			return
		}
	}
	t.Fatalf("no PaymentIntent has the client secret %q", clientSecret)
}

// Authenticate is the end of 3-D Secure: the bank of the customer has agreed, or not.
func (s *Server) Authenticate(t testing.TB, clientSecret string, agreed bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if i.secret != clientSecret || i.status != "requires_action" {
			continue
		}
		i.redirect = ""
		if agreed {
			s.authorize(i)
			return
		}
		i.status, i.refusal = "requires_payment_method", "The customer could not be authenticated."
		s.tell("payment_intent.payment_failed", i.json(true))
		return
	}
	t.Fatalf("no PaymentIntent waits for the customer with the client secret %q", clientSecret)
}

// ServeHTTP answers a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := None
	if s.Fault != nil {
		fault = s.Fault(r.Method + " " + r.URL.Path)
	}
	if fault == Unreached {
		panic(http.ErrAbortHandler)
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+SecretKey:
		write(w, http.StatusUnauthorized, errorBody(&failure{kind: "invalid_request_error", message: "Invalid API Key provided"}), false)
		return
	case r.Header.Get("Stripe-Version") != stripego.APIVersion:
		write(w, http.StatusBadRequest, errorBody(&failure{kind: "invalid_request_error", message: "Invalid Stripe API version"}), false)
		return
	case fault == Busy:
		write(w, http.StatusTooManyRequests, errorBody(&failure{kind: "invalid_request_error", code: "lock_timeout", message: "This object cannot be accessed right now"}), false)
		return
	}
	status, body, replay := s.keyed(r, fault)
	if fault == LostAnswer {
		panic(http.ErrAbortHandler)
	}
	write(w, status, body, replay)
}

// keyed carries a call out, unless the answer to its key is kept.
func (s *Server) keyed(r *http.Request, fault Fault) (status int, body []byte, replay bool) {
	key := r.Header.Get("Idempotency-Key")
	call := r.Method + " " + r.URL.Path + " " + r.Form.Encode()
	if key == "" || r.Method != http.MethodPost {
		s.mu.Lock()
		defer s.mu.Unlock()
		status, body, _ = s.carryOut(r)
		return status, body, false
	}
	s.mu.Lock()
	if k := s.kept[key]; k != nil && s.now.Sub(k.at) < keyMemory {
		defer s.mu.Unlock()
		if k.call != call {
			return http.StatusBadRequest, errorBody(&failure{
				kind: "idempotency_error", message: "Keys for idempotent requests can only be used with the same parameters they were first used with.",
			}), false
		}
		return k.status, k.body, true
	}
	if s.inFlight[key] {
		defer s.mu.Unlock()
		return http.StatusConflict, errorBody(&failure{
			kind: "idempotency_error", code: "idempotency_key_in_use", message: "There is currently another in-progress request using this key.",
		}), false
	}
	s.inFlight[key] = true
	s.mu.Unlock() // a call at the same time with the same key is refused
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, key)
	failed := errorBody(&failure{kind: "api_error", message: "An unknown error occurred"})
	keep := true
	if fault == FailedBefore {
		status, body = http.StatusInternalServerError, failed
	} else if status, body, keep = s.carryOut(r); fault == FailedAfter {
		status, body = http.StatusInternalServerError, failed
	}
	if keep {
		s.kept[key] = &kept{call: call, status: status, body: body, at: s.now}
	}
	return status, body, false
}

var (
	intentPath  = regexp.MustCompile(`^/v1/payment_intents/([^/]+)$`)
	actionPath  = regexp.MustCompile(`^/v1/payment_intents/([^/]+)/(capture|cancel)$`)
	searchQuery = regexp.MustCompile(`^metadata\['(\w+)'\]:'((?:[^'\\]|\\.)*)'$`)
)

// carryOut carries a call out, and reports whether its answer is kept for its key.
func (s *Server) carryOut(r *http.Request) (status int, body []byte, keep bool) {
	object, f := s.route(r)
	if f != nil {
		return f.status, errorBody(f), !f.validation
	}
	body, err := json.Marshal(object)
	if err != nil {
		panic(err) // it is made of maps
	}
	return http.StatusOK, body, true
}

func (s *Server) route(r *http.Request) (any, *failure) {
	form := r.Form
	expand := strings.Contains(form.Encode(), "latest_charge")
	get := r.Method == http.MethodGet
	switch {
	case r.URL.Path == "/v1/payment_intents" && get:
		return s.list(form, expand), nil
	case r.URL.Path == "/v1/payment_intents":
		return s.create(form)
	case r.URL.Path == "/v1/payment_intents/search" && get:
		return s.search(form, expand)
	case r.URL.Path == "/v1/balance_transactions" && get:
		return s.transactions(form), nil
	case r.URL.Path == "/v1/refunds" && get:
		i := s.intent(form.Get("payment_intent"))
		data := []any{}
		if i != nil {
			for _, made := range i.refunds {
				data = append(data, made.json(i))
			}
		}
		return map[string]any{"object": "list", "url": "/v1/refunds", "has_more": false, "data": data}, nil
	case r.URL.Path == "/v1/refunds":
		return s.refund(form)
	}
	if m := intentPath.FindStringSubmatch(r.URL.Path); m != nil && get {
		if i := s.intent(m[1]); i != nil {
			return i.json(expand), nil
		}
		return nil, missing(m[1])
	}
	if m := actionPath.FindStringSubmatch(r.URL.Path); m != nil && !get {
		i := s.intent(m[1])
		switch {
		case i == nil:
			return nil, missing(m[1])
		case m[2] == "cancel":
			return s.cancel(i)
		}
		return s.capture(i, form)
	}
	return nil, &failure{status: http.StatusNotFound, kind: "invalid_request_error", message: "Unrecognized request URL", validation: true}
}

func missing(id string) *failure {
	return &failure{
		status: http.StatusNotFound, kind: "invalid_request_error", code: "resource_missing", message: "No such payment_intent: '" + id + "'", validation: true,
	}
}

func unexpected(i *intent) *failure {
	return &failure{
		status: http.StatusBadRequest, kind: "invalid_request_error", code: "payment_intent_unexpected_state",
		message: "This PaymentIntent could not be changed because it has a status of " + i.status + ".", intent: i,
	}
}

func (s *Server) intent(id string) *intent {
	for _, i := range s.intents {
		if i.id == id {
			return i
		}
	}
	return nil
}

func (s *Server) newID(prefix string) string {
	s.made++
	return fmt.Sprintf("%s_%06d", prefix, s.made)
}

// metadata returns the parameters metadata[name].
func metadata(form url.Values) map[string]string {
	m := map[string]string{}
	for name, values := range form {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			m[strings.TrimSuffix(key, "]")] = values[0]
		}
	}
	return m
}

func (s *Server) create(form url.Values) (any, *failure) {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	currency := form.Get("currency")
	if err != nil || amount < 1 || currency != strings.ToLower(currency) || len(currency) != 3 || form.Get("capture_method") != "manual" {
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "parameter_invalid_integer", message: "Invalid parameters", validation: true}
	}
	if amount < 50 && currency == "usd" {
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "amount_too_small", message: "Amount must be at least $0.50 usd"}
	}
	i := &intent{
		id: s.newID("pi"), status: "requires_payment_method", currency: currency, amount: amount,
		description: form.Get("description"), metadata: metadata(form), created: s.now,
	}
	i.secret = i.id + "_secret_" + strconv.Itoa(s.made)
	s.intents = append(s.intents, i)
	s.tell("payment_intent.created", i.json(true))
	if form.Get("confirm") == "true" {
		if f := s.confirm(i, form.Get("payment_method")); f != nil {
			return nil, f
		}
	}
	return i.json(false), nil
}

func (s *Server) confirm(i *intent, method string) *failure {
	if i.status != "requires_payment_method" {
		return unexpected(i)
	}
	switch method {
	case Visa:
		s.authorize(i)
	case Authentication:
		i.status, i.refusal, i.redirect = "requires_action", "", "https://hooks.stripe.example/"+i.id
		s.tell("payment_intent.requires_action", i.json(true))
	case Declined:
		i.refusal = "Your card was declined."
		s.tell("payment_intent.payment_failed", i.json(true))
		return &failure{status: http.StatusPaymentRequired, kind: "card_error", code: "card_declined", message: i.refusal, intent: i}
	default:
		return &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "resource_missing", message: "No such PaymentMethod: '" + method + "'"}
	}
	return nil
}

func (s *Server) authorize(i *intent) {
	i.status, i.refusal, i.capturable, i.charge = "requires_capture", "", i.amount, s.newID("ch")
	s.tell("payment_intent.amount_capturable_updated", i.json(true))
}

func (s *Server) capture(i *intent, form url.Values) (any, *failure) {
	amount := i.capturable
	if text := form.Get("amount_to_capture"); text != "" {
		var err error
		if amount, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: "Invalid integer", validation: true}
		}
	}
	if i.status != "requires_capture" {
		return nil, unexpected(i)
	}
	if amount > i.capturable {
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "amount_too_large", message: "The amount is larger than what can be captured", intent: i}
	}
	i.status, i.received, i.capturable = "succeeded", amount, 0
	s.move("charge", i, nil)
	s.tell("payment_intent.succeeded", i.json(true))
	return i.json(false), nil
}

func (s *Server) cancel(i *intent) (any, *failure) {
	if i.status == "succeeded" || i.status == "canceled" {
		return nil, unexpected(i)
	}
	released := i.capturable > 0
	i.status, i.capturable = "canceled", 0
	s.tell("payment_intent.canceled", i.json(true))
	if released {
		s.tell("charge.refunded", i.chargeJSON())
	}
	return i.json(false), nil
}

func (s *Server) refund(form url.Values) (any, *failure) {
	i := s.intent(form.Get("payment_intent"))
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	switch {
	case i == nil:
		return nil, missing(form.Get("payment_intent"))
	case err != nil || amount < 1:
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: "Invalid integer", validation: true}
	case i.status != "succeeded":
		return nil, unexpected(i)
	case i.refunded() == i.received:
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "charge_already_refunded", message: "Charge has already been refunded."}
	case amount > i.received-i.refunded():
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: "Refund amount is greater than unrefunded amount on charge"}
	}
	made := &refund{id: s.newID("re"), status: "succeeded", amount: amount, metadata: metadata(form), created: s.now}
	i.refunds = append([]*refund{made}, i.refunds...)
	s.move("refund", i, made)
	s.tell("charge.refunded", i.chargeJSON())
	return made.json(i), nil
}

// move notes a transaction of the balance.
func (s *Server) move(kind string, i *intent, r *refund) {
	s.balance = append(s.balance, &transaction{id: s.newID("txn"), kind: kind, of: i, refund: r, created: s.now})
}

// transactions returns those of the balance within an interval, the newest first.
func (s *Server) transactions(form url.Values) any {
	bound := func(name string) int64 { n, _ := strconv.ParseInt(form.Get(name), 10, 64); return n }
	limit, from, to := bound("limit"), bound("created[gte]"), bound("created[lt]")
	if limit == 0 {
		limit = 10
	}
	after, data, more := form.Get("starting_after"), []any{}, false
	for _, t := range slices.Backward(s.balance) {
		if at := t.created.Unix(); at < from || at >= to {
			continue
		}
		if after != "" {
			if t.id == after {
				after = ""
			}
			continue
		}
		if more = int64(len(data)) == limit; more {
			break
		}
		amount, source, object := t.of.received, t.of.charge, t.of.chargeJSON()
		if t.refund != nil {
			amount, source, object = -t.refund.amount, t.refund.id, t.refund.json(t.of)
		}
		m := map[string]any{
			"id": t.id, "object": "balance_transaction", "type": t.kind, "created": t.created.Unix(), "amount": amount, "currency": "chf", "source": source,
		} // the currency of the balance is another one than that of the payments
		if strings.Contains(form.Encode(), "data.source") {
			m["source"] = object
		}
		data = append(data, m)
	}
	return map[string]any{"object": "list", "url": "/v1/balance_transactions", "has_more": more, "data": data}
}

// list returns the newest first.
func (s *Server) list(form url.Values, expand bool) any {
	limit, err := strconv.Atoi(form.Get("limit"))
	if err != nil {
		limit = 10
	}
	after, data, more := form.Get("starting_after"), []any{}, false
	for n := len(s.intents) - 1; n >= 0; n-- {
		i := s.intents[n]
		if after != "" {
			if i.id == after {
				after = ""
			}
			continue
		}
		if len(data) == limit {
			more = true
			break
		}
		data = append(data, i.json(expand))
	}
	return map[string]any{"object": "list", "url": "/v1/payment_intents", "has_more": more, "data": data}
}

func (s *Server) search(form url.Values, expand bool) (any, *failure) {
	m := searchQuery.FindStringSubmatch(form.Get("query"))
	if m == nil {
		return nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: "Invalid query", validation: true}
	}
	data, value := []any{}, strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[2])
	for _, i := range s.intents {
		if i.metadata[m[1]] == value && s.now.Sub(i.created) >= searchDelay {
			data = append(data, i.json(expand))
		}
	}
	return map[string]any{"object": "search_result", "url": "/v1/payment_intents/search", "has_more": false, "data": data}, nil
}

func (s *Server) tell(kind string, object any) {
	id := s.newID("evt")
	body, err := json.Marshal(map[string]any{
		"id": id, "object": "event", "api_version": stripego.APIVersion, "created": s.now.Unix(), "type": kind, "data": map[string]any{"object": object},
	})
	if err != nil {
		panic(err) // it is made of maps
	}
	s.events = append(s.events, Event{ID: id, Type: kind, Body: body})
}

func (i *intent) refunded() int64 {
	sum := int64(0)
	for _, r := range i.refunds {
		if r.status != "failed" {
			sum += r.amount
		}
	}
	return sum
}

func (i *intent) json(expand bool) map[string]any {
	m := map[string]any{
		"id": i.id, "object": "payment_intent", "amount": i.amount, "amount_capturable": i.capturable, "amount_received": i.received,
		"capture_method": "manual", "client_secret": i.secret, "created": i.created.Unix(), "currency": i.currency,
		"description": i.description, "last_payment_error": nil, "latest_charge": nil, "metadata": i.metadata, "next_action": nil,
		"payment_method_types": []string{"card"}, "status": i.status,
	}
	if i.refusal != "" {
		m["last_payment_error"] = map[string]any{"type": "card_error", "code": "card_declined", "message": i.refusal}
	}
	if i.redirect != "" && i.status == "requires_action" {
		m["next_action"] = map[string]any{"type": "redirect_to_url", "redirect_to_url": map[string]any{"url": i.redirect}}
	}
	if i.charge != "" {
		m["latest_charge"] = i.charge
		if expand {
			m["latest_charge"] = i.chargeJSON()
		}
	}
	return m
}

func (i *intent) chargeJSON() map[string]any {
	refunded := i.refunded()
	if i.status == "canceled" {
		refunded = i.amount
	}
	return map[string]any{
		"id": i.charge, "object": "charge", "amount": i.amount, "amount_captured": i.received, "amount_refunded": refunded,
		"captured": i.status == "succeeded", "currency": i.currency, "metadata": i.metadata, "payment_intent": i.id,
		"refunded": refunded > 0 && refunded >= i.received, "paid": true,
	}
}

func (r *refund) json(i *intent) map[string]any {
	return map[string]any{
		"id": r.id, "object": "refund", "amount": r.amount, "charge": i.charge, "currency": i.currency, "metadata": r.metadata,
		"payment_intent": i.id, "status": r.status, "created": r.created.Unix(),
	}
}

func errorBody(f *failure) []byte {
	e := map[string]any{"type": f.kind, "message": f.message}
	if f.code != "" {
		e["code"] = f.code
	}
	if f.intent != nil {
		e["payment_intent"] = f.intent.json(false)
	}
	body, err := json.Marshal(map[string]any{"error": e})
	if err != nil {
		panic(err) // it is made of maps
	}
	return body
}

func write(w http.ResponseWriter, status int, body []byte, replay bool) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_of_the_tests")
	if replay {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
