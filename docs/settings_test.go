package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	settingName = regexp.MustCompile(`^[a-z][A-Za-z]*(\.([a-z][A-Za-z]*|<family>|\*))+$`)
	// notSettings are kinds of events that look like settings.
	notSettings = []string{"payment.authorized", "payment.returned"}
	fileName    = regexp.MustCompile(`\.(go|md|lua|yaml|yml|sql|conf|call)$`)
)

// TestSettingsThatDocumentsName looks for every setting that a document names, such as `locks.stock.wait`, `locks.<family>.wait` or
// `failover.*`, in the example configuration, which has all of them.
func TestSettingsThatDocumentsName(t *testing.T) {
	t.Parallel()
	var example map[string]any
	unmarshal(t, "config/example.yaml", &example)
	families, ok := example["locks"].(map[string]any)
	if !ok || len(families) < 4 {
		t.Fatalf("the example configuration has the families %v", families)
	}
	checked := 0
	for _, file := range files(t, ".md") {
		for _, found := range inBackticks.FindAllStringSubmatch(fences.ReplaceAllString(read(t, file), ""), -1) {
			name, _, _ := strings.Cut(found[1], ": ") // with a value
			section, _, _ := strings.Cut(name, ".")
			if _, known := example[section].(map[string]any); !known || !settingName.MatchString(name) || fileName.MatchString(name) ||
				slices.Contains(notSettings, name) {
				continue
			}
			checked++
			for family := range families {
				if full := strings.ReplaceAll(name, "<family>", family); !exists(example, strings.Split(full, ".")) {
					t.Errorf("%s names the setting %s, which does not exist", file, full)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d settings were found in the documents", checked)
	}
}

func exists(section map[string]any, path []string) bool {
	if slices.Equal(path, []string{"*"}) {
		return len(section) > 0
	}
	value, found := section[path[0]]
	if !found || len(path) == 1 {
		return found
	}
	below, isSection := value.(map[string]any)
	return isSection && exists(below, path[1:])
}
