// Package handoff is a lock in Redis whose holders hand it off.
//
// A release makes the next waiter the owner, in the same script, and then tells it. So between two holders the lock is
// never free: there is no herd of waiters that ask at once, and a newcomer cannot overtake. Waiters sleep until a message
// on Redis Pub/Sub wakes them. They poll slowly, in case that a message is lost.
//
// A process opens one [Client], and gets from it lockers with different bounds ([Client.Locker]). To Redis a process is one
// waiter for each lock. Inside, the callers of the process wait in a local queue: a holder hands the lock off to the next
// local waiter without Redis. While another process waits, a process does so at most 16 times or for 20 ms, then it is the
// other's turn. A lock that was handed off here stays cached for 20 ms after its last holder, unless another process
// wants it.
//
// Several keys are acquired together. Callers of one process that want several keys wait in one queue for all of them;
// the first acquires them with one request. If a key is taken elsewhere, it acquires one after the other, in an order that
// is the same for all callers.
//
// Each holder can have a fencing token, which grows even if Redis forgets the last one ([lock.Lease.Fence]). The token of a
// lock that nobody else wants is made when its holder asks for it.
//
// # Read-write locks and semaphores
//
// [Client.RWLocker] returns a read-write lock, and [Client.Semaphore] a counting semaphore. They are handed off in the same
// way, have leases and fencing tokens, and wait on the same subscription. Their queue is fair: a writer, or a large request, is
// not overtaken by those that came later. Each caller is a waiter of its own in Redis.
//
// # The code
//
// A [Client] has a local queue for each lock that is in use in its process. The state of such a queue is one of idle,
// acquiring, queued, held, and cached; state.go has everything that changes it. acquire.go and release.go are the ways in
// and out, renewal.go is what happens by itself. What Redis keeps is described in scripts/lock.lua.
//
// The semaphores of a process are independent of that: semaphores.go has the callers that hold or wait for units, and
// scripts/semaphore.lua what Redis keeps.
//
// The tests run the package on a model of Redis with simulated time, delays, losses, and processes that are cut off.
// docs/pubsub-lock.md in the repository says what each failure costs, and how fast the lock is.
package handoff
