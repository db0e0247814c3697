package graph

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/web"
)

//go:embed playground
var playground embed.FS

// Tabs returns the prepared operations of the Playground. They use the demo data and suit an
// administrator named alice. Each call returns new idempotency keys: a fixed key would only ever
// repeat the first result.
func Tabs() []web.Tab {
	files, err := fs.Glob(playground, "playground/*.graphql")
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("graph: no prepared operations: %v", err)) // impossible: the files are embedded
	}
	tabs := make([]web.Tab, len(files))
	for i, file := range files {
		title, _, _ := strings.Cut(strings.TrimPrefix(read(file), "# "), "\n")
		tabs[i] = web.Tab{Title: title, Query: read(file)}
		if variables := strings.TrimSuffix(file, ".graphql") + ".json"; exists(variables) {
			tabs[i].Variables = fill(read(variables))
		}
	}
	return tabs
}

// fill replaces the placeholders of a file of variables.
func fill(variables string) string {
	key := uuid.Must(uuid.NewRandom()).String()
	return strings.NewReplacer(
		"{{uuid}}", key,
		"{{unique}}", strings.ToUpper(key[:8]),
		"{{order}}", commerce.DemoOrderID,
		"{{otherOrder}}", commerce.DemoOtherOrderID,
		"{{couponIssue}}", commerce.DemoIssueID,
		"{{address}}", commerce.DemoAddressID,
		"{{cart}}", commerce.DemoCartID,
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
