package cli

import (
	"errors"

	"holdfast/clients"
	"holdfast/config"
)

type migrateCommand struct{}

// Run applies the migrations that are pending, and prints one line for each.
func (*migrateCommand) Run(e *environment) (err error) {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	db, err := clients.OpenDatabase(e.ctx, string(cfg.Database.URL), clients.DatabaseOptions{MaxOpen: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	applied, err := db.Migrate(e.ctx)
	for _, version := range applied {
		err = errors.Join(err, e.print("applied", version))
	}
	if err == nil && len(applied) == 0 {
		err = e.print("nothing to apply")
	}
	return err
}
