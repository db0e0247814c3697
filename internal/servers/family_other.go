//go:build !linux

package servers

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"syscall"
)

// dieWithParent has no counterpart here: shared servers end in Main or Stop, and outlive a test process that is killed.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// processes asks ps, which every Unix has.
func processes() (map[int]process, error) {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output() //nolint:noctx // ps does not wait for anything.
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	table := make(map[int]process)
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var (
			pid, parent int
			state       string
		)
		if _, err := fmt.Sscan(lines.Text(), &pid, &parent, &state); err != nil {
			return nil, fmt.Errorf("ps: cannot read %q: %w", lines.Text(), err)
		}
		table[pid] = process{parent: parent, state: state[0]}
	}
	return table, nil
}
