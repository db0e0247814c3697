//go:build unix

package redistest

import (
	"syscall"
	"testing"
)

// stop is SIGSTOP: a virtual machine that is moved, a laptop that is closed. It returns when the process stands still.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the helper does not stop: %v, status %v", err, status)
	}
}

func (p *process) resume(t testing.TB) { p.signal(t, syscall.SIGCONT) }

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
