package transport

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// forgeableMessage answers a request that the page of another site could have made a browser send.
const forgeableMessage = "this request could have been sent by the page of another site; send a Content-Type of " + mediaJSON +
	", or one of the headers Apollo-Require-Preflight and X-Apollo-Operation-Name with any value"

// isPreflighted reports whether a browser sends a CORS preflight before such a request, by the
// rules of Apollo Server. A browser sends a simple request, in the sense of CORS, at once: it only
// hides the response from the page.
func isPreflighted(r *http.Request) bool {
	for _, name := range []string{"Apollo-Require-Preflight", "X-Apollo-Operation-Name", "Authorization"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return r.Method != http.MethodGet // readBody refuses such a POST with a clearer message
	}
	media, _, err := mime.ParseMediaType(given)
	switch media {
	case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return r.Method != http.MethodGet // as above
	}
	return err == nil
}

// clientHeaders are the headers that the pages of allowed origins may send: what Apollo Client, urql
// and the network layers of Relay's documentation send by default, and what this API reads.
var clientHeaders = []string{
	"Accept", "Content-Type", "Authorization", RequestIDHeader,
	"Apollo-Require-Preflight", "X-Apollo-Operation-Name", "X-Apollo-Operation-Id", "X-Apollo-Operation-Type",
	"apollographql-client-name", "apollographql-client-version", // an Apollo Client with a name and a version
}

// withOrigins lets the pages of some sites read responses and answers CORS preflights. It allows
// clientHeaders and more. Credentials are never allowed: the API uses no cookies.
func withOrigins(origins, more []string, next http.Handler) http.Handler {
	headers := strings.Join(slices.Concat(clientHeaders, more), ", ")
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
			h.Set("Access-Control-Allow-Headers", headers)
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// originHosts returns the patterns for the origin check of WebSocket handshakes.
func originHosts(origins []string) []string {
	patterns := make([]string, len(origins))
	for i, o := range origins {
		// The check uses path.Match.
		patterns[i] = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(o)
	}
	return patterns
}
