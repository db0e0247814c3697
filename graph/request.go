package graph

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/graph/model"
	"holdfast/lockprovider"
)

// request is what all layers know about the HTTP request that they serve.
type request struct {
	id    string
	start time.Time
}

type requestKey struct{}

// requestOf returns the request of a context. Outside of the handler it is made up, so that nobody has to check.
func requestOf(ctx context.Context) request {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		return r
	}
	return request{id: "none", start: time.Now()}
}

// RequestIDHeader is where a request ID may be given, and is returned.
const RequestIDHeader = "X-Request-Id"

// sane is what may go into logs and answers as it is.
var sane = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// withRequest notes when the request came and under which ID, its own or the caller's.
func withRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !sane.MatchString(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		w.Header().Set(RequestIDHeader, id)
		ctx := context.WithValue(r.Context(), requestKey{}, request{id: id, start: time.Now()})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// meta tells how an operation went. Where it was refused before a strategy was asked, the family's strategy is named.
func (r *Resolver) meta(ctx context.Context, family lockprovider.Family, m commerce.Meta) *model.OperationMeta {
	if m.Strategy == "" {
		m.Strategy = r.strategies[family]
	}
	req := requestOf(ctx)
	return &model.OperationMeta{
		RequestID: req.id, Strategy: toStrategy(m.Strategy), Attempts: m.Attempts, LockWaitMs: millis(m.Waited),
		TotalMs: millis(time.Since(req.start)), Replayed: m.Replayed,
		Persistence: model.PersistenceState(cmp.Or(m.Persistence, commerce.Persisted)),
	}
}
