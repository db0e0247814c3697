package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/ent/payment"
	"holdfast/payments/stripe"
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
	v.that("auth.jwks", c.Auth.JWKS == "" || isKeySetURL(c.Auth.JWKS), setting.Quote(c.Auth.JWKS.String()), "an https:// URL, or http:// on this machine")
	v.that("auth.audience", len(c.Auth.Audience) <= 200, setting.Quote(c.Auth.Audience), "at most 200 bytes")
	v.that("auth.audience", c.Auth.JWKS == "" || c.Auth.Audience != "", "nothing",
		"the audience of this shop's tokens, with auth.jwks: the issuer may serve other shops, too")
}

func (v *checker) schema(s Schema) {
	seen := map[string]bool{}
	ok := true
	for _, audience := range s.AudienceList() {
		ok = ok && slices.Contains(Audiences, audience) && !seen[audience]
		seen[audience] = true
	}
	v.that("schema.audiences", ok, setting.Quote(s.Audiences), strings.Join(Audiences, ", ")+", or some of them, each once, separated by commas")
}

func (v *checker) safelist(c Config) {
	s := c.Safelist
	v.that("safelist.manifest", !s.On() || len(s.Files()) > 0, "nothing",
		"the file with the operations that clients send, with safelist.mode: "+s.Mode)
	v.that("http.playground", !c.HTTP.Playground || !s.Only() || s.ExemptAdmin, "true",
		"false with safelist.mode: only, which refuses what people type into the Playground; or safelist.exemptAdmin: true")
}

func (v *checker) payment(c Config) {
	methods, gateway := c.Payment.Methods, c.Payment.Gateway
	v.that("payment.methods", methods.Valid(), setting.Quote(string(methods)), "POINTS, ACCOUNT and CARD, or some of them, each once, separated by commas")
	byCard := slices.Contains(methods.List(), payment.MethodCARD)
	v.that("payment.methods", !byCard || gateway != commerce.GatewayNone, setting.Quote(string(methods)),
		"no CARD, since payment.gateway is none; or a payment.gateway that takes cards")
	v.that("payment.gateway", c.Profile != Production || gateway != commerce.GatewaySimulated || c.Payment.AllowSimulated, setting.Quote(gateway),
		"none or stripe in the profile production, since the simulated gateway takes no money and all goods would be free; "+
			"or payment.allowSimulated: true, for a rehearsal without real goods")
	v.webhook(c)
	if gateway == commerce.GatewayStripe {
		v.stripe(c)
	}
}

func (v *checker) stripe(c Config) {
	s := c.Payment.Stripe
	key := "a key" // not the key itself
	if s.SecretKey == "" {
		key = "nothing"
	}
	v.that("payment.stripe.secretKey", strings.HasPrefix(s.SecretKey, "sk_") || strings.HasPrefix(s.SecretKey, "rk_"), key,
		"the secret key of the account at Stripe, sk_… or rk_…, with payment.gateway: stripe; variable "+Variable("payment.stripe.secretKey"))
	v.that("payment.stripe.secretKey", c.Profile != Production || !s.Test() || c.Payment.AllowSimulated, "a test key",
		"a live key in the profile production, since Stripe takes no money by a test key and all goods would be free; "+
			"or payment.allowSimulated: true, for a rehearsal without real goods")
	v.that("payment.stripe.webhookSecret", strings.HasPrefix(s.WebhookSecret, "whsec_"), fmt.Sprintf("%d bytes", len(s.WebhookSecret)),
		"the signing secret of the endpoint /webhooks/stripe at Stripe, whsec_…, with payment.gateway: stripe; variable "+
			Variable("payment.stripe.webhookSecret"))
	v.that("payment.stripe.url", isKeySetURL(s.URL), setting.Quote(s.URL.String()), "an https:// URL, or http:// on this machine")
	if err := stripe.Takes(c.Shop.Currency); err != nil {
		v.that("shop.currency", false, setting.Quote(c.Shop.Currency), "another currency, or another payment.gateway: "+err.Error())
	}
}

// minWebhookSecret is as long as the hash of the signature (RFC 2104, section 3).
const minWebhookSecret = 32

func (v *checker) webhook(c Config) {
	secret := c.Payment.WebhookSecret
	v.that("payment.webhookSecret", secret == "" || len(secret) >= minWebhookSecret,
		fmt.Sprintf("%d bytes", len(secret)), fmt.Sprintf("nothing, or at least %d", minWebhookSecret)) // not the secret itself
}

// isKeySetURL refuses keys that come over a wire where they could be exchanged.
func isKeySetURL(text setting.URL) bool {
	u, err := url.Parse(string(text))
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname()))
}

func isCollectorURL(text setting.URL) bool {
	u, err := url.Parse(string(text))
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func (v *checker) http(h HTTP) {
	for _, origin := range h.OriginList() {
		u, err := url.Parse(origin)
		v.that("http.origins", err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
			origin == u.Scheme+"://"+u.Host && !strings.Contains(u.Host, "*"), setting.Quote(setting.URL(origin).String()),
			"origins such as https://shop.example, without a path, each by its name")
	}
	for _, name := range h.OriginHeaderList() {
		v.that("http.originHeaders", headerName.MatchString(name), setting.Quote(name), "names of headers such as traceparent, each in full")
	}
}

// headerName is the name of a header by RFC 9110, section 5.6.2, but for "*", which browsers take for all names.
var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'+.^_|~` + "`" + `-]{1,100}$`)

// OriginList is Origins as a list.
func (h HTTP) OriginList() []string { return list(string(h.Origins)) }

// OriginHeaderList is OriginHeaders as a list.
func (h HTTP) OriginHeaderList() []string { return list(h.OriginHeaders) }

// list splits a text at its commas.
func list(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
