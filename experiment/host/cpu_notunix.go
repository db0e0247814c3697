//go:build !unix

package host

// ownCPU is not known here.
func ownCPU() *float64 { return nil }
