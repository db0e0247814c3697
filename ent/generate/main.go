// Command generate writes ent's code for the schema under ent/schema, as `go tool ent generate` does, but leaves out what the
// shop would compile and never use.
//
// The client has no field Schema. With it, package ent would import package ent/migrate, and with that all of Atlas: its
// planner for each database and its language HCL, 42 packages. The server needs none of them, since it applies migrations
// that were written before (package ent/migrations).
//
// Package enttest is left out. Tests open databases that the migrations have built.
//
// A type has the methods of a feature, such as OnConflict, only if [typesWith] says so. For all types they would be an eighth of
// package ent.
package main

import (
	"fmt"
	"os"
	"slices"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

// typesWith are the types that have a feature. A type that is missing here has no method of that name.
var typesWith = map[string][]string{
	gen.FeatureUpsert.Name:   {"Balance", "SalesStatistic", "SchedulerJob", "StockAlert"}, // OnConflict
	gen.FeatureLock.Name:     {"Balance", "Product", "User"},                              // ForUpdate
	gen.FeatureModifier.Name: {"ProductVariant", "SalesStatistic"},                        // Modify
}

func main() {
	if err := generate("./schema"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes the code next to the directory of the schema.
func generate(schema string) error {
	driver, err := gen.NewStorage("sql")
	if err != nil {
		return err
	}
	storage := *driver
	storage.SchemaMode &^= gen.Migrate // The templates of the client and of enttest ask for it.
	for i, template := range gen.GraphTemplates {
		switch template.Name {
		case "migrate", "schema": // Package ent/migrate: ent/migrations/generate compares its tables with the migrations.
			gen.GraphTemplates[i].Skip = nil
		case "enttest":
			gen.GraphTemplates[i].Skip = func(*gen.Graph) bool { return true }
		}
	}
	return entc.Generate(schema, &gen.Config{
		Storage:  &storage,
		Features: []gen.Feature{gen.FeatureExecQuery, gen.FeatureUpsert, gen.FeatureLock, gen.FeatureModifier},
		Hooks:    []gen.Hook{restrictFeatures},
	})
}

// restrictFeatures gives each type a configuration of its own, with the features that typesWith gives to the type.
func restrictFeatures(next gen.Generator) gen.Generator {
	return gen.GenerateFunc(func(g *gen.Graph) error {
		for _, node := range g.Nodes {
			config := *node.Config
			config.Features = slices.DeleteFunc(slices.Clone(config.Features), func(f gen.Feature) bool {
				types, restricted := typesWith[f.Name]
				return restricted && !slices.Contains(types, node.Name)
			})
			node.Config = &config
		}
		return next.Generate(g)
	})
}
