package plans

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed *.yaml
var shipped embed.FS

// Shipped returns the names of the plans that come with the program, sorted.
func Shipped() []string {
	files, err := fs.Glob(shipped, "*.yaml")
	if err != nil {
		panic(err) // the pattern above is malformed
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(path.Base(file), ".yaml")
	}
	slices.Sort(names)
	return names
}

// Load reads a plan by the name of a shipped one, or from a YAML file. A key that the file lacks is as in [Default]. Load
// does not validate the plan: flags may still complete it.
func Load(name string) (Plan, error) {
	text, err := shipped.ReadFile(name + ".yaml")
	if err != nil {
		text, err = os.ReadFile(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Plan{}, fmt.Errorf("plan %s: neither a file nor one of the shipped plans %s", name, strings.Join(Shipped(), ", "))
	case err != nil:
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	return Parse(name, text)
}

// Parse reads YAML. Its errors name the file, the line and the key.
func Parse(name string, text []byte) (Plan, error) {
	plan := Default()
	plan.Name, plan.About = strings.TrimSuffix(path.Base(name), ".yaml"), ""
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return Plan{}, fmt.Errorf("plan %s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return Plan{}, fmt.Errorf("plan %s: is empty: name at least its workloads", name)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return Plan{}, fmt.Errorf("plan %s, line %d: want keys and values, such as workloads: [transfers]", name, root.Line)
	}
	fields := plan.fields()
	seen := map[string]bool{}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		field, known := fields[key.Value]
		where := fmt.Sprintf("plan %s, line %d: %s", name, key.Line, key.Value)
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("%s: no such key: want one of %s", where, strings.Join(planKeys(fields), ", ")))
			continue
		case seen[key.Value]:
			errs = append(errs, fmt.Errorf("%s: given twice", where))
			continue
		}
		seen[key.Value] = true
		if err := value.Decode(field.into); err != nil {
			errs = append(errs, fmt.Errorf("%s: want %s (%w)", where, field.want, err))
		}
	}
	return plan, errors.Join(errs...)
}

type planField struct {
	into any
	want string
}

func (p *Plan) fields() map[string]planField {
	const (
		words    = "a list of words, such as [a, b]"
		numbers  = "a list of numbers, such as [8, 32]"
		number   = "a whole number"
		text     = "text"
		duration = "a duration, such as 500ms"
	)
	return map[string]planField{
		"name": {&p.Name, text}, "about": {&p.About, text},
		"workloads": {&p.Workloads, words}, "strategies": {&p.Strategies, words}, "databases": {&p.Databases, words},
		"redis": {&p.Redis, "embedded or real"}, "clients": {&p.Clients, numbers}, "rates": {&p.Rates, numbers},
		"instances": {&p.Instances, numbers}, "duration": {&p.Duration, duration}, "operations": {&p.Operations, number},
		"warmUp": {&p.WarmUp, duration}, "rounds": {&p.Rounds, number}, "seed": {&p.Seed, number},
		"skew": {&p.Skew, "a number"}, "objects": {&p.Objects, number}, "units": {&p.Units, number},
		"users": {&p.Users, number}, "history": {&p.History, "true or false"},
		"faults": {&p.Faults, "a list of faults, such as [kill, redis-restart]"}, "settings": {&p.Settings, "a list of key=value"},
	}
}

func planKeys(fields map[string]planField) []string {
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// YAML is the plan as a file.
func (p Plan) YAML() (string, error) {
	text, err := yaml.Marshal(p)
	return string(text), err
}
