package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

func (v *checker) auth(c Config) {
	secret := fmt.Sprintf("%d bytes", len(c.Auth.Secret)) // not the secret itself
	if c.Auth.Secret == "" {
		v.that("auth.secret", c.Development && !c.AllowRemoteDevelopment || c.Auth.JWKS != "", "nothing", fmt.Sprintf(
			"at least %d bytes where others than this machine are served; variable %s", minSecret, variable("auth.secret")))
	} else {
		v.that("auth.secret", len(c.Auth.Secret) >= minSecret, secret, fmt.Sprintf("at least %d", minSecret))
	}
	v.that("auth.issuer", len(c.Auth.Issuer) >= 1 && len(c.Auth.Issuer) <= 200, quote(c.Auth.Issuer), "1 to 200 bytes")
	within(v, "auth.tokenTTL", c.Auth.TokenTTL, time.Second, 365*24*time.Hour)
	v.that("auth.jwks", c.Auth.JWKS == "" || isKeySetURL(c.Auth.JWKS), quote(c.Auth.JWKS), "an https:// URL, or http:// on this machine")
	v.that("auth.audience", len(c.Auth.Audience) <= 200, quote(c.Auth.Audience), "at most 200 bytes")
	within(v, "auth.jwksRefresh", c.Auth.JWKSRefresh, time.Minute, 24*time.Hour)
}

// isKeySetURL refuses keys that come over a wire where they could be exchanged.
func isKeySetURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}

func isCollectorURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func (v *checker) http(h HTTP) {
	within(v, "http.requestTimeout", h.RequestTimeout, 10*time.Millisecond, 10*time.Minute)
	within(v, "http.shutdownTimeout", h.ShutdownTimeout, 0, 10*time.Minute)
	within(v, "http.maxBodyBytes", h.MaxBodyBytes, 1<<10, 16<<20)
	within(v, "http.maxDepth", h.MaxDepth, 1, 100)
	within(v, "http.maxComplexity", h.MaxComplexity, 1, 1_000_000)
	within(v, "http.proxies", h.Proxies, 0, 10)
	within(v, "http.userRate", h.UserRate, 0, 1_000_000)
	within(v, "http.addressRate", h.AddressRate, 0, 1_000_000)
	for _, origin := range h.OriginList() {
		u, err := url.Parse(origin)
		v.that("http.origins", err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
			origin == u.Scheme+"://"+u.Host && !strings.Contains(u.Host, "*"), quote(origin),
			"origins such as https://shop.example, without a path, each by its name")
	}
}

// OriginList is Origins as a list.
func (h HTTP) OriginList() []string {
	var list []string
	for origin := range strings.SplitSeq(h.Origins, ",") {
		if origin = strings.TrimSpace(origin); origin != "" {
			list = append(list, origin)
		}
	}
	return list
}

func (v *checker) subscriptions(s Subscriptions) {
	within(v, "subscriptions.maxConnections", s.MaxConnections, 1, 1_000_000)
	within(v, "subscriptions.maxOperations", s.MaxOperations, 1, 1000)
	within(v, "subscriptions.maxMessages", s.MaxMessages, 1, 10_000)
	within(v, "subscriptions.initTimeout", s.InitTimeout, 100*time.Millisecond, time.Minute)
	within(v, "subscriptions.ping", s.Ping, 100*time.Millisecond, 10*time.Minute)
	within(v, "subscriptions.writeTimeout", s.WriteTimeout, 10*time.Millisecond, time.Minute)
	within(v, "subscriptions.interval", s.Interval, time.Millisecond, time.Minute)
	within(v, "subscriptions.refresh", s.Refresh, 100*time.Millisecond, time.Hour)
	within(v, "subscriptions.ticketPoll", s.TicketPoll, 50*time.Millisecond, 30*time.Second)
	within(v, "subscriptions.maxProducts", s.MaxProducts, 1, 1000)
}
