//go:build unix

package host

import (
	"os"
	"syscall"
)

// terminate asks a process to end, as an operator does.
func terminate(p *os.Process) (polite bool, err error) { return true, p.Signal(syscall.SIGTERM) }

func pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
