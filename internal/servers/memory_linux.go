package servers

import "syscall"

// Where Linux distributions mount a file system in memory, half as large as that by default; containers often have 64 MB.
const sharedMemory = "/dev/shm"

const (
	tmpfsMagic = 0x01021994 // statfs(2)
	writable   = 2          // W_OK of access(2)
)

// roomInMemory is how many bytes must be free there. The servers of one test process take up to 0.5 GB, and go test runs some at a time.
const roomInMemory = 3 << 30

// memoryDirectory is a directory in memory with room for the data of servers, or empty if there is none.
func memoryDirectory() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(sharedMemory, &fs); err != nil || fs.Type != tmpfsMagic {
		return ""
	}
	if syscall.Access(sharedMemory, writable) != nil || fs.Bavail*uint64(fs.Bsize) < roomInMemory {
		return ""
	}
	return sharedMemory
}
