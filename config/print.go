package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"holdfast/clients"
)

const redacted = "xxxxx"

// YAML is the configuration in the form of a file, with secrets and the passwords of URLs replaced.
func (c Config) YAML() string {
	if c.Auth.Secret != "" {
		c.Auth.Secret = redacted
	}
	c.Database.URL, c.Redis.URL = clients.RedactURL(c.Database.URL), clients.RedactURL(c.Redis.URL)
	var (
		b    strings.Builder
		open []string // the sections that the last line is in
	)
	walk(reflect.ValueOf(&c).Elem(), "", func(key string, value reflect.Value) {
		path := strings.Split(key, ".")
		for depth, section := range path[:len(path)-1] {
			if depth >= len(open) || open[depth] != section {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), section)
				open = append(open[:min(depth, len(open))], section)
			}
		}
		open = open[:len(path)-1]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(path)-1), path[len(path)-1], scalar(value))
	})
	return b.String()
}

func scalar(value reflect.Value) string {
	switch v := value.Interface().(type) {
	case time.Duration:
		return duration(v)
	case slog.Level:
		return level(v)
	}
	if value.Kind() == reflect.String {
		return strconv.Quote(value.String())
	}
	return fmt.Sprint(value.Interface())
}

// duration is 15m where time.Duration says 15m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func level(l slog.Level) string { return strings.ToLower(l.String()) }
