package lockprovider

import (
	"cmp"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"holdfast/lockprovider/lock"
)

//go:generate go run ./document ../README.md ../docs/strategies.md

// Constructor builds a provider for one family.
type Constructor func(Deps) (Provider, error)

// Info is what one strategy is. All that is said about strategies elsewhere, in the configuration, the schema of the API,
// the documents, the experiments and the conformance suite, is read or generated from these fields.
type Info struct {
	Name Strategy
	// New builds a provider. It is nil if Locker is set.
	New Constructor
	// Locker opens the lock of a strategy that is a lock around one transaction.
	Locker func(Deps) lock.Locker
	// Needs are the stores without which the strategy does not work.
	Needs Needs
	// Traits are what the strategy promises; the conformance suite holds it to them.
	Traits Traits
	// Control: the strategy excludes nobody. It loses updates, and is refused outside of experiments.
	Control bool
	// WritesBehind: for a while Redis is the only one to know of a change. A Redis that evicts keys loses it.
	WritesBehind bool
	// BalancesInRedis: the strategy keeps the balances in Redis as well.
	BalancesInRedis bool
	// Quorum: the strategy works over several independent nodes of Redis.
	Quorum bool
	// DefaultPoll is the strategy's own time between two requests for a lock; see [Info.Poll].
	DefaultPoll time.Duration
	// Kind is the kind within which experiments compare the strategy, besides comparing it with all; "" for none.
	Kind Kind

	// Summary is one phrase, for lists: the README and config/example.yaml.
	Summary string
	// Description is one sentence, for the schema of the API.
	Description string
	// Why is what makes the strategy as fast or slow as it is, for the conclusion of an experiment; "" for the control.
	Why string
	// Document is what the tables of docs/strategies.md say.
	Document Document
}

// Needs are the stores without which a strategy does not work.
type Needs struct {
	// Redis: the strategy needs Redis. The others ask the database alone.
	Redis bool
	// Database is ent's name of the only database that the strategy works on; "" if it works on all.
	Database string
}

// Allow tells whether the strategy works on a database, given by ent's name.
func (n Needs) Allow(database string) bool { return n.Database == "" || n.Database == database }

// String is the list of what is needed, for people.
func (n Needs) String() string {
	names := map[string]string{dialect.SQLite: "SQLite", dialect.Postgres: "PostgreSQL", dialect.MySQL: "MySQL or MariaDB"}
	switch database := names[n.Database]; {
	case n.Redis && database != "":
		return "Redis, " + database
	case n.Redis:
		return "Redis"
	default:
		return cmp.Or(database, "–")
	}
}

// Traits are what a strategy promises, besides to exclude.
type Traits struct {
	// Locks: a change of existing balances reads them under a lock, and so never finds that they have changed.
	Locks bool
	// Leases: a lock in Redis keeps others out; it lives for a limited time, is renewed, and can be lost.
	Leases bool
	// Detached: somebody else does the work, a persister or a worker. A change that has been taken up goes on when its
	// caller has gone, and a change that the database has refused stays refused.
	Detached bool
	// Immediate: the caller who comes second does not wait for the first.
	Immediate bool
	// HeedsAck: the strategy heeds [Settings.Ack], and can answer before the database has the change.
	HeedsAck bool
}

// Kind is a group of strategies that need the same, as the conclusion of an experiment names it.
type Kind string

// The kinds.
const (
	RedisLock     Kind = "of the Redis locks"
	DatabaseAlone Kind = "with the database alone"
)

// Document is a strategy's row in each table of docs/strategies.md, in Markdown.
type Document struct {
	// Exclusion, Check and Write say who keeps others out, who checks, and who writes.
	Exclusion, Check, Write string
	// Confirmed says when the database has the change.
	Confirmed string
	// Faults say what happens when something breaks. Nil leaves the strategy out of that table.
	Faults *Faults
}

// Faults say what happens when something breaks, in Markdown.
type Faults struct{ HolderKilled, RedisAway, RedisEmptied, DatabaseAway string }

const onReturn = "on return"

var (
	faultsOfRedisLocks = &Faults{
		HolderKilled: "others wait for the rest of `lease`",
		RedisAway:    "`UNAVAILABLE`, retryable; or the fallback",
		RedisEmptied: "two holders are possible for a moment: the version comparison refuses the stale one",
		DatabaseAway: "`UNAVAILABLE`",
	}
	faultsOfTheDatabase = &Faults{
		HolderKilled: "the database rolls back at once",
		RedisAway:    "not concerned",
		RedisEmptied: "not concerned",
		DatabaseAway: "`UNAVAILABLE`",
	}
)

// Strategies are all strategies, in display order. The conformance suite ranges over them, so that none escapes.
var Strategies = []Info{
	{
		Name: None, New: newNone, Control: true,
		Summary:     "nothing: loses updates. For experiments, with allowNone only",
		Description: "Not at all: the control of experiments, which loses updates.",
		Document: Document{
			Exclusion: "nobody: the control, loses updates, refused outside of experiments",
			Check:     "Go", Write: "transaction, absolute write", Confirmed: onReturn,
		},
	},
	{
		Name: SetNX, Locker: openSetNX, Needs: Needs{Redis: true}, Traits: Traits{Locks: true, Leases: true},
		DefaultPoll: 50 * time.Millisecond, Kind: RedisLock,
		Summary:     "a lock in Redis, asked for again and again",
		Description: "A Redis lock of one SET NX PX command, asked for again until it is free.",
		Why:         "whoever finds the lock taken asks again after a pause, in which nobody may hold it",
		Document: Document{
			Exclusion: "Redis `SET NX PX`, asked for again and again",
			Check:     "Go", Write: "transaction", Confirmed: onReturn, Faults: faultsOfRedisLocks,
		},
	},
	{
		Name: Redsync, Locker: openRedsync, Needs: Needs{Redis: true}, Traits: Traits{Locks: true, Leases: true},
		Quorum:      true,
		DefaultPoll: 150 * time.Millisecond, // its jitter of ±50 % makes about the library's 50 to 250 ms
		Kind:        RedisLock,
		Summary:     "the Redlock algorithm, over one or several independent nodes",
		Description: "Redsync's lock, over one Redis node or a majority of several.",
		Why:         "whoever finds the lock taken asks again after a random pause",
		Document: Document{
			Exclusion: "[go-redsync](https://github.com/go-redsync/redsync) over one node or a quorum of N",
			Check:     "Go", Write: "transaction", Confirmed: onReturn, Faults: faultsOfRedisLocks,
		},
	},
	{
		Name: PubSub, Locker: openPubSub, Needs: Needs{Redis: true}, Traits: Traits{Locks: true, Leases: true},
		Kind:        RedisLock,
		Summary:     "a lock in Redis whose release wakes the next in line",
		Description: "A Redis lock whose release is announced to those who wait.",
		Why:         "a released lock wakes the next in line",
		Document: Document{
			Exclusion: "[a Redis lock](pubsub-lock.md) whose release hands it to the next in line",
			Check:     "Go", Write: "transaction", Confirmed: onReturn, Faults: faultsOfRedisLocks,
		},
	},
	{
		Name: RowLock, New: newRowLock, Traits: Traits{Locks: true}, Kind: DatabaseAlone,
		Summary:     "the database's row locks, SELECT ... FOR UPDATE",
		Description: "The database's row locks, SELECT ... FOR UPDATE in key order.",
		Why:         "the database hands its row lock on as soon as a commit is done",
		Document: Document{
			Exclusion: "the database, `SELECT … FOR UPDATE` in key order",
			Check:     "Go", Write: "the same transaction", Confirmed: onReturn, Faults: faultsOfTheDatabase,
		},
	},
	{
		Name: Optimistic, New: newOptimistic, Kind: DatabaseAlone,
		Summary:     "no lock; a version is compared on write, and the change tried again",
		Description: "No lock: versions are compared on writing, and the loser tries again.",
		Why:         "nobody waits, and all but one of those who collide start over",
		Document: Document{
			Exclusion: "nobody; the version is compared on write, bounded attempts",
			Check:     "Go", Write: "transaction, if unchanged", Confirmed: onReturn, Faults: faultsOfTheDatabase,
		},
	},
	{
		Name: AtomicSQL, New: newAtomicSQL, Kind: DatabaseAlone,
		Summary:     "no lock; one UPDATE statement checks and writes",
		Description: "No lock: one conditional UPDATE, decided by the database.",
		Why:         "one conditional UPDATE: the fewest round trips",
		Document: Document{
			Exclusion: "the database, `UPDATE … WHERE amount + δ` is in bounds",
			Check:     "database", Write: "the same statement", Confirmed: onReturn, Faults: faultsOfTheDatabase,
		},
	},
	{
		Name: GroupCommit, New: newGroupCommit, Traits: Traits{Locks: true}, Kind: DatabaseAlone,
		Summary:     "row locks, and one commit for all changes that have come in during the commit before",
		Description: "Row locks, and one commit for all changes that have come in during the commit before.",
		Why:         "one transaction locks, checks and commits all changes that have come in during the one before",
		Document: Document{
			Exclusion: "two committers in each process (one on SQLite), each in the order of arrival; between them `SELECT … FOR UPDATE` in key order",
			Check:     "Go, one change after another", Write: "the same transaction, for all of them", Confirmed: onReturn, Faults: faultsOfTheDatabase,
		},
	},
	{
		Name: Queue, New: newQueue, Needs: Needs{Redis: true}, Traits: Traits{Detached: true},
		WritesBehind: true,
		Summary:      "no lock; one worker takes changes in the order in which they arrived",
		Description:  "No lock: one worker serves a waiting line, in the order of arrival.",
		Why:          "one worker commits many changes at once, and nobody contends",
		Document: Document{
			Exclusion: "one worker a family, in the order of arrival, batched",
			Check:     "worker", Write: "the worker's transaction", Confirmed: onReturn,
			Faults: &Faults{
				HolderKilled: "another worker takes over within 3 s",
				RedisAway:    "`UNAVAILABLE`; or the fallback",
				RedisEmptied: "those in line are told to try again",
				DatabaseAway: "the line waits",
			},
		},
	},
	{
		Name: Lua, New: newLua, Needs: Needs{Redis: true}, Traits: Traits{Detached: true, Immediate: true, HeedsAck: true},
		WritesBehind: true, BalancesInRedis: true,
		Summary:     "no lock; a script in Redis checks and writes, and the database follows in group commits",
		Description: "No lock: a script admits the change in Redis, and the database follows.",
		Why:         "a script in Redis admits, and one commit carries many changes",
		Document: Document{
			Exclusion: "Redis, one script for all moves",
			Check:     "script", Write: "script, then the persister",
			Confirmed: "on return (`ack: persisted`), soon after (`ack: accepted`)",
			Faults: &Faults{
				HolderKilled: "another instance persists within `pipeline.claimIdle`",
				RedisAway:    "`UNAVAILABLE`; or the fallback",
				RedisEmptied: "balances are created anew from the database; what was not acknowledged is lost",
				DatabaseAway: "changes wait in the stream, up to `pipeline.backlog`",
			},
		},
	},
}

// Lookup returns the row of a strategy in the table, and whether there is one.
func Lookup(name Strategy) (Info, bool) {
	for _, info := range Strategies {
		if info.Name == name {
			return info, true
		}
	}
	return Info{}, false
}

// Names are the names of all strategies, sorted.
func Names() []Strategy { return sorted(func(Info) bool { return true }) }

// Usable are the names of the strategies that a shop may use on a database, given by ent's name: all that work on it, but
// the control. They are sorted.
func Usable(database string) []Strategy {
	return sorted(func(i Info) bool { return !i.Control && i.Needs.Allow(database) })
}

// Fallbacks are the names of the strategies that can serve while Redis is away, in display order.
func Fallbacks() []Strategy { return named(Info.Fallback) }

func sorted(which func(Info) bool) []Strategy { return slices.Sorted(slices.Values(named(which))) }

func named(which func(Info) bool) []Strategy {
	var names []Strategy
	for _, info := range Strategies {
		if which(info) {
			names = append(names, info.Name)
		}
	}
	return names
}

// Register adds a strategy to the table until restore is called, for tests that need a faulty one. Nothing may read the
// table meanwhile.
func Register(info Info) (restore func()) {
	before := Strategies
	Strategies = append(slices.Clip(before), info)
	return func() { Strategies = before }
}

// Poll returns how long the strategy waits before it asks for a lock again, if nothing is configured. Strategies that are
// told of a release ask on their own only because a message can be lost, or a holder die.
func (i Info) Poll() time.Duration { return cmp.Or(i.DefaultPoll, 300*time.Millisecond) }

// Fallback tells whether the strategy can serve while Redis is away.
func (i Info) Fallback() bool { return !i.Needs.Redis && !i.Control }

// provider builds a provider of the strategy.
func (i Info) provider(d Deps) (Provider, error) {
	if i.Locker != nil {
		return newLocked(i.Name, i.Locker, d), nil
	}
	return i.New(d)
}
