package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var configScript = regexp.MustCompile(`(?s)<script type="application/json" id="holdfast-config">(.*?)</script>`)

// pageConfig reads the configuration as a browser does: up to the first end tag.
func pageConfig(t *testing.T, page string) playgroundConfig {
	t.Helper()
	m := configScript.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no configuration in\n%s", page)
	}
	var c playgroundConfig
	if err := json.Unmarshal([]byte(m[1]), &c); err != nil {
		t.Fatalf("%v in\n%s", err, m[1])
	}
	return c
}

func TestPlaygroundConfiguration(t *testing.T) {
	page := body(t, get(t, Playground(PlaygroundOptions{
		Endpoint: "/api/graphql",
		Headers:  map[string]string{"Authorization": "Bearer demo"},
		Tabs: []Tab{
			{Title: "Browse the  catalogue", Query: "\nquery Products { products }", Variables: `{"first": 2}`},
			{Title: "ignored", Query: "# Mine\nquery Mine { products }", Headers: `{"Authorization": "Bearer admin"}`},
		},
	}), "/"))
	c := pageConfig(t, page)

	if c.Endpoint != "/api/graphql" || c.SubscriptionEndpoint != "/api/graphql" || c.Title != "holdfast" {
		t.Errorf("endpoint %q, subscriptions %q, title %q", c.Endpoint, c.SubscriptionEndpoint, c.Title)
	}
	want := []Tab{
		{
			Title:     "Browse the  catalogue",
			Query:     "# Browse the catalogue\nquery Products { products }",
			Variables: `{"first": 2}`,
			Headers:   "{\n  \"Authorization\": \"Bearer demo\"\n}",
		},
		{Title: "ignored", Query: "# Mine\nquery Mine { products }", Headers: `{"Authorization": "Bearer admin"}`},
	}
	if len(c.Tabs) != len(want) || c.Tabs[0] != want[0] || c.Tabs[1] != want[1] {
		t.Errorf("tabs are\n%#v, want\n%#v", c.Tabs, want)
	}
}

func TestPlaygroundDefaults(t *testing.T) {
	page := body(t, get(t, Playground(PlaygroundOptions{}), "/"))
	c := pageConfig(t, page)
	if c.Endpoint != "/graphql" || c.SubscriptionEndpoint != "/graphql" || c.Headers == nil || c.Tabs == nil {
		t.Errorf("configuration is %#v", c)
	}
	for _, part := range []string{"<title>holdfast</title>", "<noscript>"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
}

func TestPlaygroundEscapes(t *testing.T) {
	evil := "</script><script>alert(1)</script><!-- \u2028 & \" '"
	page := body(t, get(t, Playground(PlaygroundOptions{
		Title:   evil,
		Headers: map[string]string{evil: evil},
		Tabs:    []Tab{{Query: evil, Variables: evil}},
	}), "/"))
	if strings.Contains(page, "alert(1)</script>") {
		t.Errorf("a value broke out:\n%s", page)
	}
	c := pageConfig(t, page)
	if c.Title != evil || c.Headers[evil] != evil || c.Tabs[0].Query != evil || c.Tabs[0].Variables != evil {
		t.Errorf("values did not survive: %#v", c)
	}
	if !strings.Contains(page, "<title>"+html.EscapeString(evil)+"</title>") {
		t.Errorf("the title is not escaped:\n%s", page)
	}
}

func TestPlaygroundNamespace(t *testing.T) {
	options := func() PlaygroundOptions {
		return PlaygroundOptions{
			Headers: map[string]string{"Authorization": "Bearer 1", "X-Tenant": "a"},
			Tabs:    []Tab{{Query: "query A { a }"}},
		}
	}
	namespace := func(change func(*PlaygroundOptions)) string {
		o := options()
		change(&o)
		return configure(o).Namespace
	}
	same := namespace(func(*PlaygroundOptions) {})
	if again := namespace(func(*PlaygroundOptions) {}); again != same || len(same) != 16 {
		t.Errorf("the same options give %q and %q", same, again)
	}
	for name, change := range map[string]func(*PlaygroundOptions){
		"token":     func(o *PlaygroundOptions) { o.Headers["Authorization"] = "Bearer 2" },
		"query":     func(o *PlaygroundOptions) { o.Tabs[0].Query = "query B { b }" },
		"variables": func(o *PlaygroundOptions) { o.Tabs[0].Variables = "{}" },
		"headers":   func(o *PlaygroundOptions) { o.Tabs[0].Headers = "{}" },
		"more tabs": func(o *PlaygroundOptions) { o.Tabs = append(o.Tabs, o.Tabs[0]) },
	} {
		if namespace(change) == same {
			t.Errorf("%s: the browser would go on with what it has stored", name)
		}
	}
}

func TestPlaygroundHeaders(t *testing.T) {
	r := get(t, Playground(PlaygroundOptions{}), "/")
	for name, want := range map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": contentSecurityPolicy,
		"Cache-Control":           "no-store",
		"X-Content-Type-Options":  "nosniff",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestAssets(t *testing.T) {
	h := Assets()
	page := body(t, get(t, Playground(PlaygroundOptions{}), "/"))
	references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(references) < 3 {
		t.Fatalf("the page refers to %v", references)
	}
	for _, ref := range references {
		target := ref[1]
		plain := get(t, h, target)
		if plain.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", target, plain.Status)
			continue
		}
		for name, want := range map[string]string{
			"Content-Type":     contentTypes[path.Ext(target)],
			"Cache-Control":    "public, max-age=31536000, immutable",
			"Content-Encoding": "",
			"Vary":             "Accept-Encoding",
		} {
			if got := plain.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
		zipped := get(t, h, target, "Accept-Encoding", "br, gzip;q=0.8")
		if got := zipped.Header.Get("Content-Encoding"); got != "gzip" {
			t.Errorf("%s: Content-Encoding is %q", target, got)
			continue
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		unzipped, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if string(unzipped) != body(t, plain) {
			t.Errorf("%s: differs when compressed", target)
		}
	}
}

func TestAssetsRefuse(t *testing.T) {
	h := Assets()
	for _, target := range []string{
		"/assets/", "/assets", "/assets/missing.js", "/assets/../playground/index.html", "/playground/index.html",
	} {
		if r := get(t, h, target); r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "" {
			t.Errorf("%s: %s, Cache-Control %q", target, r.Status, r.Header.Get("Cache-Control"))
		}
	}
	w := httptest.NewRecorder()
	Playground(PlaygroundOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "br": false, "gzip": true, "GZIP": true, "deflate, gzip;q=1.0": true, "br;q=1.0,gzip; q=0.5": true,
		"gzip;q=0": false, "gzip;q=0.000": false, "xgzip": false, "gzip;q=x": false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// loading matches the ways in which a page or a style sheet fetches something by an absolute address.
var loading = regexp.MustCompile(`(?:src|href)\s*=\s*["'](?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import|` +
	`(?:fetch|importScripts|import|Worker)\(\s*["'` + "`" + `](?:https?:)?//`)

func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	var size int
	err := fs.WalkDir(dist, "dist", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content := read(file)
		size += len(content)
		if m := loading.FindIndex(content); m != nil {
			t.Errorf("%s: %q", file, content[m[0]:min(m[1]+60, len(content))])
		}
		for _, host := range []string{"unpkg.com", "jsdelivr", "esm.sh", "cdnjs", "googleapis", "gstatic", "sourceMappingURL="} {
			if bytes.Contains(content, []byte(host)) {
				t.Errorf("%s mentions %s", file, host)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of these, GraphiQL with Monaco and its workers has 5.7 MB, and the storefront, the administration and the lab have 0.7 MB.
	if limit := 7_000_000; size > limit {
		t.Errorf("dist has grown to %d bytes", size)
	}
}
