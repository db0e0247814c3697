package servers

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

var mariadbProgram = program{
	debian: "mariadb-server",
	files:  []string{"mariadbd", "mariadb-install-db"},
	places: []string{"/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"},
	// mariadbd could drop root by itself (--user), but a process that changes its user loses the death signal.
	users: []string{"mysql", "nobody"},
	stop:  syscall.SIGKILL, // A shutdown in order takes a second and serves nobody: it leaves nothing outside its directory.

	database: "holdfast",
	url: func(s *Server, database string) string {
		u := url.URL{Scheme: "mysql", User: url.UserPassword(databaseUser, s.password), Host: s.Addr, Path: database}
		return u.String()
	},

	prepare: func(ctx context.Context, s *Server) error {
		init := fmt.Sprintf(`CREATE USER IF NOT EXISTS '%[1]s'@'127.0.0.1' IDENTIFIED BY '%[2]s';
GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS %[3]s;
`, databaseUser, s.password, s.program.database)
		if err := s.writeFile(s.initFile(), init); err != nil {
			return err
		}
		// The root that it creates comes in through the socket only, which lies in our directory.
		args := append([]string{"--no-defaults", "--skip-test-db", "--auth-root-authentication-method=socket"},
			s.mariadbStorage()...)
		return s.runTool(ctx, s.programs["mariadb-install-db"], args...)
	},

	command: func(s *Server) (string, []string) {
		args := []string{
			"--no-defaults", // /etc/mysql is about somebody else's server, and must come first.
			"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port),
			"--socket=" + filepath.Join(s.dir, "sock"), "--pid-file=" + filepath.Join(s.dir, "pid"),
			"--init-file=" + s.initFile(),
			"--skip-name-resolve",
			"--max-connections=300",
			"--default-time-zone=+00:00",
			"--character-set-server=utf8mb4",
		}
		return s.programs["mariadbd"], append(args, s.mariadbStorage()...)
	},

	ping: func(ctx context.Context, s *Server) error {
		db, err := s.openMariaDB()
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	},

	createDatabase: func(ctx context.Context, s *Server, name string) error {
		db, err := s.openMariaDB()
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
		return err
	},
	dropDatabase: dropMariaDB,
}

func (s *Server) initFile() string { return filepath.Join(s.dir, "init.sql") }

// mariadbStorage is what the set-up and the server must agree on.
func (s *Server) mariadbStorage() []string {
	return []string{
		"--datadir=" + s.dataDir(),
		// A server that starts deletes the temporary tables that it finds there, which may be those of another one in /tmp.
		"--tmpdir=" + s.dir,
		"--innodb-buffer-pool-size=64M",
		"--innodb-log-file-size=32M",
		// 2: written at every commit, not synced. Data need to survive the death of the process, not of the machine.
		"--innodb-flush-log-at-trx-commit=2",
	}
}

func (s *Server) openMariaDB() (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", s.Addr
	config.User, config.Passwd = databaseUser, s.password
	config.DBName = s.program.database
	config.Logger = quiet
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// dropMariaDB ends the sessions that a test has left open before it drops the database: it would wait for their
// transactions.
func dropMariaDB(ctx context.Context, s *Server, name string) error {
	db, err := s.openMariaDB()
	if err != nil {
		return err
	}
	defer db.Close()
	var kills sql.NullString
	err = db.QueryRowContext(ctx,
		"SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE db = ?", name).Scan(&kills)
	if err != nil {
		return err
	}
	for id := range strings.SplitSeq(kills.String, ",") {
		if id != "" {
			_, _ = db.ExecContext(ctx, "KILL "+id) // It may have gone by itself.
		}
	}
	_, err = db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name)
	return err
}
