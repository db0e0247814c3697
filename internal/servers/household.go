package servers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// household is what this process keeps for its servers: one temporary directory, the janitor that removes it, and the
// thread that starts children. It comes into being with the first server.
type household struct {
	mu       sync.Mutex
	root     string
	inMemory bool // root is to be in memory if that has room
	servers  map[*Server]struct{}
	janitor  *exec.Cmd
	lifeline io.Closer // the janitor's standard input; the kernel closes it if we cannot
	starts   chan start
}

type start struct {
	cmd  *exec.Cmd
	done chan error
}

var theHousehold household

// janitorScript waits for the end of its input, that is, of the process that started it, and removes the directory. The
// servers get their signal at the same moment and may still write a file while rm is at work, hence the repetition.
const janitorScript = `read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" 2>/dev/null && exit; sleep 0.5; done`

// KeepInMemory puts the data of the servers that this process starts into a file system in memory, if there is one with room for
// them and TMPDIR names no other place. A commit costs the same number of calls there and no disk, so this is for tests; what is measured stays
// on the disk. It is called before the first server starts.
func KeepInMemory() {
	h := &theHousehold
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inMemory = true
}

// enter registers a server and returns the directory below which it creates its own.
func (h *household) enter(s *Server) (root string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.root == "" {
		if err := h.open(); err != nil {
			return "", err
		}
	}
	h.servers[s] = struct{}{}
	return h.root, nil
}

func (h *household) leave(s *Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.servers, s)
}

func (h *household) open() error {
	parent := ""
	if h.inMemory && os.Getenv("TMPDIR") == "" {
		parent = memoryDirectory()
	}
	root, err := os.MkdirTemp(parent, "holdfast-servers-")
	if err != nil {
		return err
	}
	// Servers that refuse to run as root run as somebody else, who must be able to reach what is below.
	if err := os.Chmod(root, 0o711); err != nil { //nolint:gosec // G302: passing through is all that this permits.
		return errors.Join(err, os.RemoveAll(root))
	}
	janitor := exec.Command("/bin/sh", "-c", janitorScript, "sh", root) //nolint:noctx // It must outlive this process.
	janitor.Dir = "/"
	newSession(janitor, nil)
	lifeline, err := janitor.StdinPipe()
	if err == nil {
		err = janitor.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start the janitor: %w", err), os.RemoveAll(root))
	}
	h.root, h.janitor, h.lifeline = root, janitor, lifeline
	h.servers = make(map[*Server]struct{})
	starts := make(chan start)
	h.starts = starts
	go background(func() { spawner(starts) })
	return nil
}

// spawner starts children from a thread that lives as long as the process. Pdeathsig fires when the parent *thread*
// ends, and Go ends threads as it pleases: a server started from an ordinary goroutine may be shot in mid-test.
func spawner(starts <-chan start) {
	runtime.LockOSThread()
	for s := range starts {
		s.done <- s.cmd.Start()
	}
	// The thread ends here: it is not unlocked, so that the runtime does not reuse it. No child is left by now.
}

func (h *household) spawn(cmd *exec.Cmd) error {
	h.mu.Lock()
	starts := h.starts
	h.mu.Unlock()
	done := make(chan error, 1)
	starts <- start{cmd: cmd, done: done}
	return <-done
}

// Stop stops every server that this process has started and removes the temporary directory. It is called when
// nobody uses them; servers may be started again afterwards.
func Stop() error {
	h := &theHousehold
	h.mu.Lock()
	servers := make([]*Server, 0, len(h.servers))
	for s := range h.servers {
		servers = append(servers, s)
	}
	h.mu.Unlock()

	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Stop())
	}
	return errors.Join(append(errs, h.close())...)
}

func (h *household) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.root == "" {
		return nil
	}
	close(h.starts)
	err := errors.Join(h.lifeline.Close(), h.janitor.Wait(), os.RemoveAll(h.root))
	h.root, h.janitor, h.lifeline, h.starts, h.servers = "", nil, nil, nil, nil
	return err
}

// background is at the bottom of every goroutine of this package, so that a search for leaked ones can overlook them, see
// [Background].
func background(run func()) { run() }

// Background is the function at the bottom of the goroutines that attend to running servers.
const Background = "holdfast/internal/servers.background"
