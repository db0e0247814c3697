package cli

import (
	"strings"

	"holdfast/config"
)

type configCommand struct{}

// Run prints the effective configuration, without secrets.
func (*configCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	return e.print(strings.TrimSuffix(cfg.YAML(), "\n"))
}
