package transport

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// forgeable is what a request is told that the page of another site could have made a browser send.
const forgeable = "this request could have been sent by the page of another site; send a Content-Type of " + mediaJSON +
	", or one of the headers Apollo-Require-Preflight and X-Apollo-Operation-Name with any value"

// preflighted tells whether a browser would have asked first whether the page that sends this request may do so, as Apollo
// Server checks it. Simple requests, in the sense of CORS, are sent without asking; only the answer is kept from the page.
func preflighted(r *http.Request) bool {
	for _, name := range []string{"Apollo-Require-Preflight", "X-Apollo-Operation-Name", "Authorization"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return r.Method != http.MethodGet // a POST without a type is refused for that, by a clearer message
	}
	media, _, err := mime.ParseMediaType(given)
	switch media {
	case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return r.Method != http.MethodGet // again
	}
	return err == nil
}

// withOrigins lets the pages of some sites read answers, and answers what browsers ask before they send: CORS. There are no
// cookies here, so that credentials are never allowed.
func withOrigins(origins []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if len(origins) > 0 {
			h.Add("Vary", "Origin")
		}
		origin := r.Header.Get("Origin")
		allowed := origin != "" && slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) })
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", RequestIDHeader+", Retry-After")
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Allow", "GET, POST, OPTIONS")
		if allowed {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers",
				"Content-Type, Authorization, Apollo-Require-Preflight, X-Apollo-Operation-Name, "+RequestIDHeader)
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// originHosts are the patterns of a web socket's origin check.
func originHosts(origins []string) []string {
	patterns := make([]string, len(origins))
	for i, o := range origins {
		patterns[i] = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(o) // it matches by path.Match
	}
	return patterns
}
