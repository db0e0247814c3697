//go:build unix

package servers

import (
	"errors"
	"os/exec"
	"syscall"
)

// canRun says whether this package can run servers on this operating system.
const canRun = true

const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
)

// sendSignal signals a process. A process that has ended is no error.
func sendSignal(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// newSession gives cmd a session of its own, so that Ctrl-C in a terminal reaches only the test, and a user; nil is the user
// of this process.
func newSession(cmd *exec.Cmd, as *owner) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
}
