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

// Bearer is who bears an access token, and for how long.
type Bearer struct {
	commerce.Viewer
	Expires time.Time
}

// WithBearer puts the bearer of a token into a context.
func WithBearer(ctx context.Context, b Bearer) context.Context {
	return context.WithValue(ctx, bearerKey{}, b)
}

// Viewer returns who asks; the zero value, anonymous, where nobody said.
func Viewer(ctx context.Context) commerce.Viewer {
	b, _ := ctx.Value(bearerKey{}).(Bearer)
	return b.Viewer
}

// Expires returns until when the viewer may be believed; the zero time where nobody said.
func Expires(ctx context.Context) time.Time {
	b, _ := ctx.Value(bearerKey{}).(Bearer)
	return b.Expires
}

var errScheme = errors.New("no bearer token")

// Bearer reads "Bearer <token>", as it comes outside of a header.
func (v *Verifier) Bearer(ctx context.Context, authorization string) (Bearer, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Bearer{}, errScheme
	}
	return v.Check(ctx, token)
}

// Middleware puts the bearer of the request's token into its context. Without a token the caller is anonymous; a token
// that is not valid is handed to refuse, and never treated as anonymous: its bearer believes to be somebody.
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

// Reason tells an honest client what to do, and a forger nothing.
func Reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the access token has expired"
	case errors.Is(err, errScheme):
		return "the authorization must be of the form: Bearer <token>"
	}
	return "the access token is not valid"
}
