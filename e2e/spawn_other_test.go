//go:build !linux

package e2e

import "os/exec"

// dieWithTests does nothing: only Linux can bind the life of a process to that of another. After a
// test process that was killed, servers may be left running.
func dieWithTests(*exec.Cmd) {}
