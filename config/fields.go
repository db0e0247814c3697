package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key: a place in a Config.
type field struct{ value reflect.Value }

// fieldsOf lists the keys of a configuration by their full names, such as "locks.stock.wait".
func fieldsOf(c *Config) map[string]field {
	fields := map[string]field{}
	walk(reflect.ValueOf(c).Elem(), "", func(key string, value reflect.Value) { fields[key] = field{value} })
	return fields
}

// walk visits keys in the order of their declaration.
func walk(section reflect.Value, path string, visit func(key string, value reflect.Value)) {
	for i := range section.NumField() {
		key := path + section.Type().Field(i).Tag.Get("koanf")
		if value := section.Field(i); value.Kind() == reflect.Struct {
			walk(value, key+".", visit)
		} else {
			visit(key, value)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// keysBelow are the keys, or sections, right below a section.
func keysBelow(fields map[string]field, section string) []string {
	var below []string
	for _, key := range sortedKeys(fields) {
		if rest, found := strings.CutPrefix(key, section+"."); found {
			name, _, _ := strings.Cut(rest, ".")
			below = append(below, name)
		}
	}
	return slices.Compact(below)
}

// set takes a string, as from the environment, or what YAML makes of a value.
func (f field) set(value any) error {
	text, isText := value.(string)
	switch place := f.value.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if !isText || err != nil {
			return fmt.Errorf("%s is no duration: want a number and a unit, such as 300ms, 5s or 15m", quote(value))
		}
		*place = d
		return nil
	case encoding.TextUnmarshaler:
		if err := place.UnmarshalText([]byte(text)); !isText || err != nil {
			return fmt.Errorf("%s: want debug, info, warn or error", quote(value)) // there is one such type: slog.Level
		}
		return nil
	}
	switch f.value.Kind() {
	case reflect.String:
		if !isText {
			return fmt.Errorf("%s is no text: put it in quotes", quote(value))
		}
		f.value.SetString(text)
	case reflect.Bool:
		b, err := boolean(value)
		if err != nil {
			return fmt.Errorf("%s: want true or false", quote(value))
		}
		f.value.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := integer(value)
		if err != nil || f.value.OverflowInt(n) {
			return fmt.Errorf("%s is no whole number", quote(value))
		}
		f.value.SetInt(n)
	case reflect.Float64:
		x, err := number(value)
		if err != nil || math.IsNaN(x) {
			return fmt.Errorf("%s is no number", quote(value))
		}
		f.value.SetFloat(x)
	default:
		panic("config: a key of kind " + f.value.Kind().String())
	}
	return nil
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

func quote(value any) string {
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

// suggest names the known word that is closest to a wrong one, where one is close.
func suggest(word string, known []string) string {
	best, distance := "", len(word)/3+1 // a third of the letters wrong is still a typing error
	for _, candidate := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance is Levenshtein's: the letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
