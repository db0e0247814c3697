//go:build !linux

package host

// listenerCPU is not known without /proc.
func listenerCPU(uint16) *float64 { return nil }
