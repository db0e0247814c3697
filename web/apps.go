package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
)

// shopPolicy is stricter than that of the Playground: the shop's styles are all in its style sheet.
const shopPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ShopOptions configures the shop. All of it ends up in the page, for everybody who may load that page.
type ShopOptions struct {
	// Endpoint receives queries and mutations by POST and subscriptions over graphql-transport-ws; a path of this server,
	// "/graphql" by default.
	Endpoint string
	// Token signs the visitor in, as in a demonstration. Without it, the page asks for one.
	Token string
}

// shopConfig is what the page reads; its twin is shop/config.ts.
type shopConfig struct {
	Endpoint string `json:"endpoint"`
	Token    string `json:"token"`
}

// Shop serves the storefront, at whatever path it is asked for. Its scripts come from Assets.
func Shop(o ShopOptions) http.Handler {
	page := shopPage(o)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { servePage(w, r, page, shopPolicy) })
}

func shopPage(o ShopOptions) []byte {
	config, err := json.Marshal(shopConfig{Endpoint: cmp.Or(o.Endpoint, "/graphql"), Token: o.Token})
	if err != nil {
		panic(fmt.Sprintf("web: encode the configuration of the shop: %v", err)) // Strings.
	}
	return withConfig(read("dist/shop/index.html"), config)
}
