package web

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLabPage(t *testing.T) {
	response := get(t, Lab(LabOptions{
		Token: "a token", MaxClients: 7, MaxMilliseconds: 5000, Strategies: []string{"none"},
		Workloads: []LabChoice{{Name: "points", About: "</script><script>alert(1)</script>"}},
	}), "/lab")
	page := body(t, response)
	m := configScript.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no configuration in\n%s", page)
	}
	var o LabOptions
	if err := json.Unmarshal([]byte(m[1]), &o); err != nil {
		t.Fatal(err)
	}
	if o.Endpoint != "/graphql" || o.Token != "a token" || o.MaxClients != 7 || o.MaxMilliseconds != 5000 ||
		o.Workloads[0].About != "</script><script>alert(1)</script>" {
		t.Errorf("the page is told %+v", o)
	}
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'self'; object-src 'none'", "Cache-Control": "no-store",
	} {
		if got := response.Header.Get(header); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
}

// TestLabIsSmall: a page without a framework stays without one.
func TestLabIsSmall(t *testing.T) {
	entries, err := dist.ReadDir("dist/assets")
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "lab-") || !strings.HasSuffix(e.Name(), ".js") {
			continue
		}
		scripts++
		if size := len(read("dist/assets/" + e.Name())); size > 30_000 {
			t.Errorf("%s has %d bytes", e.Name(), size)
		}
	}
	if scripts != 1 {
		t.Errorf("the lab has %d scripts: remove what an earlier build has left", scripts)
	}
}
