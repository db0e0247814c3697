package handoff

import (
	"context"

	"holdfast/lockprovider/lock"
)

// RWLocker is a read-write lock in Redis, as [sync.RWMutex] is one in a process: a key is held by one writer, or by any
// number of readers, whatever processes they run in.
//
// It is fair. Readers that come after a waiting writer wait behind it, so readers do not starve a writer. When it is their
// turn, readers that follow each other in the queue get the lock together.
//
// A reader cannot become a writer without unlocking: two readers that want to would wait for each other. A writer cannot
// become a reader either: it would be a reader in front of writers that wait. A context that holds a key in one of the ways
// cannot lock it again in any, see [lock.ErrNested].
//
// Each grant has a fencing token ([lock.Lease.Fence]). The token of a writer is greater than those of all earlier writers and
// readers. The token of a reader is greater than those of all earlier writers, and smaller than those of all later ones: so a
// store can refuse a read for which a later writer has written already. Among readers that hold the lock together, tokens
// mean nothing but the order of the grants.
type RWLocker struct{ writer, reader lock.Locker }

var _ lock.Locker = (*RWLocker)(nil)

// rwPrefix begins the names of read-write locks in Redis. Names of locks begin with "holdfast:".
const rwPrefix = "holdfast-rw:"

// maxReaders is the limit of the semaphore that a read-write lock is. A reader takes one unit, a writer takes all.
const maxReaders = 1 << 30

// RWLocker returns a read-write lock with these bounds. A key of a read-write lock is not the same as that key of
// [Client.Locker].
func (c *Client) RWLocker(s lock.Settings) *RWLocker {
	return &RWLocker{
		writer: c.semaphores.locker(rwPrefix, maxReaders, maxReaders, s),
		reader: c.semaphores.locker(rwPrefix, 1, maxReaders, s),
	}
}

// Lock acquires keys for writing. It acquires several keys one after the other, in an order that is the same for all
// callers.
func (l *RWLocker) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	return l.writer.Lock(ctx, keys)
}

// RLock acquires keys for reading, as Lock does for writing.
func (l *RWLocker) RLock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	return l.reader.Lock(ctx, keys)
}

// RLocker returns a locker whose Lock is RLock.
func (l *RWLocker) RLocker() lock.Locker { return l.reader }
