package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/config"
)

// TestPagesOfParts serves the pages of the parts of the schema that are served, and the tabs of the Playground that are left.
func TestPagesOfParts(t *testing.T) {
	for _, test := range []struct {
		audiences     string
		shop, lab     int
		shown, hidden string // of the tabs
	}{
		{"storefront,administration,experiments", http.StatusOK, http.StatusOK, "startExperiment(", ""},
		{"storefront", http.StatusOK, http.StatusNotFound, "placeOrder(", "stockAdjust("},
		{"administration", http.StatusNotFound, http.StatusNotFound, "stockAdjust(", "startExperiment("},
		{"experiments", http.StatusNotFound, http.StatusOK, "startExperiment(", "placeOrder("},
	} {
		t.Run(test.audiences, func(t *testing.T) {
			cfg := config.Default()
			cfg.Schema.Audiences = test.audiences
			nothing := http.NotFoundHandler()
			handler, err := router(cfg, nothing, nothing, nil, func(context.Context) []string { return nil })
			must(t, err)
			get := func(path string) *httptest.ResponseRecorder {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
				return answer
			}
			for path, want := range map[string]int{"/": http.StatusOK, "/shop": test.shop, "/lab": test.lab} {
				if got := get(path).Code; got != want {
					t.Errorf("%s: status %d, want %d", path, got, want)
				}
			}
			listed := pageOperations(cfg) // of the pages that are served, and of no others
			for path, want := range map[string]int{"/shop": test.shop, "/lab": test.lab} {
				if got := listed["the page "+path] != nil; got != (want == http.StatusOK) {
					t.Errorf("the operations of %s are in the safelist: %t", path, got)
				}
			}
			page := get("/").Body.String()
			if !strings.Contains(page, test.shown) || test.hidden != "" && strings.Contains(page, test.hidden) {
				t.Errorf("the Playground shows %q: %t; it shows %q: %t", test.shown, strings.Contains(page, test.shown), test.hidden, strings.Contains(page, test.hidden))
			}
		})
	}
}
