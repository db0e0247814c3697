//go:build unix

package main

import (
	"syscall"
	"time"
)

// stop stops the process as a virtual machine that is moved, and gives it the time to stand still.
func (w *worker) stop() error {
	err := w.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(50 * time.Millisecond)
	return err
}

// giveWay has the calling thread run only if nobody else wants its core.
func giveWay() error {
	const lowest = 19
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowest)
}
