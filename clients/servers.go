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
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
)

// Both servers run READ COMMITTED: under MySQL's default, REPEATABLE READ, a transaction that waited for a row lock
// goes on to read the other rows as they were before it waited. Both speak UTC.

func openPostgres(address string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, withoutURL(err)
	}
	if !strings.Contains(address, "connect_timeout=") {
		config.ConnectTimeout = connectTimeout
	}
	set := func(name, value string) {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	set("application_name", "holdfast")
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	return stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		// Without it, pgx returns times in the zone of the process.
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	})), nil
}

// lockWait is how many seconds MySQL lets a statement wait for a row lock. Callers have bounds of their own, but MySQL does
// not notice that one has gone until the statement returns, and until then its transaction keeps the locks that it has.
const lockWait = "10"

func openMySQL(rest string) (*sql.DB, error) {
	u, err := url.Parse("mysql://" + rest)
	if err != nil {
		return nil, withoutURL(err)
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
	config.Params["time_zone"] = "'+00:00'"
	if _, given := config.Params["innodb_lock_wait_timeout"]; !given {
		config.Params["innodb_lock_wait_timeout"] = lockWait
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(readCommitted{connector}), nil
}

// readCommitted sets the isolation level with a statement, as MySQL 8 and MariaDB before 11.1 have no common name for the
// variable.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	session, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T cannot execute statements", conn), conn.Close())
	}
	if _, err := session.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
