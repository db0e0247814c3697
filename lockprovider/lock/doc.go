// Package lock is a lock over processes.
package lock
