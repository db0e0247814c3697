package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/experiment/claims"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// TestDevelopmentStartBesideAnotherDatabase: the file of the database is removed, and Redis stays; or Redis is inside of the server and
// the file stays. The server starts each time, and its shop works.
func TestDevelopmentStartBesideAnotherDatabase(t *testing.T) {
	for _, v := range variants() {
		if !v.info().WritesBehind {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			noLeaks(t)
			file, shared := sqliteFile(t), testenv.Redis(t).URL
			another := sqliteFile(t)
			for n, s := range []stores{
				{database: file, redis: shared},
				{database: another, redis: shared},
				{database: file, redis: shared},
				{database: file, redis: clients.EmbeddedRedis},
				{database: file, redis: clients.EmbeddedRedis},
				{database: file, redis: shared},
			} {
				server := boot(t, s.development(), all(v.strategy, v.settings...)...)
				token := strings.TrimSpace(command(t, s.development(), "token", "--user", "ann", "--admin"))
				ann := user{http: browser(t), token: token}.at(server)
				product := ann.product(t, 100, 5)
				order := buy(product, 2, "CARD")
				first, again := ann.do(t, "placeOrder", order), ann.do(t, "placeOrder", order)
				wantEqual(t, fmt.Sprintf("start %d: the order again", n), again.object(), first.object())
				server.stop()
				s.audit(t)
			}
		})
	}
}

// restoration is a way in which the stores of a shop come back from backups that were taken while customers were buying.
type restoration struct {
	name string
	// database and redis are the backups that they come back from: 0 leaves a store as it is, 1 is the earlier one.
	database, redis int
	emptied         bool // instead
}

var restorations = []restoration{
	{name: "the database is older", database: 1},
	{name: "redis is older", redis: 1},
	{name: "the database is older than redis", database: 1, redis: 2},
	{name: "redis is older than the database", database: 2, redis: 1},
	{name: "redis is emptied", emptied: true},
}

// TestRestoreDrill restores backups of a shop by the drill of docs/operations.md, with pg_dump and pg_restore or mariadb-dump and mariadb,
// and with copies of what Redis writes to its disk.
func TestRestoreDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and stops many servers")
	}
	noLeaks(t)
	n := 0
	for _, database := range []dumpedDatabase{postgresDumps(t), mariaDBDumps(t)} {
		for k, v := range variants() { // those that write behind come first
			if !v.info().WritesBehind && v.strategy != lockprovider.RowLock {
				continue
			}
			for i, way := range restorations {
				// In the short form, the variants that write behind share the ways among them.
				if !longCampaign() && (v.info().WritesBehind && i%writingBehind() != k || !v.info().WritesBehind && i > 0) {
					continue
				}
				if !longCampaign() && !database.isFirst && (!v.info().WritesBehind || way.database == 0) {
					continue
				}
				n++
				number := n
				t.Run(database.name+"/"+v.String()+"/"+way.name, func(t *testing.T) {
					d := &drill{database: database, appendOnly: number%2 == 0}
					args := []string{}
					if d.appendOnly {
						args = append(args, "--appendonly", "yes")
					}
					d.redis = testenv.Redis(t, args...)
					c := newCampaign(t, stores{database: database.another(t, fmt.Sprintf("drill_%d", number)), redis: d.redis.URL}, v)
					c.redisFails = true // customers must not tell one life of the shop from the next by replayed
					c.refill(t)
					load := c.load(t)
					c.await(t, 60)
					d.backup(t, c)
					c.await(t, 60)
					d.backup(t, c)
					c.await(t, 60)
					load.finish(t)
					c.kill(t, c.instances()...)
					if way.database > 0 {
						c.database = database.another(t, fmt.Sprintf("drill_%d_again", number))
					}
					d.restoreStores(t, c, way)
					c.resume(t, v, way)
				})
			}
		}
	}
}

// writingBehind is how many variants keep changes in Redis first.
func writingBehind() (n int) {
	for _, v := range variants() {
		if v.info().WritesBehind {
			n++
		}
	}
	return n
}

// drill is what a shop is restored with.
type drill struct {
	database   dumpedDatabase
	redis      *testenv.Server
	appendOnly bool // Redis has an append-only file; else its disk has snapshots
	backups    []backup
}

// dumpedDatabase is a database server, and the programs that write a database to a file and read it from there.
type dumpedDatabase struct {
	name    string
	isFirst bool // of those that are tested: it is tested most
	// another creates an empty database and returns its URL.
	another       func(t *testing.T, name string) string
	dump, restore func(t *testing.T, url, file string)
}

func postgresDumps(t *testing.T) dumpedDatabase {
	t.Helper()
	server, dump, restore := testenv.PostgresServer(t), postgresTool(t, "pg_dump"), postgresTool(t, "pg_restore")
	return dumpedDatabase{
		name: "postgres", isFirst: true,
		another: func(t *testing.T, name string) string {
			t.Helper()
			return anotherDatabase(t, server, name)
		},
		dump: func(t *testing.T, url, file string) {
			t.Helper()
			run(t, dump, "--format=custom", "--file="+file, "--dbname="+url)
		},
		restore: func(t *testing.T, url, file string) {
			t.Helper()
			run(t, restore, "--no-owner", "--dbname="+url, file)
		},
	}
}

func mariaDBDumps(t *testing.T) dumpedDatabase {
	t.Helper()
	arguments := func(t *testing.T, text string, others ...string) []string {
		t.Helper()
		u, err := url.Parse(text)
		must(t, err)
		password, _ := u.User.Password()
		return append([]string{
			"--no-defaults", "--host=" + u.Hostname(), "--port=" + u.Port(), "--protocol=tcp", "--user=" + u.User.Username(), "--password=" + password,
		}, append(others, strings.TrimPrefix(u.Path, "/"))...)
	}
	return dumpedDatabase{
		name:    "mariadb",
		another: func(t *testing.T, _ string) string { return testenv.MariaDB(t) },
		dump: func(t *testing.T, url, file string) {
			t.Helper()
			run(t, "mariadb-dump", arguments(t, url, "--single-transaction", "--result-file="+file)...)
		},
		restore: func(t *testing.T, url, file string) {
			t.Helper()
			run(t, "mariadb", arguments(t, url, "--execute=source "+file)...)
		},
	}
}

// backup is a backup of both stores: the file of the database, and the files of Redis by name.
type backup struct {
	database string
	redis    map[string][]byte
}

func postgresTool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("%s is not there, although PostgreSQL is", name)
	}
	return found[len(found)-1]
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if output, err := exec.CommandContext(bounded(t), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, output)
	}
}

// client is a connection to Redis, and the directory of its files.
func (d *drill) client(t *testing.T) (client redis.UniversalClient, directory string) {
	t.Helper()
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(d.redis.URL)})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	config, err := r.Client.ConfigGet(t.Context(), "dir").Result()
	must(t, err)
	return r.Client, config["dir"]
}

// backup copies both stores as they are.
func (d *drill) backup(t *testing.T, c *campaign) {
	t.Helper()
	b := backup{database: filepath.Join(t.TempDir(), "shop.dump"), redis: map[string][]byte{}}
	d.database.dump(t, c.database, b.database)
	client, directory := d.client(t)
	if !d.appendOnly {
		must(t, client.Save(t.Context()).Err())
	}
	for _, pattern := range []string{"dump.rdb", "appendonlydir/*"} {
		files, err := filepath.Glob(filepath.Join(directory, pattern))
		must(t, err)
		for _, file := range files {
			name, err := filepath.Rel(directory, file)
			must(t, err)
			b.redis[name], err = os.ReadFile(file)
			must(t, err)
		}
	}
	d.backups = append(d.backups, b)
}

// restoreStores brings the stores back while no server runs.
func (d *drill) restoreStores(t *testing.T, c *campaign, way restoration) {
	t.Helper()
	if way.database > 0 {
		d.database.restore(t, c.database, d.backups[way.database-1].database)
	}
	client, directory := d.client(t)
	switch {
	case way.emptied:
		must(t, client.FlushAll(t.Context()).Err())
	case way.redis > 0:
		must(t, d.redis.Kill())
		must(t, os.RemoveAll(filepath.Join(directory, "appendonlydir")))
		for name, content := range d.backups[way.redis-1].redis {
			path := filepath.Join(directory, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, content, 0o600))
		}
		must(t, d.redis.Restart())
	}
}

// resume starts the shop on stores that have been restored, and proves it: what the database holds is told as a repeat, what it
// does not hold is done when customers ask for it again, and every balance is what was asked for.
func (c *campaign) resume(t *testing.T, v variant, way restoration) {
	t.Helper()
	if way.database > 0 {
		c.rewind(readBooks(t, c.open(t)))
	}
	server := boot(t, c.production(), c.args...)
	_, told, _ := server.stderr.line("a new epoch begins")
	wantEqual(t, "a new epoch is told of", told, v.info().WritesBehind && !way.emptied)
	c.add(server)
	var answer struct {
		ReconcileNow struct{ UserErrors []refusal }
		StockDrift   []struct{ Balance string }
	}
	root := c.root.at(server)
	for deadline := time.Now().Add(longEnough); ; { // the job may be at it
		root.query(t, `mutation { reconcileNow { userErrors { code message retryable } } }`, &answer)
		if errs := answer.ReconcileNow.UserErrors; len(errs) == 0 || !errs[0].Retryable || time.Now().After(deadline) {
			break
		}
	}
	root.query(t, `{ stockDrift { balance } }`, &answer)
	if len(answer.ReconcileNow.UserErrors) > 0 || len(answer.StockDrift) > 0 {
		t.Errorf("after the restore: %+v", answer)
	}
	c.refill(t)
	c.sendAgain(t)
	allowed := lossless
	if way.database == 0 {
		allowed = lossy // of Redis alone: what only it had is lost
	}
	codes := []string{"NOT_FOUND", "INVALID_STATE", "UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted}
	c.prove(t, way.name, allowed, codes...)
	load := c.load(t)
	c.await(t, 50)
	load.finish(t)
	c.prove(t, "afterwards", allowed, codes...)
	c.end(t)
}

// rewind forgets what customers were told: the database is of an earlier time, in which some requests are there and others are not.
func (c *campaign) rewind(b books) {
	for _, a := range c.asked {
		a.told = claims.Record{}
		a.told.Told(claims.Reply{Code: claims.NoAnswer})
		a.told.Found(b.found(a))
	}
}

// sendAgain has all customers ask again for all that they have asked for, in the same order. What the database has must not be done as
// new.
func (c *campaign) sendAgain(t *testing.T) {
	t.Helper()
	c.patient = true
	defer func() { c.patient = false }()
	b := readBooks(t, c.open(t))
	c.loads++
	ctx := bounded(t)
	var asking errgroup.Group
	for shopper := range shoppers {
		dice := rand.New(rand.NewPCG(c.seed, c.loads*shoppers+uint64(shopper)))
		asking.Go(func() error {
			for _, a := range c.asked {
				if a.by != shopper {
					continue
				}
				held := a.follows == nil && b.found(a).Applied
				err := c.repeat(ctx, dice, a, func(reply claims.Reply) bool {
					if held && reply.Code == "" && !reply.Replayed {
						t.Errorf("%s: the database has it, and a repeat is told that it is new: %s", a, &a.told)
					}
					return reply.Change() > claims.NotStarted && !a.told.Open(a.request())
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, asking.Wait())
}
