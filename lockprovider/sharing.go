package lockprovider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/lockprovider/lock"
)

// ErrRedisNotShared means that a live instance of the same deployment has another Redis. Its locks, queues and balances there
// cannot be seen from here.
var ErrRedisNotShared = errors.New("the Redis is not that of a live instance")

// NotSharedError is an [ErrRedisNotShared] that tells of the live instance.
type NotSharedError struct {
	Instance, Host string
	// Address is where the instance answers requests of this machine; "" if it does not.
	Address string
}

func (e *NotSharedError) Error() string {
	return fmt.Sprintf("%s: %s (%s) works with another one, or has one inside of it: stop it first, or set redis.url for both",
		ErrRedisNotShared.Error(), e.Instance, e.Host)
}

// Is reports whether target is ErrRedisNotShared.
func (e *NotSharedError) Is(target error) bool { return target == ErrRedisNotShared }

func notShared(other *ent.Instance) error {
	e := &NotSharedError{Instance: other.ID, Host: other.Host}
	theirs, _ := cutLast(other.Host)
	if here, _ := cutLast(hostAndProcess()); theirs == here {
		e.Address = other.Address
	}
	return e
}

// SharedRedis is the Redis of an instance. All live instances must have the same if their strategies need one.
type SharedRedis struct {
	// Nodes are the clients of independent nodes, or of the one Redis.
	Nodes []redis.UniversalClient
	// Embedded tells that the Redis is inside of this process, so that no other instance has the same.
	Embedded bool
	// Families are those that the instance changes; nil means all.
	Families []Family
}

// Sharing sets the Redis that the instance must share with the others. Without it, none is looked at.
func Sharing(s SharedRedis) JoinOption { return func(d *Deployment) { d.redis = s } }

// used are the strategies of the families that the instance changes.
func (s SharedRedis) used(all map[Family]Strategy) map[string]string {
	used := make(map[string]string, len(all))
	for family, strategy := range all {
		if s.Families == nil || slices.Contains(s.Families, family) {
			used[string(family)] = string(strategy)
		}
	}
	return used
}

// sharedKey is a key that an instance keeps in its Redis for as long as it lives, for others to find there.
func sharedKey(instance string) string { return "holdfast:instance:" + instance }

// most calls a function for each node, and returns an error unless it succeeds on most of them.
func (s SharedRedis) most(do func(node redis.UniversalClient) error) error {
	var errs []error
	for _, node := range s.Nodes {
		if err := do(node); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 || len(s.Nodes)-len(errs) > len(s.Nodes)/2 {
		return nil
	}
	return errors.Join(errs...)
}

// mark lets others find the instance in its Redis until the time to live is over.
func (s SharedRedis) mark(ctx context.Context, instance string, ttl time.Duration) error {
	return s.most(func(node redis.UniversalClient) error { return node.Set(ctx, sharedKey(instance), "", ttl).Err() })
}

// unmark is the end of an instance. The key would go by itself.
func (s SharedRedis) unmark(ctx context.Context, instance string) {
	_ = s.most(func(node redis.UniversalClient) error { return node.Del(ctx, sharedKey(instance)).Err() })
}

var errNotThere = errors.New("not there")

// has tells whether an instance can be found in this Redis.
func (s SharedRedis) has(ctx context.Context, instance string) (bool, error) {
	err := s.most(func(node redis.UniversalClient) error {
		n, err := node.Exists(ctx, sharedKey(instance)).Result()
		if err == nil && n == 0 {
			return errNotThere
		}
		return err
	})
	if errors.Is(err, errNotThere) {
		return false, nil
	}
	return err == nil, err
}

// needsRedis tells whether one of the strategies does.
func needsRedis(strategies map[string]string) bool {
	for _, name := range strategies {
		if info, _ := Lookup(Strategy(name)); info.Needs.Redis {
			return true
		}
	}
	return false
}

// check returns [ErrRedisNotShared] if the instance and a live one need Redis and have not the same.
func (s SharedRedis) check(ctx context.Context, strategies map[Family]Strategy, live []*ent.Instance) error {
	if !needsRedis(s.used(strategies)) {
		return nil
	}
	for _, other := range live {
		if !needsRedis(other.Strategies) {
			continue
		}
		found, err := s.has(ctx, other.ID)
		switch {
		case err != nil:
			return fmt.Errorf("look for the other instances in Redis: %w", err)
		case !found:
			return notShared(other)
		}
	}
	return nil
}

// joinPause is the time between two attempts to join while an instance is looked for.
const joinPause = 250 * time.Millisecond

// patiently calls join again for as long as another instance may just not have told a Redis that it lives: one that was emptied
// hears of it with the next heartbeat.
func (s SharedRedis) patiently(ctx context.Context, heartbeat time.Duration, join func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*heartbeat)
	defer cancel()
	for {
		err := join()
		if s.Embedded || !errors.Is(err, ErrRedisNotShared) || lock.Pause(ctx, joinPause) != nil {
			return err
		}
	}
}

// The instances of this process, by ID. Of an ended process with the same ID, as after the restart of a container, none is here.
var instancesHere sync.Map

// hostAndProcess is what the row of an instance tells of where it runs.
func hostAndProcess() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + processSpace() + ":" + strconv.Itoa(os.Getpid())
}

// processSpace names the system in which the ID of this process is one of its own: containers may have the same host name, and each
// its own numbers. It is empty if the system does not tell.
func processSpace() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return ""
	}
	return "/" + strings.TrimSpace(string(boot)) + "/" + strings.Trim(namespace, "pid:[]")
}

// ended tells whether the process of an instance has ended in this system, so that its last heartbeat says nothing. Of an
// instance elsewhere, only its heartbeat tells.
func ended(other *ent.Instance) bool {
	_, process := cutLast(other.Host)
	_, me := cutLast(hostAndProcess())
	pid, err := strconv.Atoi(process)
	switch {
	case err != nil || !isHere(other.Host):
		return false
	case process == me:
		_, here := instancesHere.Load(other.ID)
		return !here
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) || isZombie(pid)
}

// isHere tells whether a process is, or was, one of this system, so that its ID says which.
func isHere(hostOfProcess string) bool {
	host, _ := cutLast(hostOfProcess)
	mine, _ := cutLast(hostAndProcess())
	return host == mine && processSpace() != ""
}

// isZombie tells whether a process has ended, and its parent has not asked for the result. In some containers nobody does. The state
// is the first field behind the name, which stands in parentheses: see proc(5).
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, found := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return found && strings.HasPrefix(state, "Z")
}

func cutLast(hostAndProcess string) (host, process string) {
	at := strings.LastIndexByte(hostAndProcess, ':')
	if at < 0 {
		return hostAndProcess, ""
	}
	return hostAndProcess[:at], hostAndProcess[at+1:]
}
