package host

import (
	"os/exec"
	"syscall"
)

// confine gives a server a session of its own, so that Ctrl-C in a terminal reaches the experiment only, which then stops
// it; where the experiment is killed, the kernel ends the server.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}
