package host

import (
	"slices"
	"strconv"

	"github.com/prometheus/procfs"
)

// listenerCPU is the CPU time in seconds of the process that listens on a local port, of its children, and of those that
// have ended; nil if that process cannot be seen.
func listenerCPU(port uint16) *float64 {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	inode, ok := listening(proc, port)
	if !ok {
		return nil
	}
	processes, err := proc.AllProcs()
	if err != nil {
		return nil
	}
	pid := owner(processes, "socket:["+strconv.FormatUint(inode, 10)+"]")
	if pid == 0 {
		return nil
	}
	seconds, seen := 0.0, false
	for _, p := range processes {
		stat, err := p.Stat()
		if err != nil || p.PID != pid && stat.PPID != pid { // it may have ended meanwhile
			continue
		}
		seen = true
		if p.PID == pid { // with the children that have ended
			stat.UTime += uint(stat.CUTime)
			stat.STime += uint(stat.CSTime)
		}
		seconds += stat.CPUTime()
	}
	if !seen {
		return nil
	}
	return &seconds
}

// listening is the inode of the socket that listens on a port.
func listening(proc procfs.FS, port uint16) (inode uint64, ok bool) {
	const listen = 0x0A // TCP_LISTEN
	// Both are deprecated for a library over netlink. A kernel without IPv6 lacks one of them.
	tcp, _ := proc.NetTCP()   //nolint:staticcheck // A dependency for one look a run is too much.
	tcp6, _ := proc.NetTCP6() //nolint:staticcheck // the same
	for _, s := range slices.Concat(tcp, tcp6) {
		if s.LocalPort == uint64(port) && s.St == listen {
			return s.Inode, true
		}
	}
	return 0, false
}

// owner is the process that has a file open, the oldest of several: children inherit it. 0 for none that can be seen.
func owner(processes procfs.Procs, target string) int {
	found := 0
	for _, p := range processes {
		files, err := p.FileDescriptorTargets()
		if err == nil && slices.Contains(files, target) && (found == 0 || p.PID < found) {
			found = p.PID
		}
	}
	return found
}
