package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"entgo.io/ent/dialect"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// TestTwoInstancesAreOneShop lets a crowd loose on two processes that share a database and a Redis, with every strategy.
// A client whose request met with contention repeats it, with the same key, at the other instance.
func TestTwoInstancesAreOneShop(t *testing.T) {
	noLeaks(t)
	s := openPostgres(t)
	for _, strategy := range lockprovider.Usable(dialect.Postgres) {
		t.Run(string(strategy), func(t *testing.T) {
			// Leases are long enough that a loaded machine does not lose them: then no lock may ever be violated.
			settings := all(strategy, "lease=10s", "poll=10ms", "backoff=5ms")
			one, two := start(t, s.production(), serveArgs(settings)...), start(t, s.production(), serveArgs(settings)...)
			c := newCrowd(t, one.ready(), two.ready())
			t.Run("flash sale", c.flashSale)
			t.Run("coupon rush", c.couponRush)
			t.Run("charges", c.charges)
			t.Run("transfers", c.transfers)
			for _, instance := range []*process{one, two} {
				c.noViolations(t, instance)
				instance.stop()
			}
			s.audit(t)
			s.noLocksLeft(t)
		})
	}
}

// crowd is clients of a shop that has several instances.
type crowd struct {
	root  user
	users []user
}

// size of the crowd.
const size = 32

func newCrowd(t *testing.T, instances ...*process) *crowd {
	t.Helper()
	browser := browser(t)
	c := &crowd{root: signIn(t, browser, "root", true, instances...)}
	for i := range size {
		// Names of their own, since the strategies take their turns on the same database.
		c.users = append(c.users, signIn(t, browser, fmt.Sprintf("user%d.%s", i, key()), false, instances...))
	}
	return c
}

// rush lets everybody send one mutation at the same moment, half of them to either instance. The winners repeat theirs at
// the other instance, which must tell them the same. It returns how many were answered with each code; "" is success.
func (c *crowd) rush(t *testing.T, operation string, who func(i int) user, input func(i int) object) map[string]int {
	t.Helper()
	answers, ctx := make([]payload, size), bounded(t)
	together(t, size, func(i int) error {
		in := input(i)
		p, err := who(i).ask(ctx, i, operation, in)
		if err != nil || p.code() != "" {
			answers[i] = p
			return err
		}
		again, err := who(i).ask(ctx, i+1, operation, in)
		if err == nil && (again.code() != "" || !again.Meta.Replayed || again.object() != p.object()) {
			return fmt.Errorf("%s %s, but repeated at the other instance it is %s, %+v, %v",
				operation, p.object(), again.object(), again.Meta, again.UserErrors)
		}
		answers[i] = p
		return err
	})
	codes, seen := map[string]int{}, map[string]bool{}
	for _, p := range answers {
		codes[p.code()]++
		if made := p.object(); made != "" && seen[made] {
			t.Errorf("%s: %s was given to two", operation, made)
		} else {
			seen[made] = true
		}
	}
	return codes
}

func (c *crowd) each(i int) user { return c.users[i] }

func (c *crowd) flashSale(t *testing.T) {
	const stock = 12
	product := c.root.product(t, 100, stock)
	codes := c.rush(t, "placeOrder", c.each, func(int) object { return buy(product, 1, "CARD") })
	wantCodes(t, codes, map[string]int{"": stock, "OUT_OF_STOCK": size - stock})
	wantEqual(t, "stock", c.root.stock(t, product), 0)
}

func (c *crowd) couponRush(t *testing.T) {
	const quota = 5
	coupon := c.root.coupon(t, quota, 1)
	codes := c.rush(t, "issueCoupon", c.each, func(int) object { return take(coupon) })
	wantCodes(t, codes, map[string]int{"": quota, "COUPON_EXHAUSTED": size - quota})
	wantEqual(t, "issued", c.root.issued(t, coupon), quota)
}

func (c *crowd) charges(t *testing.T) {
	one := c.users[0] // in many windows
	codes := c.rush(t, "chargePoints", func(int) user { return one }, func(int) object { return charge(10) })
	wantCodes(t, codes, map[string]int{"": size})
	wantEqual(t, "points", one.points(t), size*10)
}

func (c *crowd) transfers(t *testing.T) {
	const opening = 10_000
	one := c.root
	a, b := one.account(t, "root", opening), one.account(t, "root", opening)
	codes := c.rush(t, "transfer", func(int) user { return one }, func(i int) object {
		if i/2%2 == 0 { // both directions at both instances
			return move(a, b, 3)
		}
		return move(b, a, 5)
	})
	wantCodes(t, codes, map[string]int{"": size})
	wantEqual(t, "first account", one.balance(t, a), opening-size/2*3+size/2*5)
	wantEqual(t, "second account", one.balance(t, b), opening+size/2*3-size/2*5)
}

func wantCodes(t *testing.T, got, want map[string]int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers by code: %v, want %v", got, want)
	}
}

// violations are counted if a comparison of versions had to prevent what a lock should have prevented.
var violations = regexp.MustCompile(`(?m)^holdfast_lock_violations_total\{.*\} (\S+)$`)

func (c *crowd) noViolations(t *testing.T, instance *process) {
	t.Helper()
	_, metrics := get(t, c.root.http, instance.admin+"/metrics")
	if !strings.Contains(metrics, "holdfast_changes_total") {
		t.Error("no changes are counted in /metrics")
	}
	for _, found := range violations.FindAllStringSubmatch(metrics, -1) {
		if n, err := strconv.ParseFloat(found[1], 64); err != nil || n != 0 {
			t.Errorf("%s", found[0])
		}
	}
}

// TestTwoInstancesStartTogether: on an empty database, and where both bring the demo data.
func TestTwoInstancesStartTogether(t *testing.T) {
	noLeaks(t)
	for _, kind := range kinds[1:] {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.open(t)
			one, two := start(t, s.development(), serveArgs(nil)...), start(t, s.development(), serveArgs(nil)...)
			for _, instance := range []*process{one.ready(), two.ready()} {
				instance.stop()
			}
			s.audit(t)
		})
	}
}

// TestInstancesRefuseDifferentStrategies: two strategies do not see each other's locks, so that only one may be live.
func TestInstancesRefuseDifferentStrategies(t *testing.T) {
	noLeaks(t)
	s := openSQLite(t)
	rows := all(lockprovider.RowLock, "attempts=2")
	others := append(all(lockprovider.RowLock), set("locks.points.provider=optimistic")...)
	first := boot(t, s.production(), append(rows, set("deployment.heartbeat=100ms")...)...)

	refused := start(t, s.production(), serveArgs(others)...)
	wantEqual(t, "exit code", refused.wait(), exitFailed)
	for _, part := range []string{"POINTS", `"rowlock"`, `"optimistic"`, "--takeover"} {
		if !strings.Contains(refused.stderr.String(), part) {
			t.Errorf("the refusal does not name %s: %s", part, refused.stderr.String())
		}
	}
	if strings.Contains(refused.stderr.String(), "STOCK") {
		t.Errorf("the refusal names a family that is the same: %s", refused.stderr.String())
	}

	same := boot(t, s.production(), rows...) // other bounds do not matter
	same.stop()

	second := boot(t, s.production(), append(others, "--takeover")...)
	reason := first.logged("stopping: another instance has taken over")
	for _, part := range []string{"POINTS", "rowlock", "optimistic"} {
		if !strings.Contains(reason, part) {
			t.Errorf("the reason does not name %s: %s", part, reason)
		}
	}
	wantEqual(t, "exit code of the one that was replaced", first.wait(), exitFailed)

	// After it has left, no instance is live, and --takeover is not needed.
	second.stop()
	boot(t, s.production(), rows...).stop()
}

// TestInstancesRefuseToShareNoRedis: the second server of a database with a Redis inside of each does not start, unless no
// strategy needs Redis. One that takes the place of a server that was killed does.
func TestInstancesRefuseToShareNoRedis(t *testing.T) {
	noLeaks(t)
	for name, s := range map[string]stores{
		"sqlite":   openSQLite(t),
		"postgres": {database: testenv.Postgres(t), redis: clients.EmbeddedRedis},
	} {
		t.Run(name, func(t *testing.T) {
			first := boot(t, s.development())
			refused := start(t, s.development(), serveArgs(nil)...)
			wantEqual(t, "exit code", refused.wait(), exitFailed)
			if !strings.Contains(refused.stderr.String(), "stop it first, or set redis.url for both") {
				t.Errorf("the refusal does not say what to do: %s", refused.stderr.String())
			}
			first.signal(syscall.SIGKILL)
			first.wait()
			boot(t, s.development()).stop()

			one, two := boot(t, s.development(), all(lockprovider.RowLock)...), boot(t, s.development(), all(lockprovider.RowLock)...)
			one.stop()
			two.stop()
		})
	}
}
