package setting

import (
	"errors"
	"net/url"
	"strings"
)

// URL is the type of a setting that is a URL, or several separated by commas. It may hold passwords, so whatever prints it (fmt,
// slog, encoding/json, the configuration, an error about it) shows it without them. A conversion to string gives the whole.
type URL string

// redacted stands for what is not shown.
const redacted = "xxxxx"

// String returns the URL without passwords: those of its user and those of parameters that are named like a password, a secret, a
// token or a key. Of what cannot be parsed it shows the scheme only.
func (u URL) String() string {
	parts := strings.Split(string(u), ",")
	for first := 0; first < len(parts); {
		last := first + 1 // the part behind those that belong to one scheme, such as the addresses of a cluster
		for last < len(parts) && !strings.Contains(parts[last], "://") {
			last++
		}
		redact(parts[first:last])
		first = last
	}
	return strings.Join(parts, ",")
}

// MarshalText implements encoding.TextMarshaler for what prints values as JSON.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// WithoutURL strips the URL, which may hold a password, from errors of net/url and net/http.
func WithoutURL(err error) error {
	if failed := new(url.Error); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// redact replaces the passwords in parts that were separated by commas, of which the first alone may have a scheme.
func redact(parts []string) {
	if scheme, _, found := strings.Cut(parts[0], "://"); found && scheme != "sqlite" && !strings.Contains(parts[0], "@") &&
		strings.Contains(strings.Join(parts, ","), "@") { // the comma is in a password
		parts[0] = scheme + "://" + redacted
		for i := range parts[1:] {
			parts[i+1] = redacted
		}
		return
	}
	for i, part := range parts {
		parts[i] = redactOne(part)
	}
}

func redactOne(address string) string {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		if strings.ContainsAny(address, "@=") { // such as a DSN: no place for it here, and it may hold a password
			return redacted
		}
		return address
	}
	if scheme == "sqlite" {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || (u.User == nil && strings.Contains(rest, "@")) {
		return scheme + "://" + redacted
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), redacted)
	}
	query := u.Query()
	for name := range query {
		if isSecret(name) {
			query.Set(name, redacted)
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

// isSecret reports whether a parameter of a URL is named like something that nobody else may know.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"pass", "pwd", "secret", "token", "key", "sig", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
