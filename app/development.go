package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config"
)

// developmentSecret signs tokens if no secret is configured, so that `holdfast token` fits the
// running server. Everybody knows it. A development server therefore answers to loopback only, and
// config refuses an empty secret of any other server.
const developmentSecret = "holdfast development secret, known to everybody"

// TokenSecret returns the secret that signs and checks access tokens: that of the configuration, or
// the well-known one of development servers if none is configured. A shop with auth.jwks does not
// use it.
func TokenSecret(cfg config.Config) []byte {
	if cfg.Auth.Secret == "" {
		return []byte(developmentSecret)
	}
	return []byte(cfg.Auth.Secret)
}

// demoTokenTTL lets a browser tab stay open over the weekend.
const demoTokenTTL = 7 * 24 * time.Hour

// demoAttempts is more than there are demo objects.
const demoAttempts = 30

// demoToken returns "" unless this is a development server: its pages give the token to everybody
// who loads them.
func demoToken(cfg config.Config, user commerce.Viewer, roles ...auth.Role) (string, error) {
	if !cfg.Development || cfg.Auth.JWKS != "" { // only the issuer who publishes the keys can sign
		return "", nil
	}
	return auth.Issue(TokenSecret(cfg), cfg.Auth.Issuer, cfg.Auth.Audience, user.UserID, roles, demoTokenTTL)
}

// SeedDemo adds the demo data that is missing. If several instances start at the same moment, one
// may find an object missing and then there, because another has added it. The next attempt goes on
// behind that object.
func (s *Shop) SeedDemo(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := commerce.SeedDemo(ctx, s.Services)
		if err == nil || ctx.Err() != nil || attempt == demoAttempts {
			return err
		}
	}
}

// onlyLoopback refuses requests under any host name but that of the loopback interface. Otherwise
// the page of another site could reach by DNS rebinding what is meant for this machine only.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "this address answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
