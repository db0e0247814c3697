package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// sqlOpen opens a database for the few statements that are not the shop's: to create databases, and to read counters.
func sqlOpen(address string) (*sql.DB, error) {
	scheme, rest, found := strings.Cut(address, "://")
	switch {
	case found && strings.HasPrefix(scheme, "postgres"):
		config, err := pgx.ParseConfig(address)
		if err != nil {
			return nil, errors.New("not a URL of PostgreSQL") // the error of the driver would show the password
		}
		return stdlib.OpenDB(*config), nil
	case scheme == "mysql" || scheme == "mariadb":
		u, err := url.Parse("mysql://" + rest)
		if err != nil || u.Host == "" {
			return nil, errors.New("not a URL of MariaDB or MySQL, such as mysql://user:password@host:3306/name")
		}
		config := mysql.NewConfig()
		config.Net, config.Addr, config.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		if u.Port() == "" {
			config.Addr = net.JoinHostPort(u.Hostname(), "3306")
		}
		if u.User != nil {
			config.User = u.User.Username()
			config.Passwd, _ = u.User.Password()
		}
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	}
	return nil, fmt.Errorf("unknown scheme %q: want postgres:// or mysql://", scheme)
}

// Transactions returns how many transactions the database has ended, or nil if it does not count them. PostgreSQL counts
// those of this database, with up to a second's delay for connections in use; MariaDB and MySQL count those of the server.
func (s *RunStores) Transactions(ctx context.Context) (*float64, error) {
	if s.database != Postgres && s.database != MariaDB {
		return nil, nil
	}
	db, err := sqlOpen(s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var total float64
	if s.database == Postgres {
		err = db.QueryRowContext(ctx, `SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database
			WHERE datname = current_database()`).Scan(&total)
		return &total, err
	}
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_commit', 'Handler_rollback')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n float64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		total += n
	}
	return &total, rows.Err()
}
