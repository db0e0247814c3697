package config

import (
	"fmt"
	"net/url"
	"strings"

	"holdfast/config/setting"
)

func (v *checker) auth(c Config) {
	secret := fmt.Sprintf("%d bytes", len(c.Auth.Secret)) // not the secret itself
	if c.Auth.Secret == "" {
		v.that("auth.secret", c.Development && !c.AllowRemoteDevelopment || c.Auth.JWKS != "", "nothing", fmt.Sprintf(
			"at least %d bytes where others than this machine are served; variable %s", minSecret, Variable("auth.secret")))
	} else {
		v.that("auth.secret", len(c.Auth.Secret) >= minSecret, secret, fmt.Sprintf("at least %d", minSecret))
	}
	v.that("auth.issuer", len(c.Auth.Issuer) >= 1 && len(c.Auth.Issuer) <= 200, setting.Quote(c.Auth.Issuer), "1 to 200 bytes")
	v.that("auth.jwks", c.Auth.JWKS == "" || isKeySetURL(c.Auth.JWKS), setting.Quote(c.Auth.JWKS), "an https:// URL, or http:// on this machine")
	v.that("auth.audience", len(c.Auth.Audience) <= 200, setting.Quote(c.Auth.Audience), "at most 200 bytes")
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
	for _, origin := range h.OriginList() {
		u, err := url.Parse(origin)
		v.that("http.origins", err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
			origin == u.Scheme+"://"+u.Host && !strings.Contains(u.Host, "*"), setting.Quote(origin),
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
