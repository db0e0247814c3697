package web

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func appConfigOf(t *testing.T, page string) appConfig {
	t.Helper()
	m := configScript.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no configuration in\n%s", page)
	}
	var c appConfig
	if err := json.Unmarshal([]byte(m[1]), &c); err != nil {
		t.Fatalf("%v in\n%s", err, m[1])
	}
	return c
}

// apps are the pages that share a framework, by their paths.
var apps = map[string]func(AppOptions) http.Handler{"/shop": Shop, "/admin": Admin}

func TestAppConfiguration(t *testing.T) {
	evil := "</script><script>alert(1)</script>"
	pages := []Page{{Title: "Shop", Path: "/shop"}, {Title: evil, Path: "/admin"}}
	for name, test := range map[string]struct {
		options AppOptions
		want    appConfig
	}{
		"defaults": {AppOptions{}, appConfig{Endpoint: "/graphql", Pages: []Page{}}},
		"given":    {AppOptions{Endpoint: "/api", Token: "a.b.c"}, appConfig{Endpoint: "/api", Token: "a.b.c", Pages: []Page{}}},
		"evil":     {AppOptions{Endpoint: evil, Token: evil, Pages: pages}, appConfig{Endpoint: evil, Token: evil, Pages: pages}},
	} {
		for path, app := range apps {
			page := body(t, get(t, app(test.options), path))
			if got := appConfigOf(t, page); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s, %s: %#v, want %#v", path, name, got, test.want)
			}
			if strings.Contains(page, "alert(1)</script>") {
				t.Errorf("%s, %s: a value broke out:\n%s", path, name, page)
			}
		}
	}
}

func TestAppHeaders(t *testing.T) {
	// Only the storefront shows images of elsewhere, and only over https; it runs nothing from there.
	policies := map[string]string{"/shop": appPolicy + "; img-src 'self' https:", "/admin": appPolicy}
	for address, app := range apps {
		r := get(t, app(AppOptions{}), address)
		for name, want := range map[string]string{
			"Content-Type":            "text/html; charset=utf-8",
			"Content-Security-Policy": policies[address],
			"Cache-Control":           "no-store",
			"X-Content-Type-Options":  "nosniff",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", address, name, got, want)
			}
		}
		w := httptest.NewRecorder()
		app(AppOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, address, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", address, w.Code)
		}
	}
	if strings.Contains(appPolicy, "unsafe") {
		t.Errorf("the policy is %s", appPolicy)
	}
}

// TestAppsAreSmall: each page finds all it refers to. Its scripts together are of a bearable size, and what the two have in common is
// built once.
func TestAppsAreSmall(t *testing.T) {
	assets := Assets()
	loaded := map[string]int{} // by how many pages
	for address, app := range apps {
		page, size := body(t, get(t, app(AppOptions{}), address)), 0
		for _, ref := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]*)"`).FindAllStringSubmatch(page, -1) {
			r := get(t, assets, ref[1])
			if r.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s", address, ref[1], r.Status)
			}
			if path.Ext(ref[1]) == ".js" {
				loaded[ref[1]]++
				size += len(body(t, r))
			}
		}
		if limit := 700_000; size > limit {
			t.Errorf("%s loads scripts of %d bytes", address, size)
		}
	}
	shared := 0
	for script, pages := range loaded {
		if pages == len(apps) {
			shared += len(read("dist" + script))
		}
	}
	if shared < 300_000 {
		t.Errorf("the pages share scripts of %d bytes: React and Apollo Client should be among them", shared)
	}
	for _, name := range []string{"shop", "admin"} {
		built, err := fs.Glob(dist, "dist/assets/"+name+"-*.js")
		if err != nil || len(built) != 1 {
			t.Errorf("built are %v, %v: remove what an earlier build has left", built, err)
		}
	}
}
