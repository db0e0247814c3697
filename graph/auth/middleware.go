package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/commerce"
)

type viewerKey struct{}

// WithViewer puts the viewer into a context.
func WithViewer(ctx context.Context, v commerce.Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// Viewer returns who asks; the zero value, anonymous, where nobody said.
func Viewer(ctx context.Context) commerce.Viewer {
	v, _ := ctx.Value(viewerKey{}).(commerce.Viewer)
	return v
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
		viewer, err := v.Verify(strings.TrimSpace(token))
		if err != nil {
			refuse(w, r, reason(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(WithViewer(r.Context(), viewer)))
	})
}

// reason tells an honest client what to do, and a forger nothing.
func reason(err error) string {
	if errors.Is(err, jwt.ErrTokenExpired) {
		return "the access token has expired"
	}
	return "the access token is not valid"
}
