package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
)

// appPolicy is stricter than that of the Playground: the styles of these pages are all in their style sheets.
const appPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// shopPolicy lets the storefront show the images of products, which are wherever an administrator has said, over https. It may load nothing
// else from there.
const shopPolicy = appPolicy + "; img-src 'self' https:"

// Page is one of the pages that a server serves: all of them link to each other.
type Page struct {
	// Title is what the link is called.
	Title string `json:"title"`
	// Path is where the page is on this server, such as "/shop".
	Path string `json:"path"`
}

// AppOptions configures the storefront or the administration. All of it ends up in the page, for everybody who may load that page.
type AppOptions struct {
	// Endpoint receives queries and mutations by POST and subscriptions over graphql-transport-ws. It is a path of this server,
	// "/graphql" by default.
	Endpoint string
	// Token signs the visitor in, as in a demonstration. Without it, the page asks for one.
	Token string
	// Pages are all pages of the server, this one included. They link to each other if there are several.
	Pages []Page
}

// appConfig is what the page reads; its twin is common/config.ts.
type appConfig struct {
	Endpoint string `json:"endpoint"`
	Token    string `json:"token"`
	Pages    []Page `json:"pages"`
}

// Shop serves the storefront, at whatever path it is asked for. Its scripts come from Assets.
func Shop(o AppOptions) http.Handler { return appPage("dist/shop/index.html", o, shopPolicy) }

// Admin serves the administration, at whatever path it is asked for. Its scripts come from Assets. The page holds no data of the shop:
// it asks the API, which tells nothing to callers without the role ADMIN.
func Admin(o AppOptions) http.Handler { return appPage("dist/admin/index.html", o, appPolicy) }

// Operations returns what a page sends, as a persisted query manifest of Apollo's format. The pages are shop, admin and lab.
func Operations(page string) []byte { return read("dist/" + page + "/operations.json") }

func appPage(file string, o AppOptions, policy string) http.Handler {
	config, err := json.Marshal(appConfig{Endpoint: cmp.Or(o.Endpoint, "/graphql"), Token: o.Token, Pages: append([]Page{}, o.Pages...)})
	if err != nil {
		panic(fmt.Sprintf("web: encode the configuration of %s: %v", file, err)) // Strings.
	}
	page := withConfig(read(file), config)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { servePage(w, r, page, policy) })
}
