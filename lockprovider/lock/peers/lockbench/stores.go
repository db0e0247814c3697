package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"holdfast/internal/servers"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/peers/etcdlock"
	"holdfast/lockprovider/lock/peers/internal/etcdserver"
)

// store is where a contender keeps its locks: Redis, unless it says otherwise.
type store string

const (
	inRedis    store = ""
	inPostgres store = "PostgreSQL"
	inMariaDB  store = "MariaDB"
	inEtcd     store = "etcd"
)

// startStores starts the stores beside Redis that the wanted contenders need, on this machine as Redis is. The contenders of a
// database that is not installed are left out, with a message.
func startStores(ctx context.Context, wanted func(string) bool) (urls map[store]string, stop func(), err error) {
	urls = map[store]string{}
	var stops []func()
	stop = func() {
		for _, each := range stops {
			each()
		}
	}
	for _, e := range entries {
		if e.store == inRedis || !wanted(e.name) {
			continue
		}
		switch kind := map[store]servers.Kind{inPostgres: servers.KindPostgres, inMariaDB: servers.KindMariaDB}[e.store]; {
		case e.store == inEtcd:
			var stopEtcd func()
			if urls[inEtcd], stopEtcd, err = etcdserver.Start(ctx); err == nil {
				stops = append(stops, stopEtcd)
			}
		case !servers.Have(kind):
			fmt.Fprintf(os.Stderr, "without %s: %v\n", e.name, servers.Missing(kind))
		default:
			var server *servers.Server
			if server, err = servers.Start(ctx, kind); err == nil {
				urls[e.store] = server.URL
				stops = append(stops, func() { _ = server.Stop() }) // What it leaves goes with this process.
			}
		}
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("start %s: %w", e.store, err)
		}
	}
	return urls, stop, nil
}

// elsewhere is a locker whose store is not Redis.
type elsewhere struct {
	locker lock.Locker
	end    func() error
}

func (e *elsewhere) lock(ctx context.Context, keys []string) (func() error, error) {
	_, lease, err := e.locker.Lock(ctx, keys)
	if err != nil {
		return nil, err
	}
	return func() error { return lease.Unlock(ctx) }, nil
}

func (*elsewhere) requests() int64 { return -1 }
func (e *elsewhere) close()        { _ = e.end() }

var elsewhereSettings = lock.Settings{Wait: waitBound, Lease: leaseTerm}

func openPostgres(address, _ string) (contender, error) {
	return openDatabase("pgx", address, lock.NewPostgres)
}

func openMariaDB(address, _ string) (contender, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "tcp", u.Host, u.User.Username(), strings.TrimPrefix(u.Path, "/")
	config.Passwd, _ = u.User.Password()
	config.InterpolateParams = true // one round trip a statement, as pgx has with what it has prepared
	return openDatabase("mysql", config.FormatDSN(), lock.NewMariaDB)
}

func openDatabase(driver, address string, open func(*sql.DB, lock.Settings, lock.Metrics) lock.Locker) (contender, error) {
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(64) // for each goroutine of a load one
	return &elsewhere{locker: open(db, elsewhereSettings, lock.NoMetrics{}), end: db.Close}, nil
}

func openEtcd(endpoint, _ string) (contender, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return &elsewhere{locker: etcdlock.New(client, elsewhereSettings, lock.NoMetrics{}), end: client.Close}, nil
}
