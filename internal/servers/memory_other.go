//go:build !linux

package servers

// memoryDirectory is for Linux only: elsewhere nobody promises a file system in memory.
func memoryDirectory() string { return "" }
