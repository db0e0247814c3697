package commerce

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// ErrorsByID says which of several objects could not be read, by their IDs, and why. The other objects are not concerned.
type ErrorsByID map[string]error

func (es ErrorsByID) Error() string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(es)) {
		parts = append(parts, id+": "+es[id].Error())
	}
	return strings.Join(parts, "; ")
}

// Unwrap has [errors.Is] and [errors.As] look at all of them.
func (es ErrorsByID) Unwrap() []error {
	var all []error
	for _, id := range slices.Sorted(maps.Keys(es)) {
		all = append(all, es[id])
	}
	return all
}

// ErrorOf returns what an error says of one object: of [ErrorsByID] its own error, or nil; of any other error, which concerns all objects,
// that error.
func ErrorOf(err error, id string) error {
	var several ErrorsByID
	if errors.As(err, &several) {
		return several[id]
	}
	return err
}

// Each calls do once for each ID, for at most atOnce of them at the same time, and returns what it returned. If it failed for some, the
// error is [ErrorsByID] of these.
func Each[T any](atOnce int, ids []string, do func(id string) (T, error)) (map[string]T, error) {
	var (
		mu     sync.Mutex
		calls  errgroup.Group
		done   = make(map[string]T, len(ids))
		failed = ErrorsByID{}
	)
	calls.SetLimit(max(atOnce, 1))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		calls.Go(func() error {
			value, err := do(id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[id] = err
			} else {
				done[id] = value
			}
			return nil
		})
	}
	_ = calls.Wait() // no call returns an error
	if len(failed) > 0 {
		return done, failed
	}
	return done, nil
}
