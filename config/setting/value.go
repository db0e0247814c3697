package setting

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// supported reports whether a value is of a kind that Set understands.
func supported(value reflect.Value) bool {
	if !value.CanAddr() {
		return false
	}
	if _, ok := value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	switch value.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Float64:
		return true
	}
	return false
}

// Set takes a text, as from the environment, or what a YAML parser makes of a value. Its error says what is wanted instead.
func (f Field) Set(value any) error {
	text, isText := value.(string)
	switch place := f.Value.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if !isText || err != nil {
			return fmt.Errorf("%s is no duration: want a number and a unit, such as 300ms, 5s or 15m", Quote(value))
		}
		*place = d
		return nil
	case *slog.Level:
		if err := place.UnmarshalText([]byte(text)); !isText || err != nil {
			return fmt.Errorf("%s: want debug, info, warn or error", Quote(value))
		}
		return nil
	case encoding.TextUnmarshaler:
		if !isText {
			return fmt.Errorf("%s is no text: put it in quotes", Quote(value))
		}
		return place.UnmarshalText([]byte(text))
	}
	switch f.Value.Kind() {
	case reflect.String:
		if !isText {
			return fmt.Errorf("%s is no text: put it in quotes", f.quote(value))
		}
		f.Value.SetString(text)
	case reflect.Bool:
		b, err := boolean(value)
		if err != nil {
			return fmt.Errorf("%s: want true or false", Quote(value))
		}
		f.Value.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := integer(value)
		if err != nil || f.Value.OverflowInt(n) {
			return fmt.Errorf("%s is no whole number", Quote(value))
		}
		f.Value.SetInt(n)
	case reflect.Uint32:
		n, err := integer(value)
		if err != nil || n < 0 || f.Value.OverflowUint(uint64(n)) {
			return fmt.Errorf("%s is no whole number of 0 or more", Quote(value))
		}
		f.Value.SetUint(uint64(n))
	case reflect.Float64:
		x, err := number(value)
		if err != nil || math.IsNaN(x) {
			return fmt.Errorf("%s is no number", Quote(value))
		}
		f.Value.SetFloat(x)
	default:
		panic("setting: a field of kind " + f.Value.Kind().String())
	}
	return nil
}

// Want says what the value should be, from its bounds or its list, and "" if it is as it should be.
func (f Field) Want() string {
	if list, ok := f.tag.Lookup("oneof"); ok {
		if allowed := strings.Fields(list); !slices.Contains(allowed, f.Value.String()) {
			return "one of " + strings.Join(allowed, ", ")
		}
		return ""
	}
	least, hasLeast := f.bound("min")
	most, hasMost := f.bound("max")
	if hasLeast && compare(f.Value, least) < 0 || hasMost && compare(f.Value, most) > 0 {
		return f.Bounds()
	}
	return ""
}

// Bounds are the tags min and max, or oneof, in words: "1 to 100", "at least 1", "one of a, b"; "" without any.
func (f Field) Bounds() string {
	if list, ok := f.tag.Lookup("oneof"); ok {
		return "one of " + strings.Join(strings.Fields(list), ", ")
	}
	least, hasLeast := f.bound("min")
	most, hasMost := f.bound("max")
	switch {
	case hasLeast && hasMost:
		return show(least) + " to " + show(most)
	case hasLeast:
		return "at least " + show(least)
	case hasMost:
		return "at most " + show(most)
	}
	return ""
}

// bound reads a tag as a value of the field's type. It panics if it is none: a mistake of the program.
func (f Field) bound(tag string) (reflect.Value, bool) {
	text, ok := f.tag.Lookup(tag)
	if !ok {
		return reflect.Value{}, false
	}
	limit := f
	limit.Value = reflect.New(f.Value.Type()).Elem()
	if err := limit.Set(text); err != nil {
		panic(fmt.Sprintf("setting: %s of %s in %s: %v", tag, f.Key, f.Struct, err))
	}
	return limit.Value, true
}

func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return order(a.Int(), b.Int())
	case a.CanUint():
		return order(a.Uint(), b.Uint())
	}
	return order(a.Float(), b.Float())
}

func order[T int64 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Shown is the value as the configuration and errors show it: texts in quotes, and nothing that is secret.
func (f Field) Shown() string {
	if f.secret() && f.Value.String() != "" {
		return strconv.Quote(redacted)
	}
	return show(f.Value)
}

// secret reports whether the value is never shown. It panics at a tag that means nothing: a mistake of the program.
func (f Field) secret() bool {
	switch tag := f.tag.Get("secret"); tag {
	case "":
		return false
	case "true":
		return true
	default:
		panic(fmt.Sprintf("setting: secret of %s in %s: %q; a URL has the type setting.URL", f.Key, f.Struct, tag))
	}
}

// quote is how an error shows what somebody wrote for the value.
func (f Field) quote(value any) string {
	if _, isURL := f.Value.Interface().(fmt.Stringer); f.secret() || isURL && f.Value.Kind() == reflect.String {
		return "what is set"
	}
	return Quote(value)
}

func show(value reflect.Value) string {
	switch v := value.Interface().(type) {
	case time.Duration:
		return Duration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	}
	if value.Kind() == reflect.String {
		if redacting, ok := value.Interface().(fmt.Stringer); ok {
			return strconv.Quote(redacting.String())
		}
		return strconv.Quote(value.String())
	}
	return fmt.Sprint(value.Interface())
}

// Duration is 15m if time.Duration says 15m0s.
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var errKind = errors.New("value of another kind")

func boolean(value any) (bool, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		return strconv.ParseBool(v)
	}
	return false, errKind
}

func integer(value any) (int64, error) {
	switch v := value.(type) {
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case string:
		return strconv.ParseInt(v, 10, 64)
	}
	return 0, errKind
}

func number(value any) (float64, error) {
	switch v := value.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		return strconv.ParseFloat(v, 64)
	}
	return 0, errKind
}

// Quote is how an error shows a value that somebody wrote: texts in quotes.
func Quote(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case nil:
		return "nothing"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	}
	return fmt.Sprint(value)
}
