package plans

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as text in plans and reports: 300ms, 5s.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration, such as 300ms or 5s", text)
	}
	*d = Duration(parsed)
	return nil
}

// String writes the duration as Go does: 300ms, 1m30s.
func (d Duration) String() string { return time.Duration(d).String() }
