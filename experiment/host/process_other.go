//go:build !unix

package host

import (
	"errors"
	"os"
	"os/exec"
)

func confine(*exec.Cmd) {}

// terminate has no polite way here; how the server ended says nothing then.
func terminate(p *os.Process) (polite bool, err error) { return false, p.Kill() }

func pause(*os.Process) error { return errors.ErrUnsupported }

func resume(*os.Process) error { return errors.ErrUnsupported }
