//go:build !unix

package servers

import (
	"errors"
	"os/exec"
	"syscall"
)

// canRun is false: find fails before anything else of this file is reached.
const canRun = false

// The signals have no number here.
const (
	sigStop     = syscall.Signal(-1)
	sigContinue = syscall.Signal(-1)
)

func sendSignal(int, syscall.Signal) error { return errors.ErrUnsupported }

func newSession(cmd *exec.Cmd, _ *owner) { cmd.SysProcAttr = new(syscall.SysProcAttr) }
