package clients

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"holdfast/config/setting"
)

// sessionVariables are those that a shop relies on, set in each session: a server may have other defaults, and each of these
// has one that loses or changes data without a word.
var sessionVariables = map[string]string{
	"time_zone":       "'+00:00'",
	"autocommit":      "1", // else what is written outside of a transaction is rolled back when the session ends
	"completion_type": "0", // else a transaction begins at the end of another one, and is never committed
	"unique_checks":   "1",
	// Without a strict mode, what does not fit into a column is cut to what does. Other modes change the language.
	"sql_mode": "'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	// Of tables that migrations create: others have no transactions.
	"default_storage_engine": "InnoDB",
}

// lockWait is how many seconds MySQL lets a statement wait for a row lock. Callers have bounds of their own, but MySQL does
// not notice that one has gone until the statement returns, and until then its transaction keeps the locks that it has.
const lockWait = "10"

func openMySQL(rest string) (*sql.DB, error) {
	u, err := url.Parse("mysql://" + rest)
	if err != nil {
		return nil, setting.WithoutURL(err)
	}
	if u.Host == "" {
		return nil, errors.New("no host named, as in mysql://user:password@host:3306/name")
	}
	host := u.Host
	if u.Port() == "" {
		host += ":3306"
	}
	// The parameters are the driver's; name and password are set apart, because its own format cannot escape them.
	config, err := mysql.ParseDSN(fmt.Sprintf("tcp(%s)/%s?%s", host, strings.TrimPrefix(u.EscapedPath(), "/"), u.RawQuery))
	if err != nil {
		return nil, err
	}
	if u.User != nil {
		config.User = u.User.Username()
		config.Passwd, _ = u.User.Password()
	}
	if config.Timeout == 0 {
		config.Timeout = connectTimeout
	}
	config.Collation = "utf8mb4_bin"
	config.ParseTime = true
	config.Loc = time.UTC
	// An UPDATE counts the rows that it found, as in the other databases, not those that it left different.
	config.ClientFoundRows = true
	// Saves a round trip a statement. Safe as the connection's character set is utf8mb4: the driver escapes, heeds
	// NO_BACKSLASH_ESCAPES, and refuses the character sets in which escaping can be tricked.
	config.InterpolateParams = true
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	for name, value := range sessionVariables {
		config.Params[name] = value
	}
	if _, given := config.Params["innodb_lock_wait_timeout"]; !given {
		config.Params["innodb_lock_wait_timeout"] = lockWait
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(mysqlConnector{connector}), nil
}

// mysqlSession sets the isolation level with a statement, as MySQL 8 and MariaDB before 11.1 have no common name for the
// variable. Under MySQL's default, REPEATABLE READ, a transaction that waited for a row lock goes on to read the other rows
// as they were before it waited. What is between the stars only MariaDB executes: it can leave CHECK constraints unchecked.
var mysqlSession = []string{
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	"SET SESSION foreign_key_checks = 1 /*M! , check_constraint_checks = 1 */",
}

// mysqlConnector opens sessions that are the same whatever the defaults of the server.
type mysqlConnector struct{ driver.Connector }

func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	session, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T cannot execute statements", conn), conn.Close())
	}
	for _, statement := range mysqlSession {
		if _, err := session.ExecContext(ctx, statement, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}
