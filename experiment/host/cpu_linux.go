package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTicks are those of /proc a second: USER_HZ, which Linux has fixed for programs.
const clockTicks = 100

// listenerCPU is the CPU time in seconds of the process that listens on a local port, of its children, and of those that
// have ended; nil where that process cannot be seen.
func listenerCPU(port uint16) *float64 {
	inode := listening(port)
	if inode == "" {
		return nil
	}
	pid := owner("socket:[" + inode + "]")
	if pid == 0 {
		return nil
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	ticks, seen := 0.0, false
	for _, path := range stats {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// pid (name) state ppid ... utime stime cutime cstime: fields 14 to 17; the name may hold spaces and parentheses.
		fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
		if len(fields) < 15 || id != pid && fields[1] != strconv.Itoa(pid) {
			continue
		}
		seen = true
		mine := fields[11:13]
		if id == pid {
			mine = fields[11:15] // with those that have ended
		}
		for _, text := range mine {
			n, _ := strconv.ParseFloat(text, 64)
			ticks += n
		}
	}
	if !seen {
		return nil
	}
	seconds := ticks / clockTicks
	return &seconds
}

// listening is the inode of the socket that listens on a port.
func listening(port uint16) string {
	const listen = "0A" // TCP_LISTEN
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == listen {
				return fields[9]
			}
		}
	}
	return ""
}

// owner is the process that has a file open, the oldest of several: children inherit it. 0 for none that can be seen.
func owner(link string) int {
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	found := 0
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || target != link {
			continue
		}
		if pid, _ := strconv.Atoi(strings.Split(file, "/")[2]); found == 0 || pid < found {
			found = pid
		}
	}
	return found
}
