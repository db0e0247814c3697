package lockprovider_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// sharing are the bounds of instances that say often that they live.
var sharing = lockprovider.DeploymentSettings{Heartbeat: 200 * time.Millisecond, Expiry: never}

// redisOfItsOwn is a Redis that no other instance has.
func redisOfItsOwn(t *testing.T) lockprovider.SharedRedis {
	t.Helper()
	urls, _ := embedded.start(t)
	return lockprovider.SharedRedis{Nodes: connectTo(urls)(t)}
}

func joinWith(
	t *testing.T, client *ent.Client, s lockprovider.Strategy, settings lockprovider.DeploymentSettings, shared lockprovider.SharedRedis,
) (*lockprovider.Deployment, error) {
	t.Helper()
	d, err := lockprovider.Join(bounded(t), client, strategies(s), settings, lockprovider.Sharing(shared))
	if err == nil {
		t.Cleanup(func() { leave(t, d) })
	}
	return d, err
}

// Instances that share a database do not see each other's locks in Redis if they do not share that as well.
func TestJoinRefusesAnotherRedis(t *testing.T) {
	for _, embedded := range []bool{false, true} {
		t.Run("embedded "+strconv.FormatBool(embedded), func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, client *ent.Client) {
				one, two := redisOfItsOwn(t), redisOfItsOwn(t)
				one.Embedded, two.Embedded = embedded, embedded
				first, err := joinWith(t, client, lockprovider.PubSub, sharing, one)
				if err != nil {
					t.Fatal(err)
				}
				if same, err := lockprovider.Join(bounded(t), client, strategies(lockprovider.PubSub), sharing, lockprovider.Sharing(one)); err != nil {
					t.Errorf("with the same Redis: %v", err)
				} else {
					leave(t, same)
				}
				takeover := sharing
				takeover.Takeover = true
				for what, join := range map[string]func() error{
					"the same strategy": func() error { _, err := joinWith(t, client, lockprovider.PubSub, sharing, two); return err },
					"a takeover":        func() error { _, err := joinWith(t, client, lockprovider.Lua, takeover, two); return err },
				} {
					err := join()
					if !errors.Is(err, lockprovider.ErrRedisNotShared) || !strings.Contains(err.Error(), first.Instance()) {
						t.Errorf("%s with another Redis: %v, want ErrRedisNotShared that names %s", what, err, first.Instance())
					}
				}
				stock := two
				stock.Families = []lockprovider.Family{lockprovider.Stock}
				if _, err := joinWith(t, client, lockprovider.PubSub, sharing, stock); !errors.Is(err, lockprovider.ErrRedisNotShared) {
					t.Errorf("one that changes stock alone: %v, want ErrRedisNotShared", err)
				}
			})
		})
	}
}

// Strategies that ask the database alone need no common Redis.
func TestJoinWithoutNeedOfRedis(t *testing.T) {
	client := openDatabase(t, "sqlite://:memory:").Ent
	for range 2 {
		if _, err := joinWith(t, client, lockprovider.RowLock, sharing, redisOfItsOwn(t)); err != nil {
			t.Error(err)
		}
	}
}

// An instance that changes stock alone, by the database, does not keep others from their Redis, nor they it from its own.
func TestJoinBesideOneThatChangesStockAlone(t *testing.T) {
	client := openDatabase(t, "sqlite://:memory:").Ent
	mixed := strategies(lockprovider.PubSub)
	mixed[lockprovider.Stock] = lockprovider.RowLock
	for range 2 {
		stock := redisOfItsOwn(t)
		stock.Families = []lockprovider.Family{lockprovider.Stock}
		for _, shared := range []lockprovider.SharedRedis{stock, redisOfItsOwn(t)} {
			d, err := lockprovider.Join(bounded(t), client, mixed, sharing, lockprovider.Sharing(shared))
			if err != nil {
				t.Error(err)
				continue
			}
			if shared.Families == nil {
				leave(t, d)
			} else {
				t.Cleanup(func() { leave(t, d) })
			}
		}
	}
}

// A Redis that was emptied hears of the live instances with their next heartbeat. Whoever joins meanwhile waits for it.
func TestJoinAfterRedisWasEmptied(t *testing.T) {
	client := openDatabase(t, "sqlite://:memory:").Ent
	shared := redisOfItsOwn(t)
	lasting := sharing
	lasting.Heartbeat = time.Second
	if _, err := joinWith(t, client, lockprovider.PubSub, lasting, shared); err != nil {
		t.Fatal(err)
	}
	if err := shared.Nodes[0].FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	lasting.Heartbeat = longEnough // the joining one is patient
	if _, err := joinWith(t, client, lockprovider.PubSub, lasting, shared); err != nil {
		t.Error(err)
	}
}

// The last heartbeat of a process of this machine that has ended says nothing. One of another machine may live.
func TestJoinAfterACrash(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	here := lockprovider.HostAndProcess()
	host := here[:strings.LastIndexByte(here, ':')]
	if host == name {
		t.Skip("this system does not tell one container from another: only heartbeats count")
	}
	process := exec.CommandContext(t.Context(), "true")
	if err := process.Run(); err != nil {
		t.Fatal(err)
	}
	zombie := exec.CommandContext(t.Context(), "true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = zombie.Wait() }()
	for began := time.Now(); !lockprovider.IsZombie(zombie.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Since(began) > longEnough {
			t.Fatalf("waited %v for process %d to end", longEnough, zombie.Process.Pid)
		}
	}
	for where, refused := range map[string]bool{
		host + ":" + strconv.Itoa(process.Process.Pid):                    false,
		host + ":" + strconv.Itoa(zombie.Process.Pid):                     false,
		host + ":" + strconv.Itoa(os.Getpid()):                            false, // the process before this one, as in a container
		host + ":" + strconv.Itoa(os.Getppid()):                           true,
		"elsewhere:1":                                                     true,
		name + "/another/4026531836:" + strconv.Itoa(process.Process.Pid): true, // another container of the same name
		name + ":" + strconv.Itoa(process.Process.Pid):                    true,
		"elsewhere": true,
	} {
		client := openDatabase(t, "sqlite://:memory:").Ent
		client.Instance.Create().SetID("inst_crashed").SetHost(where).SetStrategies(map[string]string{"STOCK": "pubsub"}).ExecX(t.Context())
		_, err := joinWith(t, client, lockprovider.PubSub, sharing, redisOfItsOwn(t))
		if errors.Is(err, lockprovider.ErrRedisNotShared) != refused {
			t.Errorf("beside %s: error %v, want a refusal: %v", where, err, refused)
		}
	}
}
