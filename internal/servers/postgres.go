package servers

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// databaseUser is the superuser of the databases. The password is drawn for each server: without one, every user of the
// machine could run programs as whoever runs the tests.
const databaseUser = "holdfast"

var postgresProgram = program{
	debian: "postgresql",
	files:  []string{"initdb"}, // The postgres beside it has the same version; another one on PATH may not.
	places: []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
	},
	users: []string{"postgres", "nobody"},
	stop:  syscall.SIGQUIT, // "Immediate shutdown": no checkpoint, yet the shared memory is given back.

	database: "postgres",
	url: func(s *Server, database string) string {
		u := url.URL{
			Scheme: "postgres", User: url.UserPassword(databaseUser, s.password), Host: s.Addr, Path: database,
			RawQuery: "sslmode=disable",
		}
		return u.String()
	},

	prepare: func(ctx context.Context, s *Server) error {
		password := filepath.Join(s.dir, "password")
		if err := s.writeFile(password, s.password); err != nil {
			return err
		}
		return s.runTool(ctx, s.programs["initdb"], "--pgdata", s.dataDir(), "--no-sync", "--no-instructions",
			"--username", databaseUser, "--pwfile", password, "--auth", "scram-sha-256",
			"--encoding", "UTF8", "--locale", "C")
	},

	command: func(s *Server) (string, []string) {
		initdb := s.programs["initdb"]
		if path, err := filepath.EvalSymlinks(initdb); err == nil {
			initdb = path
		}
		return filepath.Join(filepath.Dir(initdb), "postgres"), []string{
			"-D", s.dataDir(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", "",
			// Data need to survive the death of the process, not of the machine. synchronous_commit stays on: without
			// it a killed server forgets what it has confirmed.
			"-c", "fsync=off",
			"-c", "max_connections=300",
			"-c", "shared_buffers=64MB",
			"-c", "timezone=UTC", "-c", "log_timezone=UTC",
			// The default, files in /dev/shm, would stay behind after a kill.
			"-c", "dynamic_shared_memory_type=mmap",
		}
	},

	ping: func(ctx context.Context, s *Server) error {
		db, err := s.openPostgres()
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	},

	createDatabase: func(ctx context.Context, s *Server, name string) error {
		// template0 admits no connections; template1 may be in use, and then cannot be copied.
		return s.execPostgres(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0", name))
	},
	dropDatabase: func(ctx context.Context, s *Server, name string) error {
		// FORCE ends the sessions that a test has left open.
		return s.execPostgres(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
	},
}

func (s *Server) openPostgres() (*sql.DB, error) {
	config, err := pgx.ParseConfig(s.program.url(s, s.program.database))
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config), nil
}

func (s *Server) execPostgres(ctx context.Context, query string) error {
	db, err := s.openPostgres()
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, query)
	return err
}

// dataDir is apart from the logs and the password: initdb wants an empty directory.
func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

// writeFile writes a file that the server's user can read, and nobody else.
func (s *Server) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.owner == nil {
		return nil
	}
	return os.Chown(path, int(s.owner.uid), int(s.owner.gid))
}
