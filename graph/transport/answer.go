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

// envelope is a GraphQL response. Data is absent if the operation was not executed.
type envelope struct {
	Errors     gqlerror.List   `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

// answer writes the response to a GraphQL request, compressed if the client accepts it. With
// mediaJSON the status is always 200: older clients take another status for a failure of the
// network.
func answer(w http.ResponseWriter, to *http.Request, media string, r *graphql.Response) {
	status := http.StatusOK
	if r.Data == nil && media == mediaResponse && !isUnknownHash(r.Errors) {
		status = http.StatusBadRequest
	}
	if len(r.Data) >= minCompressed && accepts(to, "gzip") {
		compressed := newGzipWriter(w)
		defer compressed.close()
		w = compressed
	}
	w.Header().Add("Vary", "Accept-Encoding")
	write(w, media, status, envelope{Errors: r.Errors, Data: r.Data, Extensions: r.Extensions})
}

// refuse answers an HTTP request that is not a GraphQL request.
func refuse(w http.ResponseWriter, media string, status int, message string) {
	refuseWith(w, media, status, CodeBadRequest, message)
}

// refuseWith is refuse with another code.
func refuseWith(w http.ResponseWriter, media string, status int, code, message string) {
	write(w, media, status, envelope{Errors: gqlerror.List{Errorf(code, "%s", message)}})
}

// write writes a response. The client must read it within answerTimeout.
func write(w http.ResponseWriter, media string, status int, e envelope) {
	if len(e.Errors) > maxErrors {
		e.Errors = e.Errors[:maxErrors]
	}
	body, err := json.Marshal(e)
	if err != nil { // a marshaler of a scalar wrote invalid JSON
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"`+InternalMessage+`","extensions":{"code":"`+CodeInternal+`"}}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", media+"; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // a response may be for one user only
	// A client that reads too slowly is disconnected. http.Server.WriteTimeout would end event
	// streams, too. withRequest removes the deadline when the next request comes over this
	// connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client is gone
}

const (
	// answerTimeout bounds how long a client may take to read a response.
	answerTimeout = 30 * time.Second
	// minCompressed is the shortest response that is compressed, in bytes. A shorter one fits into
	// one Ethernet packet anyway.
	minCompressed = 1400
)

// accepts reports whether a client accepts a content encoding.
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

// gzipWriter compresses a response. Event streams do not use it: events would wait in the
// compressor.
type gzipWriter struct {
	http.ResponseWriter
	gzip *gzip.Writer
}

// compressors are reused: each takes some hundred kilobytes.
var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // impossible: the level exists
	}
	return w
}}

func newGzipWriter(w http.ResponseWriter) *gzipWriter {
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := compressors.Get().(*gzip.Writer)
	z.Reset(w)
	return &gzipWriter{w, z}
}

func (z *gzipWriter) Write(b []byte) (int, error) { return z.gzip.Write(b) }

// Unwrap lets http.ResponseController find the connection.
func (z *gzipWriter) Unwrap() http.ResponseWriter { return z.ResponseWriter }

func (z *gzipWriter) close() {
	_ = z.gzip.Close() // an error means that the client is gone
	compressors.Put(z.gzip)
}
