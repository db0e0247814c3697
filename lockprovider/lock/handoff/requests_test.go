package handoff

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/lockprovider/lock"
)

// TestSharedContext: requests that begin at about the same time share a context, which bounds each of them.
func TestSharedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sharedContext
		first := s.at(time.Now())
		time.Sleep(sharedFor - time.Nanosecond)
		if s.at(time.Now()) != first {
			t.Error("requests that begin together have different contexts")
		}
		time.Sleep(time.Nanosecond)
		second := s.at(time.Now())
		if second == first {
			t.Errorf("a context is shared for longer than %v", sharedFor)
		}
		time.Sleep(lock.RequestTimeout - sharedFor)
		synctest.Wait()
		if first.Err() == nil || second.Err() != nil {
			t.Errorf("after a request's time: %v, and of the later one %v", first.Err(), second.Err())
		}
		s.end()
		if second.Err() == nil {
			t.Error("the timer goes on after the end")
		}
		if s.at(time.Now()).Err() != nil {
			t.Error("a request after the end has no time")
		}
		s.end()
	})
}
