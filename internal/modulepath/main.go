// Command modulepath renames the module in whose root it is started: make module-path calls it.
//
//	go run ./internal/modulepath example.com/you/holdfast
//
// It rewrites what the Go tool, the generators and the linter take for the path of this module or of a package in it, and
// no other word that is spelled like it: the name of the program, of metrics, of variables and of keys in Redis stays.
// Generated code is to be generated anew afterwards.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: make module-path MODULE=example.com/you/holdfast")
		os.Exit(2)
	}
	from, changed, err := rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "module-path:", err)
		os.Exit(1)
	}
	fmt.Printf("renamed module %s to %s in %d files\n", from, os.Args[1], changed)
}
