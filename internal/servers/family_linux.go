package servers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// dieWithParent makes the kernel send the signal when the thread that started the child ends; the household's spawner
// sees to it that this is when the process ends.
func dieWithParent(attr *syscall.SysProcAttr, signal syscall.Signal) { attr.Pdeathsig = signal }

// processes reads the table from /proc: a slim container has no ps.
func processes() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	table := make(map[int]process, len(paths))
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended since the directory was read.
		}
		// pid (name) state parent ...; the name may hold spaces and parentheses.
		end := bytes.LastIndexByte(line, ')')
		fields := bytes.Fields(line[end+1:])
		if end < 0 || len(fields) < 2 {
			return nil, fmt.Errorf("%s: cannot read %q", path, line)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		parent, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		table[pid] = process{parent: parent, state: fields[0][0]}
	}
	return table, nil
}
