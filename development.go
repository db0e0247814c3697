package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/graph"
	"holdfast/web"
)

// developmentSecret signs tokens where none is configured, so that `holdfast token` fits the running server. Everybody
// knows it, which is why development answers to loopback only; config refuses an empty secret anywhere else.
const developmentSecret = "holdfast development secret, known to everybody"

func secret(cfg config.Config) []byte {
	if cfg.Auth.Secret == "" {
		return []byte(developmentSecret)
	}
	return []byte(cfg.Auth.Secret)
}

// demoTokenTTL lets a browser tab stay open over the weekend.
const demoTokenTTL = 7 * 24 * time.Hour

// playground is GraphiQL with prepared operations. In development they carry a working token, of an administrator named
// alice.
func playground(cfg config.Config) (http.Handler, error) {
	headers := map[string]string{}
	token, err := demoToken(cfg, auth.Customer, auth.Admin)
	if err != nil {
		return nil, err
	}
	if token != "" {
		headers["Authorization"] = "Bearer " + token
	}
	// The tabs are made anew for each start, for fresh idempotency keys, but not for each visit: the page keeps what was
	// edited for as long as the server's tabs are the same.
	return web.Playground(web.PlaygroundOptions{Headers: headers, Tabs: graph.Tabs()}), nil
}

// demoAttempts is more than there are demo objects.
const demoAttempts = 30

// shop is the storefront. In development it comes with a working token, of a customer named alice; elsewhere it asks for one.
func shop(cfg config.Config) (http.Handler, error) {
	token, err := demoToken(cfg, auth.Customer)
	if err != nil {
		return nil, err
	}
	return web.Shop(web.ShopOptions{Token: token}), nil
}

// demoToken is "" unless this is a development server: pages give it to everybody who loads them.
func demoToken(cfg config.Config, roles ...auth.Role) (string, error) {
	if !cfg.Development || cfg.Auth.JWKS != "" { // whose issuer nobody here can sign for
		return "", nil
	}
	return auth.Issue(secret(cfg), cfg.Auth.Issuer, commerce.DemoAlice.UserID, roles, demoTokenTTL)
}

// demo adds the demo data. Of instances that start at the same moment each may find an object missing and then there,
// added by another. It goes on behind that the next time.
func demo(ctx context.Context, services *commerce.Services) error {
	for attempt := 1; ; attempt++ {
		err := commerce.SeedDemo(ctx, services)
		if err == nil || ctx.Err() != nil || attempt == demoAttempts {
			return err
		}
	}
}

// onlyLoopback refuses requests under any other host name: the page of another site could otherwise reach a development
// server by DNS rebinding.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "a development server answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
