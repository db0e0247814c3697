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
	hold := uuid.Must(uuid.NewRandom()) // of the tab that makes it, and those after it
	var tabs []web.Tab
	for _, file := range files {
		if _, faults := gqlparser.LoadQueryWithRules(schema, read(file), rules.NewDefaultRules()); faults != nil {
			continue // of a part that is left out
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(read(file), "# "), "\n")
		tab := web.Tab{Title: title, Query: read(file)}
		if variables := strings.TrimSuffix(file, ".graphql") + ".json"; exists(variables) {
			tab.Variables = fill(read(variables), hold)
		}
		tabs = append(tabs, tab)
	}
	return tabs, nil
}

// fill replaces the placeholders of a file of variables. hold is the key under which the tabs make a hold.
func fill(variables string, hold uuid.UUID) string {
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
