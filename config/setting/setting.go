// Package setting lets a struct say what its settings are: each field declares its key, default and bounds as tags, and is
// documented by its comment. What uses a setting declares it; the configuration embeds these structs and reads the rest.
//
//	type Settings struct {
//		// Interval is the shortest time between two readings.
//		Interval time.Duration `key:"interval" default:"100ms" min:"1ms" max:"1m"`
//	}
//
// The tags of a field are:
//
//   - key: its name in the configuration. A field without one cannot be configured, but has its default and its bounds.
//   - default: its value if nothing else is said; the zero value without the tag.
//   - production: its default in the profile production, if that is another.
//   - min, max: its bounds, both included.
//   - oneof: the values that it may have, separated by spaces.
//   - secret: "true" for a value that is never shown. A URL has the type [URL], or another text type with a method String, which
//     shows it without passwords.
//
// A struct in a field is a section: its key is put before the keys within. The fields of an embedded struct, and of one with
// the key ",inline", belong to the struct around it. A section whose parts are counted at run time implements [Sectioned].
//
// Values are durations, texts, booleans, whole numbers, numbers and what implements [encoding.TextUnmarshaler].
package setting

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sectioned is a section whose parts are known at run time only, such as a map. Sections calls yield with the key of each part
// and a pointer to its struct, always in the same order.
type Sectioned interface {
	Sections(yield func(key string, section any) bool)
}

// Field is one setting: a place in a struct.
type Field struct {
	// Key is the full name, with dots between sections. It ends with a dot and the name of the Go field if that has no key.
	Key string
	// Hidden reports whether the field has no key, so that it cannot be configured.
	Hidden bool
	// Value is where the value is; it can be set.
	Value reflect.Value
	// Struct and Name are the type that declares the field, and the name of the field in it.
	Struct reflect.Type
	Name   string

	tag reflect.StructTag
}

// inline is the key of a struct whose fields belong to the struct around it.
const inline = ",inline"

// Fields visits the settings of a struct, given as a pointer, in the order of their declaration. Hidden ones are visited too.
func Fields(of any, visit func(Field)) {
	walk(reflect.ValueOf(of).Elem(), "", visit)
}

func walk(section reflect.Value, path string, visit func(Field)) {
	for i := range section.NumField() {
		declared, value := section.Type().Field(i), section.Field(i)
		if !declared.IsExported() {
			continue
		}
		key := declared.Tag.Get("key")
		if parts, ok := value.Interface().(Sectioned); ok {
			parts.Sections(func(part string, settings any) bool {
				walk(reflect.ValueOf(settings).Elem(), path+key+"."+part+".", visit)
				return true
			})
			continue
		}
		switch {
		case value.Kind() == reflect.Struct && (declared.Anonymous || key == inline):
			walk(value, path, visit)
		case value.Kind() == reflect.Struct && key != "":
			walk(value, path+key+".", visit)
		case supported(value):
			f := Field{Key: path + key, Hidden: key == "", Value: value, Struct: section.Type(), Name: declared.Name, tag: declared.Tag}
			if f.Hidden {
				f.Key = path + lowerFirst(declared.Name)
			}
			visit(f)
		}
	}
}

func lowerFirst(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(first)) + name[size:]
}

// Default returns a struct in which each setting has its default.
func Default[S any]() S {
	var s S
	Reset(&s, "")
	return s
}

// Reset gives each setting of a struct, given as a pointer, its default in a profile: the tag of that name, else "default".
// Settings without either keep what they have. It panics if a tag is no value of its field: a mistake of the program.
func Reset(of any, profile string) {
	Fields(of, func(f Field) {
		text, ok := f.tag.Lookup("default")
		if special, has := f.tag.Lookup(profile); has && profile != "" {
			text, ok = special, true
		}
		if !ok {
			return
		}
		if err := f.Set(text); err != nil {
			panic(fmt.Sprintf("setting: default of %s in %s: %v", f.Key, f.Struct, err))
		}
	})
}

// Fill gives each setting of a struct, given as a pointer, its default if it is zero.
func Fill(of any) {
	Fields(of, func(f Field) {
		if text, ok := f.tag.Lookup("default"); ok && f.Value.IsZero() {
			if err := f.Set(text); err != nil {
				panic(fmt.Sprintf("setting: default of %s in %s: %v", f.Key, f.Struct, err))
			}
		}
	})
}

// Default returns the default of the field in a profile as it is written in its tag, and whether it has one of its own.
func (f Field) Default(profile string) (text string, ok bool) { return f.tag.Lookup(profile) }

// Errors is everything that is wrong with the settings of a struct.
type Errors []error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look at each error.
func (e Errors) Unwrap() []error { return e }

// Check returns [Errors] that name each setting of a struct, given as a pointer, that is out of its bounds; nil if none is.
func Check(of any) error {
	var errs Errors
	Fields(of, func(f Field) {
		if want := f.Want(); want != "" {
			errs = append(errs, fmt.Errorf("%s: %s: want %s", f.Key, f.Shown(), want))
		}
	})
	if len(errs) == 0 {
		return nil
	}
	return errs
}
