package config

import (
	"fmt"
	"strings"

	"holdfast/config/setting"
)

// YAML is the configuration in the form of a file, with secrets and the passwords of URLs replaced.
func (c Config) YAML() string {
	var (
		b    strings.Builder
		open []string // the sections that the last line is in
	)
	setting.Fields(&c, func(f setting.Field) {
		if f.Hidden {
			return
		}
		path := strings.Split(f.Key, ".")
		for depth, section := range path[:len(path)-1] {
			if depth >= len(open) || open[depth] != section {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), section)
				open = append(open[:min(depth, len(open))], section)
			}
		}
		open = open[:len(path)-1]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(path)-1), path[len(path)-1], f.Shown())
	})
	return b.String()
}
