package e2e

import (
	"os/exec"
	"syscall"
)

// dieWithTests has the kernel kill the process if the test process ends without a chance to clean
// up, as it does after a timeout.
func dieWithTests(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
