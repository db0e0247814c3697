package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/commerce"
)

type bearerKey struct{}

// Bearer is the viewer that an access token names.
type Bearer struct {
	commerce.Viewer
	// Expires is when the token is no longer accepted: its expiry plus the leeway for clocks that
	// differ.
	Expires time.Time
}

// WithBearer returns a context that carries a bearer.
func WithBearer(ctx context.Context, b Bearer) context.Context {
	return context.WithValue(ctx, bearerKey{}, b)
}

// Viewer returns the viewer of a context. Without a bearer it is the zero value, which is
// anonymous.
func Viewer(ctx context.Context) commerce.Viewer {
	b, _ := ctx.Value(bearerKey{}).(Bearer)
	return b.Viewer
}

// Expires returns when the token of a context's bearer is no longer accepted, or the zero time if
// there is no bearer.
func Expires(ctx context.Context) time.Time {
	b, _ := ctx.Value(bearerKey{}).(Bearer)
	return b.Expires
}

var errScheme = errors.New("no bearer token")

// Bearer checks an authorization of the form "Bearer <token>". Use it for one that does not come in
// a header. Its errors are for [Reason].
func (v *Verifier) Bearer(ctx context.Context, authorization string) (Bearer, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Bearer{}, errScheme
	}
	return v.Check(ctx, token)
}

// Middleware puts the bearer of a request's token into the request's context. Without an
// Authorization header the caller is anonymous. If the token is not valid, Middleware calls refuse
// instead of next: its caller does not expect to be anonymous.
func Middleware(v *Verifier, refuse func(w http.ResponseWriter, r *http.Request, reason string), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := r.Header.Values("Authorization")
		if len(headers) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
			refuse(w, r, "the Authorization header must be one of the form: Bearer <token>")
			return
		}
		bearer, err := v.Check(r.Context(), strings.TrimSpace(token))
		if err != nil {
			refuse(w, r, Reason(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(WithBearer(r.Context(), bearer)))
	})
}

// Reason returns what a client may be told of an error. It helps an honest client and tells a
// forger nothing.
func Reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the access token has expired"
	case errors.Is(err, errScheme):
		return "the authorization must be of the form: Bearer <token>"
	}
	return "the access token is not valid"
}
