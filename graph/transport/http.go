package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// plainHTTP serves GraphQL over HTTP: queries by GET, every operation but subscriptions by POST.
//
// It replaces gqlgen's own transports for three reasons. They echo a broken body back, they read
// bodies without a bound, and they answer "data": null if the specification wants no data at all.
type plainHTTP struct {
	limits  Limits
	limiter *limiter
}

var _ graphql.Transport = plainHTTP{}

// errRequestTimeout is the cause of a context that ended after [Limits.RequestTimeout].
var errRequestTimeout = errors.New("the request took longer than it may")

// The media types of responses. With the newer one, mediaResponse, the HTTP status tells whether
// the request failed; with mediaJSON it is 200 for every GraphQL response.
const (
	mediaResponse = "application/graphql-response+json"
	mediaJSON     = "application/json"
)

// Supports implements graphql.Transport. It takes every request that does not ask for a WebSocket.
func (plainHTTP) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") == "" }

// Do implements graphql.Transport.
func (t plainHTTP) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	media, ok := negotiate(r.Header.Values("Accept"))
	if !ok {
		refuse(w, mediaJSON, http.StatusNotAcceptable, "this endpoint answers with "+mediaResponse+" or "+mediaJSON)
		return
	}
	w.Header().Set("Content-Type", media) // also for what gqlgen answers after a panic
	params, ok := t.receive(w, r, media)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), t.limits.RequestTimeout, errRequestTimeout)
	defer cancel()
	op, failures := exec.CreateOperationContext(ctx, params)
	if failures != nil {
		answer(w, r, media, exec.DispatchError(graphql.WithOperationContext(ctx, op), failures))
		return
	}
	switch kind := op.Operation.Operation; {
	case kind == ast.Subscription:
		refuse(w, media, http.StatusBadRequest, "subscriptions are served over WebSocket ("+subprotocol+"), and to those who accept "+mediaEvents)
		return
	case kind != ast.Query && r.Method == http.MethodGet:
		refuseMethod(w, media)
		return
	}
	if err := t.limiter.allowMutations(ctx, op); err != nil {
		refuseLimited(w, media, err)
		return
	}
	next, ctx := exec.DispatchOperation(ctx, op)
	response := next(ctx)
	if response == nil { // the time was over or the client gone before a resolver ran
		refuseWith(w, media, http.StatusServiceUnavailable, CodeTimeout, "the request was ended before it was done")
		return
	}
	answer(w, r, media, response)
}

// receive returns the parameters of a request, or answers it with an error and returns false.
func (t plainHTTP) receive(w http.ResponseWriter, r *http.Request, media string) (*graphql.RawParams, bool) {
	if !isPreflighted(r) {
		refuse(w, media, http.StatusBadRequest, forgeableMessage)
		return nil, false
	}
	if err := t.limiter.allow(r.Context()); err != nil {
		refuseLimited(w, media, err)
		return nil, false
	}
	params, status, err := t.read(w, r)
	if err != nil {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		refuse(w, media, status, err.Error())
		return nil, false
	}
	return params, true
}

// refuseLimited answers a request that is one too many.
func refuseLimited(w http.ResponseWriter, media string, err *gqlerror.Error) {
	if seconds, ok := err.Extensions["retryAfter"].(int); ok {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	status := http.StatusTooManyRequests
	if err.Extensions["code"] == CodeUnavailable {
		status = http.StatusServiceUnavailable
	}
	write(w, media, status, envelope{Errors: gqlerror.List{err}})
}

func refuseMethod(w http.ResponseWriter, media string) {
	w.Header().Set("Allow", "POST")
	refuse(w, media, http.StatusMethodNotAllowed, "GET is for queries only; send this by POST")
}

// read returns the parameters of a request. With an error it returns the HTTP status to answer
// with.
func (t plainHTTP) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
	start := graphql.Now()
	var params *graphql.RawParams
	var status int
	var err error
	switch r.Method {
	case http.MethodGet:
		params, err = readURL(r.URL.RawQuery, t.limits.MaxBodyBytes)
		status = http.StatusBadRequest
	case http.MethodPost:
		params, status, err = t.readBody(w, r)
	default:
		return nil, http.StatusMethodNotAllowed, errors.New("send queries by GET or POST, mutations by POST")
	}
	if err != nil {
		return nil, status, err
	}
	if params.Query == "" && params.Extensions[persistedQuery] == nil {
		return nil, http.StatusBadRequest, errors.New("the parameter query is missing; or documentId, the identifier of a document")
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, 0, nil
}

// parameters are those of the specification. A value of another type is refused; null is the same
// as absent.
type parameters struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"`
	// DocumentID is the parameter of the appendix "Persisted Documents", DocID what Relay's network layers call the same.
	DocumentID documentID `json:"documentId"`
	DocID      documentID `json:"doc_id"`
}

// raw returns the parameters as gqlgen takes them. An identifier stands in the place of the extension persistedQuery; of several, the
// one counts that is nearest to the specification.
func (p parameters) raw() *graphql.RawParams {
	if id := cmp.Or(p.DocumentID, p.DocID); id != "" {
		p.Extensions = maps.Clone(p.Extensions)
		if p.Extensions == nil {
			p.Extensions = map[string]any{}
		}
		p.Extensions[persistedQuery] = id
	}
	return &graphql.RawParams{
		Query: p.Query, OperationName: p.OperationName, Variables: p.Variables, Extensions: p.Extensions,
	}
}

func readURL(rawQuery string, maxBytes int64) (*graphql.RawParams, error) {
	if int64(len(rawQuery)) > maxBytes {
		return nil, errors.New("the URL is too long")
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the URL are malformed")
	}
	p := parameters{
		Query: values.Get("query"), OperationName: values.Get("operationName"),
		DocumentID: documentID(values.Get("documentId")), DocID: documentID(values.Get("doc_id")),
	}
	for name, into := range map[string]*map[string]any{"variables": &p.Variables, "extensions": &p.Extensions} {
		if text := values.Get(name); text != "" {
			if err := decode(strings.NewReader(text), into); err != nil {
				return nil, errors.New("the parameter " + name + " is not a JSON object")
			}
		}
	}
	return p.raw(), nil
}

func (t plainHTTP) readBody(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
	mediaType, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := options["charset"]; err != nil || mediaType != mediaJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, http.StatusUnsupportedMediaType, errors.New("the Content-Type of a POST must be " + mediaJSON)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, http.StatusUnsupportedMediaType, errors.New("the body must not be encoded")
	}
	tooLarge := errors.New("the body is larger than " + strconv.FormatInt(t.limits.MaxBodyBytes, 10) + " bytes")
	if r.ContentLength > t.limits.MaxBodyBytes {
		return nil, http.StatusRequestEntityTooLarge, tooLarge
	}
	// A writer that cannot set a deadline, such as a test's, is no error: the server has timeouts
	// of its own.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(t.limits.BodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, t.limits.MaxBodyBytes))
	if err == nil {
		_ = connection.SetReadDeadline(time.Time{})
	} else { // the server would wait for the rest of the body; without the deadline, for ever
		w.Header().Set("Connection", "close")
	}
	var over *http.MaxBytesError
	var p *parameters
	switch {
	case errors.As(err, &over):
		return nil, http.StatusRequestEntityTooLarge, tooLarge
	case err != nil:
		return nil, http.StatusBadRequest, errors.New("the body did not arrive")
	case bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")):
		return nil, http.StatusBadRequest, errors.New("send one operation a request: batches are not served")
	case !utf8.Valid(body): // the decoder would replace such bytes
		return nil, http.StatusBadRequest, errors.New("the body is not UTF-8")
	case decode(bytes.NewReader(body), &p) != nil:
		return nil, http.StatusBadRequest, errors.New("the body is not a JSON object with query or documentId, operationName, variables, extensions")
	case p == nil:
		return nil, http.StatusBadRequest, errors.New("the body is null")
	}
	return p.raw(), 0, nil
}

// decode reads exactly one JSON value. Numbers keep their digits: a float64 would round them.
func decode(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("trailing data")
		}
		return err
	}
	return nil
}
