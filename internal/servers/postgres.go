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
	url:      postgresURL,

	prepare: func(ctx context.Context, s *Server) error {
		if s.upstream != nil {
			return s.copyUpstream(ctx)
		}
		password := filepath.Join(s.dir, "password")
		if err := s.writeFile(password, s.password); err != nil {
			return err
		}
		return s.runTool(ctx, s.programs["initdb"], "--pgdata", s.dataDir(), "--no-sync", "--no-instructions",
			"--username", databaseUser, "--pwfile", password, "--auth", "scram-sha-256",
			"--encoding", "UTF8", "--locale", "C")
	},

	command: func(s *Server) (string, []string) {
		return s.besideInitdb("postgres"), []string{
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

	ping: pingPostgres,

	createDatabase: func(ctx context.Context, s *Server, name string) error {
		// template0 admits no connections; template1 may be in use, and then cannot be copied.
		return s.CopyDatabase(ctx, name, "template0")
	},
	dropDatabase: func(ctx context.Context, s *Server, name string) error {
		// FORCE ends the sessions that a test has left open.
		return s.execPostgres(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
	},
}

// CopyDatabase makes a database in a PostgreSQL with all that is in another one of it, which nobody may be connected to.
func (s *Server) CopyDatabase(ctx context.Context, name, from string) error {
	return s.execPostgres(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, from))
}

func postgresURL(s *Server, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(databaseUser, s.password), Host: s.Addr, Path: database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func pingPostgres(ctx context.Context, s *Server) error {
	db, err := s.openPostgres()
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// besideInitdb is the path of a program of the same version as initdb.
func (s *Server) besideInitdb(name string) string {
	initdb := s.programs["initdb"]
	if path, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = path
	}
	return filepath.Join(filepath.Dir(initdb), name)
}

// StartStandby starts a PostgreSQL that follows another one (https://www.postgresql.org/docs/current/warm-standby.html),
// and returns when it answers. Its application_name is "standby". A commit at the primary waits for it if
// synchronous_standby_names there names it. [Server.Promote] makes it a primary of its own.
func StartStandby(ctx context.Context, primary *Server, args ...string) (*Server, error) {
	return startServer(ctx, KindPostgres, &Server{args: args, password: primary.password, upstream: primary})
}

// copyUpstream makes the data directory of a standby.
func (s *Server) copyUpstream(ctx context.Context) error {
	passwords := filepath.Join(s.dir, "pgpass")
	if err := s.writeFile(passwords, fmt.Sprintf("%s:*:%s:%s\n", s.upstream.Addr, databaseUser, s.password)); err != nil {
		return err
	}
	primary := fmt.Sprintf("host=127.0.0.1 port=%d user=%s passfile=%s application_name=standby",
		s.upstream.port, databaseUser, passwords)
	return s.runTool(ctx, s.besideInitdb("pg_basebackup"), "--dbname", primary, "--pgdata", s.dataDir(),
		"--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
}

// Promote makes a standby a primary of its own, and returns when it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	return s.execPostgres(ctx, fmt.Sprintf("SELECT pg_promote(true, %d)", int(startTimeout.Seconds())))
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
