package graph

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"holdfast/commerce"
	"holdfast/graph/served"
	"holdfast/web"
)

//go:embed playground
var playground embed.FS

// Tabs returns the prepared operations of the Playground that the served schema has. They use the demo
// data and suit an administrator named alice. Each call returns new idempotency keys: a fixed key would
// only ever repeat the first result.
func Tabs(o served.Options) ([]web.Tab, error) {
	schema, err := served.Schema(fullSchema(), o)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(playground, "playground/*.graphql")
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("graph: no prepared operations: %v", err)) // impossible: the files are embedded
	}
	hold, category := uuid.Must(uuid.NewRandom()), uuid.Must(uuid.NewRandom()) // of the tabs that make them, and those after them
	var tabs []web.Tab
	for _, file := range files {
		if _, faults := gqlparser.LoadQueryWithRules(schema, read(file), rules.NewDefaultRules()); faults != nil {
			continue // of a part that is left out
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(read(file), "# "), "\n")
		tab := web.Tab{Title: title, Query: read(file)}
		if variables := strings.TrimSuffix(file, ".graphql") + ".json"; exists(variables) {
			tab.Variables = fill(read(variables), hold, category)
		}
		tabs = append(tabs, tab)
	}
	return tabs, nil
}

// fill replaces the placeholders of a file of variables. hold and category are the keys under which the tabs make a hold and a category.
func fill(variables string, hold, category uuid.UUID) string {
	key := uuid.Must(uuid.NewRandom()).String()
	return strings.NewReplacer(
		"{{uuid}}", key,
		"{{unique}}", strings.ToUpper(key[:8]),
		"{{order}}", commerce.DemoOrderID,
		"{{otherOrder}}", commerce.DemoOtherOrderID,
		"{{couponIssue}}", commerce.DemoIssueID,
		"{{address}}", commerce.DemoAddressID,
		"{{cart}}", commerce.DemoCartID,
		"{{holdKey}}", hold.String(),
		"{{hold}}", commerce.HoldID(commerce.DemoAlice, hold),
		"{{categoryKey}}", category.String(),
		"{{category}}", commerce.CategoryID(commerce.DemoAlice, category),
	).Replace(variables)
}

func read(file string) string {
	text, err := playground.ReadFile(file)
	if err != nil {
		panic(err) // impossible: the files are embedded
	}
	return string(text)
}

func exists(file string) bool {
	_, err := fs.Stat(playground, file)
	return err == nil
}
