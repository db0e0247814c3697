package host

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// The CPU time of a listener is at least what its process and its children that have ended say that they have used, before
// and after some more is used. Children that are alive, such as servers of other tests, may add to it.
func TestListenerCPU(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := uint16(listener.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // of a TCP listener
	used := func() float64 {
		var mine, children syscall.Rusage
		must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &mine))
		must(t, syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children))
		nanos := mine.Utime.Nano() + mine.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano()
		return time.Duration(nanos).Seconds()
	}
	const ticks = 0.04 // four times are counted in whole hundredths
	for begin, n := used(), 0; ; n++ {
		least := used()
		if got := listenerCPU(port); got == nil || *got < least-ticks {
			t.Fatalf("%v, want at least %g seconds", got, least)
		}
		if least > begin+0.1 && n > 0 {
			break
		}
	}
	must(t, listener.Close())
	if got := listenerCPU(port); got != nil {
		t.Errorf("%g seconds of nobody", *got)
	}
}
