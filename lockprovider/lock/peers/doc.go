// Package peers is the root of a module of its own: what only comparisons and tests of locks need, so that a program that
// wants the lock, and the shop, do not depend on it.
//
//   - Package redistest is the long suite for locks in Redis, with proxies that fail and histories that are checked.
//   - Package etcdlock is a lock in etcd.
//   - Command lockbench measures the locks of this repository beside others.
//
// The module is not meant to be imported from elsewhere: it has its parent by a replace directive.
package peers
