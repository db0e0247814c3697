package web

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func shopConfigOf(t *testing.T, page string) shopConfig {
	t.Helper()
	m := configScript.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no configuration in\n%s", page)
	}
	var c shopConfig
	if err := json.Unmarshal([]byte(m[1]), &c); err != nil {
		t.Fatalf("%v in\n%s", err, m[1])
	}
	return c
}

func TestShopConfiguration(t *testing.T) {
	evil := "</script><script>alert(1)</script>"
	for name, test := range map[string]struct {
		options ShopOptions
		want    shopConfig
	}{
		"defaults": {ShopOptions{}, shopConfig{Endpoint: "/graphql"}},
		"given":    {ShopOptions{Endpoint: "/api", Token: "a.b.c"}, shopConfig{Endpoint: "/api", Token: "a.b.c"}},
		"evil":     {ShopOptions{Endpoint: evil, Token: evil}, shopConfig{Endpoint: evil, Token: evil}},
	} {
		page := body(t, get(t, Shop(test.options), "/shop"))
		if got := shopConfigOf(t, page); got != test.want {
			t.Errorf("%s: %#v, want %#v", name, got, test.want)
		}
		if strings.Contains(page, "alert(1)</script>") {
			t.Errorf("%s: a value broke out:\n%s", name, page)
		}
	}
}

func TestShopHeaders(t *testing.T) {
	r := get(t, Shop(ShopOptions{}), "/shop")
	for name, want := range map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": shopPolicy,
		"Cache-Control":           "no-store",
		"X-Content-Type-Options":  "nosniff",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(shopPolicy, "unsafe") {
		t.Errorf("the policy of the shop is %s", shopPolicy)
	}
	w := httptest.NewRecorder()
	Shop(ShopOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/shop", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestShopAssets: the page finds all it refers to, in one script of a bearable size.
func TestShopAssets(t *testing.T) {
	assets := Assets()
	page := body(t, get(t, Shop(ShopOptions{}), "/shop"))
	scripts := 0
	for _, ref := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		r := get(t, assets, ref[1])
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", ref[1], r.Status)
		}
		if path.Ext(ref[1]) == ".js" {
			scripts++
			if size, limit := len(body(t, r)), 700_000; size > limit {
				t.Errorf("%s has grown to %d bytes", ref[1], size)
			}
		}
	}
	built, err := fs.Glob(dist, "dist/assets/shop-*.js")
	if err != nil || scripts != 1 || len(built) != 1 {
		t.Errorf("the page loads %d scripts, built are %v, %v", scripts, built, err)
	}
}
