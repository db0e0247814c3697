package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	pgbouncerConfig = "pgbouncer.ini"
	pgbouncerUsers  = "userlist.txt"
)

var pgbouncerProgram = program{
	debian: "pgbouncer",
	files:  []string{"pgbouncer"},
	places: []string{"/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"},
	users:  []string{"postgres", "nobody"}, // It refuses to run as root.
	stop:   syscall.SIGKILL,                // It has no data.

	database: postgresProgram.database,
	url:      postgresURL,

	prepare: func(_ context.Context, s *Server) error {
		return s.writeFile(filepath.Join(s.dir, pgbouncerUsers), fmt.Sprintf("%q %q\n", databaseUser, s.password))
	},
	configure: func(s *Server) error {
		lines := append([]string{
			"[databases]",
			fmt.Sprintf("* = host=127.0.0.1 port=%d", s.upstream.port),
			"[pgbouncer]",
			"listen_addr = 127.0.0.1",
			fmt.Sprintf("listen_port = %d", s.port),
			"unix_socket_dir =",
			"auth_type = scram-sha-256",
			"auth_file = " + filepath.Join(s.dir, pgbouncerUsers),
			"max_client_conn = 1000",
		}, s.settings...)
		return s.writeFile(filepath.Join(s.dir, pgbouncerConfig), strings.Join(lines, "\n")+"\n")
	},
	command: func(s *Server) (string, []string) {
		return s.programs["pgbouncer"], []string{filepath.Join(s.dir, pgbouncerConfig)}
	},
	ping: pingPostgres,
}

// StartPgBouncer starts a PgBouncer before a PostgreSQL. The settings are lines of its section [pgbouncer], such as
// "pool_mode = transaction"; its own default is "session".
func StartPgBouncer(ctx context.Context, upstream *Server, settings ...string) (*Server, error) {
	return startServer(ctx, KindPgBouncer, &Server{settings: settings, password: upstream.password, upstream: upstream})
}
