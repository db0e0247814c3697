// Package tabletest proves that a strategy is one file and one row, and a family one row: its tests add one in a copy of
// the source tree, by nothing else, and generate, build and test the copy.
package tabletest
