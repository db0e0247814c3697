// Command generate writes the next migration of each database: what has to change so that the tables that the existing
// migrations build become those of ent/schema.
//
//	go generate ./ent                          # first, after a change of ent/schema
//	go run ./ent/migrations/generate NAME      # then; NAME says what changes, such as add_product_weight
//
// It builds the tables in databases of its own, so that PostgreSQL and MariaDB must be installed; none needs to run. A
// database that has nothing to change gets no migration. Read what was written before you commit it: the generator does
// not know which data has to move along.
//
// With -initial it replaces the first and only migration instead, which is right until the first release.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	_ "modernc.org/sqlite"             // registers "sqlite"

	entmigrate "holdfast/ent/migrate"
	"holdfast/internal/servers"
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func main() {
	initial := flag.Bool("initial", false, "replace the only migration instead of adding one")
	root := flag.String("dir", filepath.Join("ent", "migrations"), "directory of the migrations")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run ./ent/migrations/generate [-initial] NAME")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || !validName.MatchString(flag.Arg(0)) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := generate(ctx, *root, flag.Arg(0), *initial)
	stop()
	if err = errors.Join(err, servers.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// database is one dialect and how to get an empty database of it.
type database struct {
	dialect, folder string
	open            func(ctx context.Context) (*sql.DB, error)
}

var databases = []database{
	{dialect.SQLite, "sqlite", func(context.Context) (*sql.DB, error) {
		db, err := sql.Open("sqlite", "file::memory:?_pragma=foreign_keys(1)")
		if err == nil {
			db.SetMaxOpenConns(1) // each connection would be a database of its own
		}
		return db, err
	}},
	{dialect.Postgres, "postgres", func(ctx context.Context) (*sql.DB, error) {
		server, err := servers.Start(ctx, servers.KindPostgres)
		if err != nil {
			return nil, err
		}
		return sql.Open("pgx", server.URL)
	}},
	{dialect.MySQL, "mysql", func(ctx context.Context) (*sql.DB, error) {
		server, err := servers.Start(ctx, servers.KindMariaDB)
		if err != nil {
			return nil, err
		}
		return openMySQL(server.URL)
	}},
}

func openMySQL(url string) (*sql.DB, error) {
	address := strings.TrimPrefix(url, "mysql://")
	credentials, rest, _ := strings.Cut(address, "@")
	host, name, _ := strings.Cut(rest, "/")
	config := mysql.NewConfig()
	config.User, config.Passwd, _ = strings.Cut(credentials, ":")
	config.Net, config.Addr, config.DBName, config.ParseTime = "tcp", host, name, true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func generate(ctx context.Context, root, name string, initial bool) error {
	number, err := nextNumber(root)
	if err != nil {
		return err
	}
	if initial {
		if number > 2 {
			return errors.New("there is more than one migration: -initial would lose the others")
		}
		number = 1
	}
	// Everything is generated before anything is written: the files of one migration belong together.
	dirs := map[string]*migrate.MemDir{}
	for _, d := range databases {
		dir := new(migrate.MemDir)
		if !initial {
			if dir, err = load(filepath.Join(root, d.folder)); err != nil {
				return err
			}
		}
		if err := diff(ctx, d, dir, fmt.Sprintf("%04d", number), name); err != nil {
			return fmt.Errorf("%s: %w", d.folder, err)
		}
		dirs[d.folder] = dir
	}
	for _, d := range databases {
		if err := write(filepath.Join(root, d.folder), dirs[d.folder], initial); err != nil {
			return err
		}
	}
	return nil
}

// nextNumber is one more than the highest of all databases: one migration has one number everywhere. Numbers, and not
// times, let two branches that both add a migration collide where everyone sees it.
func nextNumber(root string) (int, error) {
	paths, err := filepath.Glob(filepath.Join(root, "*", "*.sql"))
	if err != nil {
		return 0, err
	}
	highest := 0
	for _, path := range paths {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), "%04d_", &n); err != nil {
			return 0, fmt.Errorf("%s: the name does not begin with a number: %w", path, err)
		}
		highest = max(highest, n)
	}
	return highest + 1, nil
}

func load(path string) (*migrate.MemDir, error) {
	dir := new(migrate.MemDir)
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}
		if err := dir.WriteFile(entry.Name(), content); err != nil {
			return nil, err
		}
	}
	return dir, nil
}

// versioned formats like Atlas, under a version that is not the time of day.
type versioned struct{ version string }

func (v versioned) Format(plan *migrate.Plan) ([]migrate.File, error) {
	plan.Version = v.version
	return migrate.DefaultFormatter.Format(plan)
}

func diff(ctx context.Context, d database, dir *migrate.MemDir, version, name string) error {
	db, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := schema.NewMigrate(entsql.OpenDB(d.dialect, db),
		schema.WithDir(dir),
		schema.WithMigrationMode(schema.ModeReplay),
		schema.WithFormatter(versioned{version}),
		schema.WithIndent("  "),
		schema.WithDropColumn(true),
		schema.WithDropIndex(true),
		schema.WithErrNoPlan(true),
	)
	if err != nil {
		return err
	}
	err = m.NamedDiff(ctx, name, entmigrate.Tables...)
	if errors.Is(err, migrate.ErrNoPlan) {
		fmt.Printf("%s: nothing changes\n", d.folder)
		return nil
	}
	if err == nil {
		fmt.Printf("%s: %s_%s.sql\n", d.folder, version, name)
	}
	return err
}

func write(path string, dir *migrate.MemDir, replace bool) error {
	if replace {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // G301: source code
		return err
	}
	files, err := dir.Files()
	if err != nil {
		return err
	}
	sum, err := dir.Checksum()
	if err != nil {
		return err
	}
	local, err := migrate.NewLocalDir(path)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := local.WriteFile(file.Name(), file.Bytes()); err != nil {
			return err
		}
	}
	return migrate.WriteSumFile(local, sum)
}
