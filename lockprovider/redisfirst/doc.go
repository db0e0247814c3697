// Package redisfirst keeps changes that are in Redis before they are in the database.
//
// There are two ways to do so. A [Store] is the write-behind store of one family under the strategy lua: the balances as
// Redis sees them, and a stream of the changes that Redis has admitted. One script checks, applies, numbers and
// appends a change, so a crash between decrement and publication cannot exist. Redis admits, the database
// confirms: what the database refuses is taken back with [Store.Undo]. A [Queue] is the queue of one family under the
// strategy queue: changes in the order in which they arrived. A worker checks one after the other against the
// database and removes them with their results.
//
// A refusal that is told is final, whoever else still has the stream entry; see [ledger.Ledger.Refuse].
//
// Whoever asked for a change waits for its result. [Confirmations] delivers it, from whichever process commits
// the change to the process where the caller waits. A message that is lost costs time and not the result, because
// callers look for themselves as well: in the change log, with [Store.Refusal] and [Queue.Look].
//
// All keys of a family and epoch share a hash tag, so that one script may touch them in Redis Cluster. Each switch of a
// family's strategy begins a new epoch, and a new epoch begins with no keys at all: what an earlier one left behind
// cannot be sold from.
//
// Deadlines of tickets go by the clock of Redis, which the scripts read: they need Redis 5 or later, which replicates what a script
// has done and not the script.
//
// [Store.Reconcile] compares a balance in Redis with the database, however busy the balance is, and repairs it.
//
// The names of keys and what the scripts do are part of what instances of different versions agree on while they run
// side by side. They may be added to, and not changed.
package redisfirst
