//go:build unix && !linux

package host

import (
	"os/exec"
	"syscall"
)

// confine gives a server a session of its own, so that Ctrl-C in a terminal reaches the experiment only, which then stops
// it. Where the experiment is killed, its servers go on.
func confine(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
