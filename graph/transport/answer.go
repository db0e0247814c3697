package transport

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// envelope is the answer. Data is absent where the operation was not executed.
type envelope struct {
	Errors     gqlerror.List   `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

// answer writes the result of a GraphQL request. With the older media type its status is always 200: clients that do not
// know the newer one take another for a failure of the transport.
func answer(w http.ResponseWriter, to *http.Request, media string, r *graphql.Response) {
	status := http.StatusOK
	if r.Data == nil && media == mediaResponse && !isUnknownHash(r.Errors) {
		status = http.StatusBadRequest
	}
	if len(r.Data) >= minCompressed && accepts(to, "gzip") {
		zipped := newZipped(w)
		defer zipped.close()
		w = zipped
	}
	w.Header().Add("Vary", "Accept-Encoding")
	write(w, media, status, envelope{Errors: r.Errors, Data: r.Data, Extensions: r.Extensions})
}

// refuse answers what is no GraphQL request.
func refuse(w http.ResponseWriter, media string, status int, message string) {
	refuseWith(w, media, status, CodeBadRequest, message)
}

func refuseWith(w http.ResponseWriter, media string, status int, code, message string) {
	write(w, media, status, envelope{Errors: gqlerror.List{Errorf(code, "%s", message)}})
}

func write(w http.ResponseWriter, media string, status int, e envelope) {
	if len(e.Errors) > maxErrors {
		e.Errors = e.Errors[:maxErrors]
	}
	body, err := json.Marshal(e)
	if err != nil { // a resolver's own marshaler wrote what is no JSON
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"`+InternalMessage+`","extensions":{"code":"`+CodeInternal+`"}}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", media+"; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // an answer may be somebody's own, and two headers tell whose
	// Whoever reads too slowly is cut off: an http.Server's own WriteTimeout would end event streams as well. The next request
	// on the connection lifts it.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is not our problem
}

const (
	// answerTimeout is how long an answer may take to be read.
	answerTimeout = 30 * time.Second
	// minCompressed is the length of an answer from which compressing it is worth the while: a packet of the network.
	minCompressed = 1400
)

// accepts tells whether an encoding may be used.
func accepts(r *http.Request, encoding string) bool {
	for _, text := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(text, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		if quality, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, err := strconv.ParseFloat(quality, 64)
			return err == nil && q > 0
		}
		return true
	}
	return false
}

// zipped compresses an answer. Event streams are not: they would sit in the compressor.
type zipped struct {
	http.ResponseWriter
	gzip *gzip.Writer
}

// compressors are kept: each is some hundred kilobytes.
var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // only for a level that there is none of
	}
	return w
}}

func newZipped(w http.ResponseWriter) *zipped {
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := compressors.Get().(*gzip.Writer)
	z.Reset(w)
	return &zipped{w, z}
}

func (z *zipped) Write(b []byte) (int, error) { return z.gzip.Write(b) }

// Unwrap lets http.ResponseController reach the connection.
func (z *zipped) Unwrap() http.ResponseWriter { return z.ResponseWriter }

func (z *zipped) close() {
	_ = z.gzip.Close() // a client that has gone is not our problem
	compressors.Put(z.gzip)
}
