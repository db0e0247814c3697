//go:build unix

package host

import (
	"syscall"
	"time"
)

// ownCPU is what this process has used, in seconds: those who ask, and the embedded Redis.
func ownCPU() *float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil
	}
	seconds := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	return &seconds
}
