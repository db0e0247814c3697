package clients

import (
	"errors"
	"net/url"
	"strings"
)

const redacted = "xxxxx"

// RedactURL replaces the passwords of a URL, or of several separated by commas, for logs and error messages. Of what
// cannot be parsed it shows the scheme only.
func RedactURL(address string) string {
	parts := strings.Split(address, ",")
	for i, part := range parts {
		parts[i] = redactOne(part)
	}
	return strings.Join(parts, ",")
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
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, redacted)
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

// withoutURL strips the URL, which holds the password, from errors of net/url.
func withoutURL(err error) error {
	if parse := new(url.Error); errors.As(err, &parse) {
		return parse.Err
	}
	return err
}
