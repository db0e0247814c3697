package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"holdfast/config/setting"
)

// Sources are where the configuration comes from. Later ones win: defaults, File, Environ, Set, the other fields.
type Sources struct {
	// File is the path of a YAML file; empty for none.
	File string
	// Environ is the environment in the form of os.Environ. DATABASE_URL, REDIS_URL and, winning over these,
	// HOLDFAST_ and a key in capitals: HOLDFAST_LOCKS_STOCK_PROVIDER, HOLDFAST_DATABASE_MAX_OPEN. An empty variable
	// counts as not set.
	Environ []string
	// Set are settings in the form key=value, such as "locks.stock.provider=rowlock".
	Set []string
	// Listen replaces the key listen where it is not empty.
	Listen string
	// Takeover and AllowNone set deployment.takeover and allowNone where they are true.
	Takeover, AllowNone bool
}

// Errors is everything that is wrong with a configuration.
type Errors []error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration, %d errors:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// Unwrap lets errors.Is and errors.As look at each error.
func (e Errors) Unwrap() []error { return e }

// Load reads the configuration from its sources and checks it. An error of type [Errors] lists all that is wrong: values
// that cannot be read, unknown keys, values out of bounds.
func Load(s Sources) (Config, error) {
	l := load(s, Development)
	if l.config.Profile == Production { // what was found out last decides what comes first
		l = load(s, Production)
	}
	l.config.resolve()
	l.errs = append(l.errs, l.config.validate(l.failed, l.origins)...)
	if len(l.errs) > 0 {
		return Config{}, l.errs
	}
	return l.config, nil
}

// load puts the sources on top of the defaults of a profile.
func load(s Sources, p Profile) *loader {
	l := &loader{config: Defaults(p), origins: map[string]string{}}
	l.fields = fieldsOf(&l.config)
	l.file(s.File)
	l.environment(s.Environ)
	l.settings(s)
	return l
}

type loader struct {
	config  Config
	fields  map[string]setting.Field
	origins map[string]string // of each key that a source has set: which one
	failed  map[string]bool   // keys whose value could not be read: it is not checked, but for the default that it left
	errs    Errors
}

// set gives a key a value from one source.
func (l *loader) set(key string, value any, origin string) {
	f, known := l.fields[key]
	if !known {
		l.unknown(key, value, origin)
		return
	}
	l.origins[key] = origin
	if err := f.Set(value); err != nil {
		if l.failed == nil {
			l.failed = map[string]bool{}
		}
		l.failed[key] = true
		l.errs = append(l.errs, fmt.Errorf("%s (%s): %w", key, origin, err))
	}
}

func (l *loader) unknown(key string, value any, origin string) {
	if below := keysBelow(l.fields, key); len(below) > 0 {
		if m, isMap := value.(map[string]any); value == nil || isMap && len(m) == 0 {
			return // a section that is there and empty
		}
		l.errs = append(l.errs, fmt.Errorf("%s (%s): is a section with the keys %s", key, origin, strings.Join(below, ", ")))
		return
	}
	l.errs = append(l.errs, fmt.Errorf("%s (%s): no such key%s", key, origin, suggest(key, sortedKeys(l.fields))))
}

func (l *loader) file(path string) {
	if path == "" {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		l.errs = append(l.errs, err) // it names the path
		return
	}
	var document map[string]any
	if err := yaml.Unmarshal(content, &document); err != nil {
		l.errs = append(l.errs, fmt.Errorf("read %s: %w", path, err))
		return
	}
	values := map[string]any{}
	flatten(document, "", values)
	for _, key := range sortedKeys(values) {
		if value := values[key]; value != nil || !l.known(key) { // a key without a value keeps its default
			l.set(key, value, path)
		}
	}
}

// flatten gives each value of a YAML document its full key. A section without keys counts as a value.
func flatten(section map[string]any, path string, values map[string]any) {
	for name, value := range section {
		if below, ok := value.(map[string]any); ok && len(below) > 0 {
			flatten(below, path+name+".", values)
		} else {
			values[path+name] = value
		}
	}
}

func (l *loader) known(key string) bool {
	_, known := l.fields[key]
	return known
}

const prefix = "HOLDFAST_"

// wellKnown are variables that other programs use as well. What is theirs loses against what is ours.
var wellKnown = map[string]string{"DATABASE_URL": "database.url", "REDIS_URL": "redis.url", "BROKER": "broker.url"}

func (l *loader) environment(environ []string) {
	ours := map[string]string{}
	for key := range l.fields {
		ours[Variable(key)] = key
	}
	entries := slices.Sorted(slices.Values(environ))
	for _, keys := range []map[string]string{wellKnown, ours} {
		for _, entry := range entries {
			name, value, _ := strings.Cut(entry, "=")
			if key := keys[name]; key != "" && value != "" {
				l.set(key, value, name)
			}
		}
	}
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		if _, known := ours[name]; known || !strings.HasPrefix(name, prefix) || value == "" || foreign(name) {
			continue
		}
		l.errs = append(l.errs, fmt.Errorf("%s (environment): no such variable%s", name, suggest(name, sortedKeys(ours))))
	}
}

// foreign tells the variables that Kubernetes and Docker links set where a service is named "holdfast".
func foreign(name string) bool {
	return strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
		name == prefix+"PORT" || strings.HasPrefix(name, prefix+"PORT_")
}

// Variable is the name of a key's environment variable: http.maxBodyBytes is HOLDFAST_HTTP_MAX_BODY_BYTES.
func Variable(key string) string {
	var b strings.Builder
	b.WriteString(prefix)
	previous := '.'
	for _, r := range key {
		if unicode.IsUpper(r) && unicode.IsLower(previous) {
			b.WriteRune('_')
		}
		if r == '.' {
			b.WriteRune('_')
		} else {
			b.WriteRune(unicode.ToUpper(r))
		}
		previous = r
	}
	return b.String()
}

func (l *loader) settings(s Sources) {
	for _, setting := range s.Set {
		key, value, found := strings.Cut(setting, "=")
		if !found {
			l.errs = append(l.errs, fmt.Errorf("--set %s: want key=value, such as locks.stock.provider=rowlock", key))
			continue
		}
		l.set(strings.TrimSpace(key), value, "--set")
	}
	if s.Listen != "" {
		l.set("listen", s.Listen, "--listen")
	}
	if s.Takeover {
		l.set("deployment.takeover", true, "--takeover")
	}
	if s.AllowNone {
		l.set("allowNone", true, "--allow-none")
	}
}
