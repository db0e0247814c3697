// Package scalar reads and writes the scalars of the schema, strictly: gqlgen's own take "1" for an Int, 1 for a String
// and 1.5 for an ID, and a client's mistake would become somebody's order.
package scalar

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"

	"holdfast/lockprovider"
)

// Error is an input value that its scalar does not take. The message is meant for the caller.
type Error struct{ message string }

func (e *Error) Error() string { return e.message }

func refuse(scalar, want string, got any) error {
	return &Error{fmt.Sprintf("%s must be %s, not %s", scalar, want, describe(got))}
}

// describe shows a value as it was sent, shortened.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("the string %.60q", v)
	case json.Number:
		return fmt.Sprintf("the number %.60s", v.String())
	case int, int64, float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	}
	return "an object"
}

// whole reads a JSON number or a literal that is a whole number. A literal that does not fit arrives as a float or not at
// all, depending on the parser; 1.0 and 1e3 are refused like 1.5.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// MarshalInt writes an Int.
func MarshalInt(i int) graphql.Marshaler { return graphql.MarshalInt(i) }

// UnmarshalInt reads an Int, which GraphQL bounds to 32 bits.
func UnmarshalInt(v any) (int, error) {
	n, ok := whole(v)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, refuse("an Int", "a whole number of 32 bits", v)
	}
	return int(n), nil
}

// MarshalString writes a String.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads a String. PostgreSQL stores no NUL, and no database text that is not UTF-8.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", refuse("a String", "a string", v)
	}
	if !storable(s) {
		return "", refuse("a String", "text without NUL characters", v)
	}
	return s, nil
}

func storable(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// MarshalID writes an ID.
func MarshalID(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// id matches every identifier that this shop gives out: a prefix and lower-case letters and digits, or, of a customer, the subject of
// an access token. Longer ones and other characters, such as spaces and colons, have a meaning in keys that are made of identifiers.
// The empty text names nothing, as many others do.
var id = regexp.MustCompile(`^[A-Za-z0-9_.@|+-]{0,80}$`)

// UnmarshalID reads an ID: a string or, as GraphQL has it, a whole number.
func UnmarshalID(v any) (string, error) {
	if s, ok := v.(string); ok && id.MatchString(s) {
		return s, nil
	}
	if n, ok := whole(v); ok {
		return strconv.FormatInt(n, 10), nil
	}
	return "", refuse("an ID", "at most 80 letters, digits and characters of _ . @ | + -", v)
}

// MarshalBoolean writes a Boolean.
func MarshalBoolean(b bool) graphql.Marshaler { return graphql.MarshalBoolean(b) }

// UnmarshalBoolean reads a Boolean.
func UnmarshalBoolean(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, refuse("a Boolean", "true or false", v)
	}
	return b, nil
}

// MarshalInt64 writes an Int64 as a string, since JavaScript rounds large numbers.
func MarshalInt64(i int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, `"`+strconv.FormatInt(i, 10)+`"`)
	})
}

var decimal = regexp.MustCompile(`^-?(0|[1-9]\d{0,15})$`)

// UnmarshalInt64 reads an Int64: a string of decimal digits or a whole number, within ±(2^53 - 1).
func UnmarshalInt64(v any) (int64, error) {
	n, ok := whole(v)
	if s, isString := v.(string); isString && decimal.MatchString(s) {
		n, ok = mustParse(s), true
	}
	if !ok || n < -lockprovider.MaxAmount || n > lockprovider.MaxAmount {
		return 0, refuse("an Int64", "a whole number of at most 2^53 - 1 up or down, as a string of digits or a number", v)
	}
	return n, nil
}

// mustParse is for what decimal matched: 16 digits always fit.
func mustParse(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// MarshalUUID writes a UUID.
func MarshalUUID(id uuid.UUID) graphql.Marshaler { return graphql.MarshalString(id.String()) }

// UnmarshalUUID reads a UUID in its canonical form alone: two spellings of one idempotency key would invite mistakes. The
// nil UUID is what a forgotten key looks like.
func UnmarshalUUID(v any) (uuid.UUID, error) {
	s, ok := v.(string)
	if !ok || len(s) != 36 {
		return uuid.Nil, refuse("a UUID", "36 characters such as \"0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1\"", v)
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, refuse("a UUID", "36 characters such as \"0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1\"", v)
	}
	if id == uuid.Nil {
		return uuid.Nil, refuse("a UUID", "other than the nil UUID", v)
	}
	return id, nil
}

// MarshalDateTime writes a time in UTC.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.MarshalString(t.UTC().Format(time.RFC3339Nano))
}

// UnmarshalDateTime reads a time as RFC 3339 states it, to the microsecond: that is what all databases keep.
func UnmarshalDateTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, refuse("a DateTime", "a string", v)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, refuse("a DateTime", "a time such as \"2026-01-31T12:00:00Z\"", v)
	}
	t = t.UTC() // it may be of another year there
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, refuse("a DateTime", "a time of the years 1 to 9999 in UTC", v)
	}
	return t.Truncate(time.Microsecond), nil
}
