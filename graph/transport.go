package graph

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// transport is GraphQL over HTTP, by GET for queries and by POST for everything. gqlgen's own transports echo a broken
// body back, read bodies without a bound, and answer "data": null where the specification wants no data at all.
type transport struct{ limits Limits }

var _ graphql.Transport = transport{}

// The media types of answers. Of a client that takes both, the newer one tells failures of the request by its status.
const (
	mediaResponse = "application/graphql-response+json"
	mediaJSON     = "application/json"
)

// Supports implements graphql.Transport: all but what wants to become a web socket.
func (transport) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") == "" }

// Do implements graphql.Transport.
func (t transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	media, ok := negotiate(r.Header.Values("Accept"))
	if !ok {
		refuse(w, mediaJSON, http.StatusNotAcceptable, "this endpoint answers with "+mediaResponse+" or "+mediaJSON)
		return
	}
	w.Header().Set("Content-Type", media) // also for what gqlgen answers after a panic
	params, status, err := t.read(w, r)
	if err != nil {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		refuse(w, media, status, err.Error())
		return
	}
	ctx := r.Context()
	op, failures := exec.CreateOperationContext(ctx, params)
	if failures != nil {
		answer(w, media, exec.DispatchError(graphql.WithOperationContext(ctx, op), failures))
		return
	}
	if r.Method == http.MethodGet && op.Operation.Operation != ast.Query {
		w.Header().Set("Allow", "POST")
		refuse(w, media, http.StatusMethodNotAllowed, "GET is for queries only; send this by POST")
		return
	}
	next, ctx := exec.DispatchOperation(ctx, op)
	response := next(ctx)
	if response == nil { // the time was over, or the client gone, before anything was resolved
		refuseWith(w, media, http.StatusServiceUnavailable, codeTimeout, "the request was ended before it was done")
		return
	}
	answer(w, media, response)
}

// read takes the parameters from the request. An error comes with the status to refuse with.
func (t transport) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
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
	if params.Query == "" {
		return nil, http.StatusBadRequest, errors.New("the parameter query is missing")
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, 0, nil
}

// parameters are those of the specification. Pointers tell absent from empty, and a type that is not meant is refused.
type parameters struct {
	Query         *string        `json:"query"`
	OperationName *string        `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"`
}

func (p parameters) raw() *graphql.RawParams {
	return &graphql.RawParams{
		Query: orZero(p.Query), OperationName: orZero(p.OperationName), Variables: p.Variables, Extensions: p.Extensions,
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
	query, operation := values.Get("query"), values.Get("operationName")
	p := parameters{Query: &query, OperationName: &operation}
	for name, into := range map[string]*map[string]any{"variables": &p.Variables, "extensions": &p.Extensions} {
		if text := values.Get(name); text != "" {
			if err := decode(strings.NewReader(text), into); err != nil {
				return nil, errors.New("the parameter " + name + " is not a JSON object")
			}
		}
	}
	return p.raw(), nil
}

func (t transport) readBody(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
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
	// Not every writer can set a deadline, such as a test's; the server's own timeouts are there besides.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(t.limits.BodyTimeout))
	var p *parameters
	err = decode(http.MaxBytesReader(w, r.Body, t.limits.MaxBodyBytes), &p)
	_ = connection.SetReadDeadline(time.Time{})
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, http.StatusRequestEntityTooLarge, tooLarge
	case err != nil:
		return nil, http.StatusBadRequest, errors.New("the body is not a JSON object with query, operationName, variables, extensions")
	case p == nil:
		return nil, http.StatusBadRequest, errors.New("the body is null")
	}
	return p.raw(), 0, nil
}

// decode reads one JSON value and nothing else. Numbers stay as they were written: a float64 would round.
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

// negotiate picks the media type of the answer. Who does not ask gets the one that every client reads.
func negotiate(accept []string) (media string, ok bool) {
	ranges := strings.Split(strings.Join(accept, ","), ",")
	best := map[string]float64{} // the quality that the most specific range gives each media type
	for _, want := range []string{mediaResponse, mediaJSON} {
		specific := -1
		for _, text := range ranges {
			name, params, err := mime.ParseMediaType(text)
			level := strings.Count(strings.Replace(name, "*/*", "**", 1), "*") // 0 exact, 1 application/*, 2 */*
			if err != nil || name != want && name != "application/*" && name != "*/*" {
				continue
			}
			if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
				continue
			}
			quality, err := strconv.ParseFloat(params["q"], 64)
			if err != nil {
				quality = 1
			}
			if 2-level > specific {
				specific, best[want] = 2-level, quality
			}
		}
	}
	response, plain := best[mediaResponse], best[mediaJSON]
	switch {
	case strings.TrimSpace(strings.Join(accept, "")) == "":
		return mediaJSON, true
	case response <= 0 && plain <= 0:
		return "", false
	case response > plain, response == plain && named(ranges, mediaResponse):
		return mediaResponse, true
	}
	return mediaJSON, true
}

// named tells a media type that was asked for by its name from one that a wildcard covers.
func named(ranges []string, media string) bool {
	for _, text := range ranges {
		if name, _, err := mime.ParseMediaType(text); err == nil && name == media {
			return true
		}
	}
	return false
}

// envelope is the answer. Data is absent where the operation was not executed.
type envelope struct {
	Errors     gqlerror.List   `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

// answer writes the result of a GraphQL request. With the older media type its status is always 200: clients that do not
// know the newer one take another for a failure of the transport.
func answer(w http.ResponseWriter, media string, r *graphql.Response) {
	status := http.StatusOK
	if r.Data == nil && media == mediaResponse {
		status = http.StatusBadRequest
	}
	write(w, media, status, envelope{Errors: r.Errors, Data: r.Data, Extensions: r.Extensions})
}

// refuse answers what is no GraphQL request.
func refuse(w http.ResponseWriter, media string, status int, message string) {
	refuseWith(w, media, status, codeBadRequest, message)
}

func refuseWith(w http.ResponseWriter, media string, status int, code, message string) {
	write(w, media, status, envelope{Errors: gqlerror.List{coded(code, "%s", message)}})
}

func write(w http.ResponseWriter, media string, status int, e envelope) {
	if len(e.Errors) > maxErrors {
		e.Errors = e.Errors[:maxErrors]
	}
	body, err := json.Marshal(e)
	if err != nil { // a resolver's own marshaler wrote what is no JSON
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"`+internalMessage+`","extensions":{"code":"`+codeInternal+`"}}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", media+"; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is not our problem
}
