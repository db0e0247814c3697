package lockprovider_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// never is a heartbeat that a test does not live to see.
const never = time.Hour

func strategies(all lockprovider.Strategy) map[lockprovider.Family]lockprovider.Strategy {
	m := map[lockprovider.Family]lockprovider.Strategy{}
	for _, f := range lockprovider.Families {
		m[f] = all
	}
	return m
}

func join(
	t *testing.T, client *ent.Client, s map[lockprovider.Family]lockprovider.Strategy,
	settings lockprovider.DeploymentSettings,
) (*lockprovider.Deployment, error) {
	t.Helper()
	d, err := lockprovider.Join(bounded(t), client, s, settings)
	if err == nil {
		t.Cleanup(func() { leave(t, d) })
	}
	return d, err
}

func mustJoin(
	t *testing.T, client *ent.Client, s map[lockprovider.Family]lockprovider.Strategy,
	settings lockprovider.DeploymentSettings,
) *lockprovider.Deployment {
	t.Helper()
	d, err := join(t, client, s, settings)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func leave(t *testing.T, d *lockprovider.Deployment) {
	t.Helper()
	if err := d.Leave(t.Context()); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

// onEachDatabase runs a test with an empty database of each kind.
func onEachDatabase(t *testing.T, test func(*testing.T, *ent.Client)) {
	t.Helper()
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) { test(t, openDatabase(t, db.url(t)).Ent) })
	}
}

func TestJoinRefusesOtherStrategies(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		lasting := lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never}
		first := mustJoin(t, client, strategies(lockprovider.RowLock), lasting)
		mustJoin(t, client, strategies(lockprovider.RowLock), lasting) // the same is welcome

		other := strategies(lockprovider.RowLock)
		other[lockprovider.Points] = lockprovider.Optimistic
		_, err := join(t, client, other, lasting)
		if !errors.Is(err, lockprovider.ErrStrategyMismatch) {
			t.Fatalf("error %v, want ErrStrategyMismatch", err)
		}
		for _, part := range []string{"POINTS", `"rowlock"`, `"optimistic"`, first.Instance(), "--takeover"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the message does not name %s: %v", part, err)
			}
		}
		if strings.Contains(err.Error(), "STOCK") {
			t.Errorf("the message names what does not differ: %v", err)
		}
		if n := client.Instance.Query().CountX(t.Context()); n != 2 {
			t.Errorf("%d instances, want 2: the refused one is not one", n)
		}
	})
}

// TestJoinAtTheSameMoment starts instances with two maps together, in an empty database and then again and again: one map
// wins, and all who have it.
func TestJoinAtTheSameMoment(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		lasting := lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never}
		for round := range 5 {
			const each = 3
			joined := make([]*lockprovider.Deployment, 2*each)
			errs := make([]error, 2*each)
			start := make(chan struct{})
			var all sync.WaitGroup
			for i := range joined {
				mine := strategies([]lockprovider.Strategy{lockprovider.RowLock, lockprovider.Optimistic}[i%2])
				all.Go(func() {
					<-start
					joined[i], errs[i] = lockprovider.Join(bounded(t), client, mine, lasting)
				})
			}
			close(start)
			all.Wait()
			wins := [2]int{}
			for i, err := range errs {
				switch {
				case err == nil:
					wins[i%2]++
					if err := joined[i].Leave(t.Context()); err != nil {
						t.Error(err)
					}
				case !errors.Is(err, lockprovider.ErrStrategyMismatch):
					t.Errorf("round %d: %v", round, err)
				}
			}
			if wins != [2]int{each, 0} && wins != [2]int{0, each} {
				t.Errorf("round %d: %v of %d each joined, want all of one", round, wins, each)
			}
		}
	})
}

func TestJoinAfterExpiry(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		silent := mustJoin(t, client, strategies(lockprovider.RowLock), lockprovider.DeploymentSettings{Heartbeat: never})
		if epoch := silent.Epochs()[lockprovider.Stock]; epoch != 1 {
			t.Errorf("epoch %d at first, want 1", epoch)
		}
		other := strategies(lockprovider.RowLock)
		other[lockprovider.Stock] = lockprovider.AtomicSQL
		if _, err := join(t, client, other, lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never}); err == nil {
			t.Fatal("joined a live instance with other strategies")
		}
		// Whose last heartbeat is older than the expiry is not live any more.
		next := mustJoin(t, client, other, lockprovider.DeploymentSettings{Heartbeat: never, Expiry: time.Nanosecond})
		if epochs := next.Epochs(); epochs[lockprovider.Stock] != 2 || epochs[lockprovider.Points] != 1 {
			t.Errorf("epochs %v, want 2 of the family that was switched and 1 of the others", epochs)
		}
		row := client.FamilyStrategy.GetX(t.Context(), string(lockprovider.Stock))
		if row.Strategy != string(lockprovider.AtomicSQL) || row.Epoch != 2 {
			t.Errorf("registered %q in epoch %d", row.Strategy, row.Epoch)
		}
	})
}

func TestJoinAfterLeave(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		lasting := lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never}
		first := mustJoin(t, client, strategies(lockprovider.RowLock), lasting)
		leave(t, first)
		mustJoin(t, client, strategies(lockprovider.Optimistic), lasting)
	})
}

func TestHeartbeatKeepsAlive(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		d := mustJoin(t, client, strategies(lockprovider.RowLock),
			lockprovider.DeploymentSettings{Heartbeat: 100 * time.Millisecond, Expiry: never})
		first := client.Instance.GetX(t.Context(), d.Instance()).HeartbeatAt
		for deadline := time.Now().Add(longEnough); ; {
			if client.Instance.GetX(t.Context(), d.Instance()).HeartbeatAt.After(first) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("no heartbeat")
			}
		}
	})
}

func TestTakeoverTellsTheOther(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		beating := lockprovider.DeploymentSettings{Heartbeat: 100 * time.Millisecond, Expiry: never}
		old := mustJoin(t, client, strategies(lockprovider.RowLock), beating)
		select {
		case err := <-old.Replaced():
			t.Fatalf("replaced by nobody: %v", err)
		default:
		}
		takeover := beating
		takeover.Takeover = true
		now := mustJoin(t, client, strategies(lockprovider.Optimistic), takeover)
		select {
		case err := <-old.Replaced():
			if !errors.Is(err, lockprovider.ErrStrategyMismatch) {
				t.Errorf("told %v, want ErrStrategyMismatch", err)
			}
		case <-time.After(longEnough):
			t.Fatal("the other instance is not told")
		}
		// The old strategies do not come back by themselves, and who took over is not disturbed.
		if _, err := join(t, client, strategies(lockprovider.RowLock), beating); !errors.Is(err, lockprovider.ErrStrategyMismatch) {
			t.Errorf("error %v, want ErrStrategyMismatch", err)
		}
		leave(t, old)
		select {
		case err := <-now.Replaced():
			t.Errorf("who took over is told %v", err)
		default:
		}
	})
}

// TestTakeoverWaits: an instance that keeps balances in Redis does not sell beside one that it has replaced.
func TestTakeoverWaits(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		beating := lockprovider.DeploymentSettings{Heartbeat: 100 * time.Millisecond, Expiry: never}
		takeover := beating
		takeover.Takeover = true
		old := mustJoin(t, client, strategies(lockprovider.RowLock), beating)
		first := mustJoin(t, client, strategies(lockprovider.Lua), takeover)
		second := mustJoin(t, client, strategies(lockprovider.Lua), beating) // not the one that switched: it waits as well
		type ended struct {
			who string
			err error
		}
		waiting, done := make(chan []string, 2), make(chan ended, 2)
		for who, d := range map[string]*lockprovider.Deployment{"who took over": first, "who came after": second} {
			go func() {
				done <- ended{who, d.AwaitReplaced(bounded(t), func(others []string) { waiting <- others })}
			}()
		}
		for range 2 {
			select {
			case others := <-waiting:
				if len(others) != 1 || !strings.HasPrefix(others[0], old.Instance()) {
					t.Errorf("waits for %v, want %s alone", others, old.Instance())
				}
			case e := <-done:
				t.Fatalf("%s does not wait for the instance that was replaced: %v", e.who, e.err)
			}
		}
		<-old.Replaced()
		select {
		case e := <-done:
			t.Fatalf("%s did not wait until the instance had stopped: %v", e.who, e.err)
		default:
		}
		leave(t, old)
		for range 2 {
			if e := <-done; e.err != nil {
				t.Errorf("%s: %v", e.who, e.err)
			}
		}
	})
}

// TestTakeoverBesideOthers: strategies that keep no balances in Redis go by the rows of the database, and need not wait.
func TestTakeoverBesideOthers(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		takeover := lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never, Takeover: true}
		mustJoin(t, client, strategies(lockprovider.RowLock), takeover)
		d := mustJoin(t, client, strategies(lockprovider.PubSub), takeover)
		if err := d.AwaitReplaced(bounded(t), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestReplacedWhileItWaits: who waits for others and is replaced itself does not go on.
func TestReplacedWhileItWaits(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, client *ent.Client) {
		takeover := lockprovider.DeploymentSettings{Heartbeat: 100 * time.Millisecond, Expiry: never, Takeover: true}
		mustJoin(t, client, strategies(lockprovider.RowLock), takeover)
		d := mustJoin(t, client, strategies(lockprovider.Lua), takeover)
		err := d.AwaitReplaced(bounded(t), func([]string) { mustJoin(t, client, strategies(lockprovider.Optimistic), takeover) })
		if !errors.Is(err, lockprovider.ErrStrategyMismatch) {
			t.Errorf("error %v, want ErrStrategyMismatch", err)
		}
	})
}
