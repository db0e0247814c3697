package config_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast/config"
)

// TestProductionProfile has the safe choice as its default, whichever source names the profile, and refuses development.
func TestProductionProfile(t *testing.T) {
	secret := "auth.secret=" + strings.Repeat("s", 32)
	for name, s := range map[string]config.Sources{
		"flag": {Set: []string{secret, "profile=production"}}, "environment": {Set: []string{secret}, Environ: []string{"HOLDFAST_PROFILE=production"}},
		"file": {Set: []string{secret}, File: write(t, "profile: production\n")},
	} {
		c := load(t, s)
		if c.Development || c.HTTP.Playground || c.HTTP.Introspection || c.HTTP.Rates.User == 0 || c.HTTP.Rates.Address == 0 || c.Log.Format != "json" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if admin := load(t, config.Sources{Set: []string{secret, "profile=production"}}).Admin.Listen; admin != "127.0.0.1:8081" {
		t.Errorf("metrics and profiles are served at %q", admin)
	}
	c := load(t, config.Sources{
		File: write(t, "http: {playground: true, userRate: 5}\nprofile: production\n"), Set: []string{secret, "http.addressRate=0"},
	})
	if !c.HTTP.Playground || c.HTTP.Rates.User != 5 || c.HTTP.Rates.Address != 0 || c.HTTP.Introspection {
		t.Errorf("what is set is not in force: %+v", c.HTTP)
	}
	for _, bad := range [][]string{
		{secret, "profile=production", "development=true"}, {secret, "profile=staging"}, {"profile=production"},
	} {
		if _, err := config.Load(config.Sources{Set: bad}); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

// TestPaymentsOfProfiles: in the profile production nothing is for nothing unless somebody has said so.
func TestPaymentsOfProfiles(t *testing.T) {
	secret := "auth.secret=" + strings.Repeat("s", 32)
	c := load(t, config.Sources{Set: []string{secret, "profile=production"}})
	if len(c.Payment.Methods.List()) != 0 || c.Payment.Gateway != "none" {
		t.Errorf("the profile production takes %q by the gateway %s", c.Payment.Methods, c.Payment.Gateway)
	}
	c = load(t, config.Sources{})
	if len(c.Payment.Methods.List()) != 3 || c.Payment.Gateway != "simulated" {
		t.Errorf("the profile development takes %q by the gateway %s", c.Payment.Methods, c.Payment.Gateway)
	}
	const live = "profile=production payment.methods=CARD payment.gateway=stripe"
	for set, want := range map[string]string{
		"payment.methods=POINTS,ACCOUNT payment.gateway=none": "",
		"payment.methods= payment.gateway=none":               "",
		"payment.gateway=none":                                "payment.methods", // CARD is its default
		"payment.methods=CASH":                                "payment.methods",
		"payment.methods=CARD,CARD":                           "payment.methods",
		"payment.gateway=other":                               "payment.gateway",
		"payment.pointsPrice=0":                               "payment.pointsPrice",
		"profile=production payment.methods=POINTS,ACCOUNT":   "",
		"profile=production payment.methods=CARD":             "payment.methods",
		"profile=production payment.gateway=simulated":        "payment.allowSimulated: true",
		"profile=production payment.gateway=simulated payment.methods=CARD payment.allowSimulated=1": "",

		live + " payment.stripe.secretKey=sk_live_1 payment.stripe.webhookSecret=whsec_1":                                "",
		live + " payment.stripe.secretKey=rk_live_1 payment.stripe.webhookSecret=whsec_1":                                "",
		live + " payment.stripe.webhookSecret=whsec_1":                                                                   "payment.stripe.secretKey",
		live + " payment.stripe.secretKey=pk_live_1 payment.stripe.webhookSecret=whsec_1":                                "payment.stripe.secretKey",
		live + " payment.stripe.secretKey=sk_live_1":                                                                     "payment.stripe.webhookSecret",
		live + " payment.stripe.secretKey=sk_test_1 payment.stripe.webhookSecret=whsec_1":                                "payment.allowSimulated: true",
		live + " payment.stripe.secretKey=sk_test_1 payment.stripe.webhookSecret=whsec_1 payment.allowSimulated=1":       "",
		live + " payment.stripe.secretKey=sk_live_1 payment.stripe.webhookSecret=whsec_1 shop.currency=UGX":              "shop.currency",
		live + " payment.stripe.secretKey=sk_live_1 payment.stripe.webhookSecret=whsec_1 payment.stripe.url=http://a.b":  "payment.stripe.url",
		live + " payment.stripe.secretKey=sk_live_1 payment.stripe.webhookSecret=whsec_1 payment.stripe.url=https://a.b": "",
	} {
		_, err := config.Load(config.Sources{Set: append(strings.Fields(set), secret)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}

func TestServerBounds(t *testing.T) {
	for set, want := range map[string]string{
		"auth.jwks=https://issuer.example/keys auth.audience=shop":                    "",
		"auth.jwks=http://127.0.0.1:1/keys auth.audience=shop":                        "",
		"auth.jwks=https://issuer.example/keys":                                       "auth.audience: nothing: want the audience of this shop's tokens",
		"auth.jwks=http://issuer.example/keys auth.audience=shop":                     "auth.jwks",
		"auth.jwks=https://u:p@i.example/keys auth.audience=shop":                     "auth.jwks",
		"auth.jwks=/keys auth.audience=shop":                                          "auth.jwks",
		"auth.jwksRefresh=1s":                                                         "auth.jwksRefresh",
		"listen=:80 development=false auth.jwks=https://i.example auth.audience=shop": "",
		"http.origins=https://shop.example,http://localhost:5173":                     "",
		"http.origins=https://shop.example/":                                          "http.origins",
		"http.origins=*":                                                              "http.origins",
		"http.origins=https://*.example":                                              "http.origins",
		"http.originHeaders=traceparent,X-Shop_1":                                     "",
		"http.originHeaders=*":                                                        "http.originHeaders",
		"http.originHeaders=a:b":                                                      "http.originHeaders",
		"http.proxies=11":                                                             "http.proxies",
		"http.userRate=-1":                                                            "http.userRate",
		"subscriptions.maxConnections=0":                                              "subscriptions.maxConnections",
		"subscriptions.ticketPoll=1m":                                                 "subscriptions.ticketPoll",
		"subscriptions.interval=0s":                                                   "subscriptions.interval",
	} {
		_, err := config.Load(config.Sources{Set: strings.Fields(set)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
	c := config.HTTP{Origins: " https://a.example ,, https://b.example"}
	if got := c.OriginList(); !slices.Equal(got, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("got %v", got)
	}
}
