// Package ent is the data model: the schema under ent/schema is written by hand, the rest is generated from it.
package ent

//go:generate go run ./generate
