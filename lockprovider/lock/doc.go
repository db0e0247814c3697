// Package lock excludes others from a set of keys, in whatever process they run.
//
// [Locker] is what a lock promises, and [Lease] is a lock that is held. Lock acquires one or several keys within a bound
// and returns a context for the work: it is canceled before anybody else can have the lock, so work that keeps to it ends
// in time. A lease is renewed while its holder lives. If the holder dies, the lease ends, and others go on.
//
// There are five implementations in this module. Three are in Redis:
//
//   - [NewSetNX] is the lock everybody writes first: SET key token NX PX lease, asked for again and again.
//   - [NewRedsync] is go-redsync, over one node or a quorum of several.
//   - Package [holdfast/lockprovider/lock/handoff] hands the lock off to the next waiter. It serves waiters in their
//     order, has fencing tokens, and asks Redis only when it must. It has read-write locks and semaphores as well.
//
// Two are in databases. They need a connection a holder and a waiter, and no Redis:
//
//   - [NewPostgres] is PostgreSQL's advisory locks.
//   - [NewMariaDB] is MariaDB's GET_LOCK.
//
// No lock in a store excludes with certainty: a process may stand still for longer than its lease, and a store may forget.
// A holder that comes late must therefore be refused by what it writes to, for instance by comparing versions, or by
// remembering the greatest fencing token ([Lease.Fence]). A lock saves work that would be refused.
//
// # Locks of your own
//
// The interfaces can be implemented outside of this module. [SortedKeys], [WithWait], [KeepAlive], [StoreError], and [RefuseNesting] do
// what all implementations have in common. Package [holdfast/lockprovider/lock/locktest] holds an implementation to what
// [Locker] promises.
//
// This package and handoff import the standard library and Redis clients only.
package lock
