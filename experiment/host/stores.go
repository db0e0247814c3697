package host

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/servers"
)

// Kinds of stores that an experiment provides.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
	MariaDB  = "mariadb"

	EmbeddedRedis = "embedded" // in the process of the experiment
	RealRedis     = "real"

	// Database is any database that is a process of its own.
	Database = "database"

	// Running stands for the stores of servers that run already, which an experiment does not know.
	Running = "running"
)

// Stores are the servers that experiments make databases in. Kinds without a URL are started from PATH when they are
// needed, and stopped by Close.
type Stores struct {
	// PostgresURL and MariaDBURL name servers in which the user may create databases: each run gets one of its own.
	PostgresURL, MariaDBURL string
	// RedisURL names a Redis whose database must be empty: each run begins and ends with an empty one.
	RedisURL string
	// Durable has a Redis that is started keep all that it has, if it is killed.
	Durable bool

	started map[string]*servers.Server
}

// RunStores are the database and the Redis of one run. Both are empty at its start. Close removes them.
type RunStores struct {
	DatabaseURL, RedisURL string
	database, redis       string // kinds
	started               map[string]*servers.Server
	cleanups              []cleanup  // in reverse order
	Embedded              *embedding // nil if Redis is not in this process
}

type cleanup func(ctx context.Context) error

// embedding is a Redis inside this process that servers reach at an address.
type embedding struct{ redis *clients.Redis }

// cleanupTimeout bounds how long it takes to remove what a run has left.
const cleanupTimeout = 30 * time.Second

// Close removes what the run has left in the stores. It also works after the context of the run has ended.
func (s *RunStores) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout) // also after an interrupt
	defer cancel()
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanups[i](ctx))
	}
	return errors.Join(errs...)
}

// Server returns the Redis (RealRedis) or the database (Database) of the run, to strike it. It fails if the experiment has not started it.
func (s *RunStores) Server(store string) (*servers.Server, error) {
	kind := s.database
	if store == RealRedis {
		kind = "redis"
	}
	if started := s.started[kind]; started != nil {
		return started, nil
	}
	return nil, fmt.Errorf("%s was not started by this experiment", kind)
}

// Open makes an empty database and an empty Redis of the given kinds.
func (s *Stores) Open(ctx context.Context, database, redisKind string) (_ *RunStores, err error) {
	out := &RunStores{database: database, redis: redisKind}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	switch database {
	case SQLite:
		dir, err := os.MkdirTemp("", "holdfast-experiment-")
		if err != nil {
			return nil, err
		}
		out.cleanups = append(out.cleanups, func(context.Context) error { return os.RemoveAll(dir) })
		out.DatabaseURL = "sqlite://" + filepath.Join(dir, "shop.db")
	case Postgres, MariaDB:
		if err := s.openDatabase(ctx, out); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("unknown database %q", database)
	}
	if redisKind == EmbeddedRedis {
		r, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: clients.EmbeddedRedis, PoolSize: 4})
		if err != nil {
			return nil, err
		}
		out.Embedded = &embedding{r}
		out.cleanups = append(out.cleanups, func(context.Context) error { return r.Close() })
		client, ok := r.Client.(*redis.Client)
		if !ok {
			return nil, fmt.Errorf("the embedded Redis is a %T", r.Client)
		}
		out.RedisURL = "redis://" + client.Options().Addr
	} else if err := s.openRedis(ctx, out); err != nil {
		return nil, err
	}
	out.started = s.started
	return out, nil
}

// server returns the URL of a server, which is started from PATH if none is named. If this process is killed, the server
// ends too on Linux, and its data are removed.
func (s *Stores) server(ctx context.Context, kind, given, flag string) (string, error) {
	if given != "" {
		return given, nil
	}
	if running, found := s.started[kind]; found {
		return running.URL, nil
	}
	var args []string
	if s.Durable && servers.Kind(kind) == servers.KindRedis {
		args = []string{"--appendonly", "yes"}
	}
	started, err := servers.Start(ctx, servers.Kind(kind), args...)
	if err != nil {
		return "", fmt.Errorf("%w; a running server can be named with %s", err, flag)
	}
	if s.started == nil {
		s.started = map[string]*servers.Server{}
	}
	s.started[kind] = started
	return started.URL, nil
}

// Close stops the servers that were started.
func (s *Stores) Close() error {
	var errs []error
	for _, server := range s.started {
		errs = append(errs, server.Stop())
	}
	s.started = nil
	return errors.Join(errs...)
}

func (s *Stores) openDatabase(ctx context.Context, out *RunStores) error {
	given := s.PostgresURL
	if out.database == MariaDB {
		given = s.MariaDBURL
	}
	server, err := s.server(ctx, out.database, given, "--database-url")
	if err != nil {
		return err
	}
	admin, err := openAdmin(server)
	if err != nil {
		return err
	}
	defer admin.Close()
	name := "holdfast_experiment_" + strings.ToLower(rand.Text()[:10])
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return fmt.Errorf("create a database for the run at %s: %w", clients.RedactURL(server), err)
	}
	drop := "DROP DATABASE IF EXISTS " + name
	if out.database == Postgres {
		drop += " WITH (FORCE)"
	}
	out.cleanups = append(out.cleanups, func(ctx context.Context) error {
		admin, err := openAdmin(server)
		if err != nil {
			return err
		}
		defer admin.Close()
		_, err = admin.ExecContext(ctx, drop)
		return err
	})
	u, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("--database-url %s: want a URL", clients.RedactURL(server))
	}
	u.Path = "/" + name
	out.DatabaseURL = u.String()
	return nil
}

// openRedis takes the Redis server if nobody else has anything in it.
func (s *Stores) openRedis(ctx context.Context, out *RunStores) error {
	server, err := s.server(ctx, "redis", s.RedisURL, "--redis-url")
	if err != nil {
		return err
	}
	if strings.Contains(server, "+cluster") {
		return fmt.Errorf("--redis-url %s: want a single server, Sentinel or independent nodes: of a cluster, an experiment "+
			"could not remove what a run has left", clients.RedactURL(server))
	}
	r, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(server), PoolSize: 2})
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // It has been read from, and flushed in the cleanup by another connection.
	for _, node := range r.Nodes {
		n, err := node.DBSize(ctx).Result()
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("--redis-url %s: holds %d keys: an experiment empties it after each run, so name a database "+
				"that nobody uses, such as redis://host:6379/9", clients.RedactURL(server), n)
		}
	}
	out.RedisURL = server
	out.cleanups = append(out.cleanups, func(ctx context.Context) error {
		r, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(server), PoolSize: 2})
		if err != nil {
			return err
		}
		errs := []error{}
		for _, node := range r.Nodes {
			errs = append(errs, node.FlushDB(ctx).Err())
		}
		return errors.Join(append(errs, r.Close())...)
	})
	return nil
}

// openAdmin opens a server to create databases in.
func openAdmin(server string) (*sql.DB, error) {
	db, err := sqlOpen(server)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", clients.RedactURL(server), err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// OpenRedis connects to the Redis of the run.
func (s *RunStores) OpenRedis(ctx context.Context) (*clients.Redis, error) {
	if s.Embedded != nil {
		return s.Embedded.redis, nil
	}
	return clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(s.RedisURL), PoolSize: 4})
}
