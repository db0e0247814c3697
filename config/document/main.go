// Command document writes the reference of all settings, config/example.yaml and docs/configuration.md, from their declarations:
// keys, defaults and bounds from the tags of fields, the words from their comments. It runs in the folder config.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	"holdfast/config"
	"holdfast/config/setting"
)

func main() {
	log.SetFlags(0)
	sections, err := read(newSources(".."))
	if err != nil {
		log.Fatal(err)
	}
	for path, content := range map[string]string{"example.yaml": example(sections), "../docs/configuration.md": manual(sections)} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // a file of the repository, for everybody
			log.Fatal(err)
		}
	}
}

// section is a part of the configuration. The settings at the top are sections of their own, of one setting without a key.
type section struct {
	key      string // "locks.stock"; "" for a setting at the top
	doc      string
	settings []entry
}

// entry is one setting.
type entry struct {
	key, name  string // "locks.stock.wait" and "wait"
	value      string // its default
	production string // its default in the profile production, if that is another
	bounds     string
	doc        string
	told       bool // whether a section before has the same setting, and its words
}

// read gathers the settings in the order of their declaration.
func read(s *sources) ([]section, error) {
	var (
		sections   []section
		failure    error
		told       = map[string]bool{}
		production = shown(config.Production)
		defaults   = config.Defaults(config.Development)
	)
	setting.Fields(&defaults, func(f setting.Field) {
		if f.Hidden || failure != nil {
			return
		}
		e := entry{key: f.Key, name: f.Key[strings.LastIndexByte(f.Key, '.')+1:], value: f.Shown(), bounds: f.Bounds()}
		if value := production[f.Key]; value != e.value {
			e.production = value
		}
		if e.doc, failure = s.field(f.Struct, f.Name); failure != nil {
			return
		}
		e.doc = renamed(e.doc, f.Name, e.name)
		declared := f.Struct.String() + "." + f.Name
		e.told, told[declared] = told[declared], true

		path := strings.TrimSuffix(strings.TrimSuffix(f.Key, e.name), ".")
		outer, _, nested := strings.Cut(path, ".")
		for _, key := range []string{outer, path} {
			if open := len(sections) > 0 && (sections[len(sections)-1].key == key || nested && strings.HasPrefix(sections[len(sections)-1].key, key+".")); open && key != "" {
				continue
			}
			var doc string
			if doc, failure = s.section(key); failure != nil {
				return
			}
			sections = append(sections, section{key: key, doc: doc})
			if !nested {
				break
			}
		}
		last := &sections[len(sections)-1]
		last.settings = append(last.settings, e)
	})
	return sections, failure
}

// shown are the defaults of a profile, by key.
func shown(p config.Profile) map[string]string {
	values := map[string]string{}
	defaults := config.Defaults(p)
	setting.Fields(&defaults, func(f setting.Field) { values[f.Key] = f.Shown() })
	return values
}

// renamed begins a comment with the name that users know: "Wait is …" becomes "wait is …".
func renamed(doc, goName, name string) string {
	if rest, ok := strings.CutPrefix(doc, goName+" "); ok {
		return name + " " + rest
	}
	return doc
}

// facts are the bounds of a setting, and its default in production, as sentences.
func (e entry) facts() string {
	var facts []string
	if e.bounds != "" {
		facts = append(facts, strings.ToUpper(e.bounds[:1])+e.bounds[1:]+".")
	}
	if e.production != "" {
		facts = append(facts, fmt.Sprintf("In the profile production: %s.", e.production))
	}
	return strings.Join(facts, " ")
}
