// Package web serves the pages of holdfast from the binary: no file beside it, no host but this one.
//
// The pages are written in TypeScript, built by Vite into dist and committed; see README.md.
package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// contentSecurityPolicy lets a page load, and connect to, nothing but its own origin. Monaco, the editor inside GraphiQL,
// writes style elements and attributes, hence 'unsafe-inline' for styles, and draws a few icons from data: URLs.
const contentSecurityPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Tab is one prepared operation of the Playground. GraphiQL labels a tab with the name of its operation, so that an
// anonymous one shows as "<untitled>".
type Tab struct {
	// Title heads the operation as a comment, unless it is empty or the query begins with a comment of its own.
	Title string `json:"title"`
	Query string `json:"query"`
	// Variables is a JSON object, or empty.
	Variables string `json:"variables"`
	// Headers is a JSON object; empty means PlaygroundOptions.Headers.
	Headers string `json:"headers"`
}

// PlaygroundOptions configures the Playground. All of it ends up in the page, for everybody who may load that page.
type PlaygroundOptions struct {
	// Endpoint receives queries and mutations by POST; a path of this server, "/graphql" by default.
	Endpoint string
	// SubscriptionEndpoint speaks graphql-transport-ws, and receives a tab's headers as the payload of connection_init;
	// a path of this server, Endpoint by default.
	SubscriptionEndpoint string
	// Headers are sent by every tab without headers of its own, prepared or new, and shown in the header editor.
	Headers map[string]string
	Tabs    []Tab
	// Title names the page; "holdfast" by default.
	Title string
	// Pages are all pages of the server, the Playground included.
	Pages []Page
}

// playgroundConfig is what the page reads; its twin is playground/config.ts.
type playgroundConfig struct {
	Endpoint             string            `json:"endpoint"`
	SubscriptionEndpoint string            `json:"subscriptionEndpoint"`
	Headers              map[string]string `json:"headers"`
	Tabs                 []Tab             `json:"tabs"`
	Title                string            `json:"title"`
	Pages                []Page            `json:"pages"`
	// Namespace is where the browser keeps this Playground's state. It covers everything above: GraphiQL prefers what it
	// stored on an earlier visit, and would otherwise hide new tabs and go on sending an old token.
	Namespace string `json:"namespace"`
}

// Playground serves GraphiQL with the prepared tabs, at whatever path it is asked for. Its scripts come from Assets.
func Playground(o PlaygroundOptions) http.Handler {
	page := playgroundPage(o)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { servePage(w, r, page, contentSecurityPolicy) })
}

func servePage(w http.ResponseWriter, r *http.Request, page []byte, policy string) {
	if !readOnly(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // The page may hold a token.
	_, _ = w.Write(page)               // A client that has gone is not our problem.
}

func playgroundPage(o PlaygroundOptions) []byte {
	c := configure(o)
	config, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("web: encode the configuration of the Playground: %v", err)) // Strings and maps of strings.
	}
	page := withConfig(read("dist/playground/index.html"), config)
	return replace(page, "<title>holdfast</title>", "<title>"+html.EscapeString(c.Title)+"</title>")
}

// withConfig writes what a page is to know into it. Marshal has escaped <, > and &, so that no value can end the script
// element that holds it.
func withConfig(page, config []byte) []byte {
	const script = `<script type="application/json" id="holdfast-config">%s</script>`
	return replace(page, fmt.Sprintf(script, "{}"), fmt.Sprintf(script, config))
}

func configure(o PlaygroundOptions) playgroundConfig {
	c := playgroundConfig{
		Endpoint:             cmp.Or(o.Endpoint, "/graphql"),
		SubscriptionEndpoint: cmp.Or(o.SubscriptionEndpoint, cmp.Or(o.Endpoint, "/graphql")),
		Headers:              map[string]string{},
		Tabs:                 []Tab{},
		Title:                cmp.Or(o.Title, "holdfast"),
		Pages:                append([]Page{}, o.Pages...),
	}
	for name, value := range o.Headers {
		c.Headers[name] = value
	}
	headers := mustIndent(c.Headers)
	for _, t := range o.Tabs {
		t.Headers = cmp.Or(t.Headers, headers)
		if t.Title != "" && !strings.HasPrefix(strings.TrimSpace(t.Query), "#") {
			t.Query = "# " + strings.Join(strings.Fields(t.Title), " ") + "\n" + strings.TrimLeft(t.Query, "\r\n")
		}
		c.Tabs = append(c.Tabs, t)
	}
	sum := sha256.Sum256([]byte(mustIndent(c)))
	c.Namespace = hex.EncodeToString(sum[:8])
	return c
}

// mustIndent is for strings and maps of strings, which always encode.
func mustIndent(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("web: encode %T: %v", v, err))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func replace(page []byte, placeholder, content string) []byte {
	if bytes.Count(page, []byte(placeholder)) != 1 {
		panic(fmt.Sprintf("web: the embedded page does not hold %q once: rebuild dist", placeholder))
	}
	return bytes.Replace(page, []byte(placeholder), []byte(content), 1)
}
