package servers

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// PostgreSQL serves each connection from a process of its own: to pause or to crash "the server" means all of them.
// Redis (while it saves) and MariaDB (never) are covered by the same rule.

// process is one row of the table of processes.
type process struct {
	parent int
	state  byte // as in ps: R, S, D, T (stopped), Z (zombie), ...
}

func (p process) dead() bool    { return p.state == 'Z' || p.state == 'X' }
func (p process) stopped() bool { return p.state == 'T' || p.state == 't' || p.dead() }

// freeze stops the server and its children and returns the children's process IDs. It is done when the parent has
// stopped, so that it cannot fork, and a look at the table finds no child that is not stopped.
func (s *Server) freeze() ([]int, error) {
	if err := s.cmd.Process.Signal(sigStop); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return nil, nil
		}
		return nil, err
	}
	var children []int
	err := poll(stopTimeout, func() (bool, error) {
		table, err := processes()
		if err != nil {
			return false, err
		}
		parent, ok := table[s.cmd.Process.Pid]
		if ok && !parent.stopped() {
			return false, nil
		}
		children = childrenOf(table, s.cmd.Process.Pid)
		done := true
		for _, pid := range children {
			if table[pid].stopped() {
				continue
			}
			done = false
			if err := sendSignal(pid, sigStop); err != nil {
				return false, err
			}
		}
		return done, nil
	})
	if err != nil {
		return nil, fmt.Errorf("stop process %d and its children: %w", s.cmd.Process.Pid, err)
	}
	return children, nil
}

// signalFamily signals the children, then the server.
func (s *Server) signalFamily(signal syscall.Signal) error {
	table, err := processes()
	if err != nil {
		return err
	}
	for _, pid := range childrenOf(table, s.cmd.Process.Pid) {
		if err := sendSignal(pid, signal); err != nil {
			return err
		}
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func childrenOf(table map[int]process, parent int) []int {
	var pids []int
	for pid, p := range table {
		if p.parent == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}
