package transport

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Request is what all layers know about the HTTP request that they serve. An operation of a
// WebSocket connection counts as a request of its own.
type Request struct {
	ID      string
	Start   time.Time // when it arrived
	Address string    // of the client
	// Uncounted reports that Address is that of a proxy which Options.Proxies does not count: all clients behind it have it.
	Uncounted bool
}

type requestKey struct{}

// RequestOf returns the request of a context. Outside of a handler it returns one with the ID
// "none" that starts now.
func RequestOf(ctx context.Context) Request {
	if r, ok := ctx.Value(requestKey{}).(Request); ok {
		return r
	}
	return Request{ID: "none", Start: time.Now()}
}

// RequestIDHeader is where a request ID may be given, and is returned.
const RequestIDHeader = "X-Request-Id"

// validRequestID matches what may go into logs and responses as it is.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// withRequest puts a [Request] into the context. Its ID is the caller's if that is valid, else a
// new one. It warns once if requests come by a proxy that is not counted.
func withRequest(proxies int, log *slog.Logger, next http.Handler) http.Handler {
	var warned sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The deadline of the response before, see write, must not end this one.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		id := r.Header.Get(RequestIDHeader)
		if !validRequestID.MatchString(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		w.Header().Set(RequestIDHeader, id)
		request := Request{ID: id, Start: time.Now(), Address: addressOf(r, proxies)}
		if request.Uncounted = proxies == 0 && fromProxy(r); request.Uncounted {
			warned.Do(func() {
				log.WarnContext(r.Context(), "a proxy is not counted in http.proxies", "address", request.Address)
			})
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, request)))
	})
}

// fromProxy reports whether a request comes by a proxy near the server. Others may send X-Forwarded-For as they like.
func fromProxy(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	ip := peer.Addr().Unmap()
	return err == nil && r.Header.Get("X-Forwarded-For") != "" && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

// addressOf returns the client's address. Each proxy appends the address of its caller to
// X-Forwarded-For, so the operator's proxies have written the last entries. Entries before those
// may be forged by the client.
func addressOf(r *http.Request, proxies int) string {
	if proxies > 0 {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if at := len(hops) - proxies; at >= 0 {
			if ip, err := netip.ParseAddr(strings.TrimSpace(hops[at])); err == nil {
				return ip.Unmap().WithZone("").String()
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// network returns what counts as one address: an IPv4 address, or an IPv6 network of 64 bits, of which a
// provider gives one or many to each customer.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address // impossible: an IPv6 address has 128 bits
	}
	return prefix.String()
}

// withNewRequest gives an operation of a WebSocket connection a [Request] of its own.
func withNewRequest(ctx context.Context) context.Context {
	request := RequestOf(ctx)
	request.ID, request.Start = uuid.Must(uuid.NewV7()).String(), time.Now()
	return context.WithValue(ctx, requestKey{}, request)
}
