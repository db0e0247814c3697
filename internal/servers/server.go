package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Bounds of every wait.
const (
	prepareTimeout = 3 * time.Minute  // initdb, mariadb-install-db: a second or two, much more on a loaded machine
	startTimeout   = 2 * time.Minute  // from exec to the first answer, crash recovery included
	stopTimeout    = 30 * time.Second // from the signal until the process is gone
	pingTimeout    = 5 * time.Second  // one attempt at an answer: a stranger at our port may accept and say nothing
	pollInterval   = 5 * time.Millisecond
	startAttempts  = 5 // ports tried
)

// Server is one running server. Its methods may be called from several goroutines.
type Server struct {
	Kind Kind
	URL  string // as the product's configuration takes it: redis://, postgres:// or mysql://
	Addr string // 127.0.0.1:port, the same for the life of the Server

	program  *program
	programs map[string]string // name → path
	args     []string          // of the caller
	settings []string          // of the caller, for the program's configuration file
	upstream *Server           // the server that a pooler stands before, or that a standby follows; else nil
	dir      string            // all that the server writes is below
	port     int
	password string
	owner    *owner // nil: the user of this process

	mu      sync.Mutex // guards what follows, and makes the methods take turns
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has been reaped; nil before the first launch
	stopped bool
}

// program is how one kind of server is found, set up, run and spoken to.
type program struct {
	debian string   // the package to install
	files  []string // programs needed
	places []string // globs of directories to look in after PATH
	users  []string // whom to run as instead of root; the first that exists. Empty: root will do

	// stop ends the server at once and for good: nobody needs its data any more. It is sent on Stop, and by the kernel
	// when this process dies.
	stop syscall.Signal

	prepare func(ctx context.Context, s *Server) error // creates the data directory; optional
	// configure writes the files that name the port; optional
	configure func(s *Server) error
	command   func(s *Server) (path string, args []string)
	ping      func(ctx context.Context, s *Server) error
	url       func(s *Server, database string) string

	database       string // the one that Server.URL names
	createDatabase func(ctx context.Context, s *Server, name string) error
	dropDatabase   func(ctx context.Context, s *Server, name string) error
}

var programs = map[Kind]*program{
	KindRedis:     &redisProgram,
	KindPostgres:  &postgresProgram,
	KindMariaDB:   &mariadbProgram,
	KindSentinel:  &sentinelProgram,
	KindPgBouncer: &pgbouncerProgram,
}

// Start starts a server and waits until it answers, for two minutes at most after its data directory has been set up.
// ctx bounds the start, not the life of the server: the caller calls Stop. The arguments are handed to the server
// program. The error wraps [ErrNotInstalled] where the program is missing, and otherwise carries the end of the
// server's log.
func Start(ctx context.Context, kind Kind, args ...string) (*Server, error) {
	return startServer(ctx, kind, &Server{args: args, password: rand.Text()})
}

// startServer starts a server of which the caller has filled in what is its own.
func startServer(ctx context.Context, kind Kind, s *Server) (*Server, error) {
	p, ok := programs[kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind of server %q", kind)
	}
	paths, err := p.find()
	if err != nil {
		return nil, err
	}
	s.Kind, s.program, s.programs = kind, p, paths
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", kind, err, s.LogTail()), s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	root, err := theHousehold.enter(s)
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(root, string(s.Kind)+"-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 && len(s.program.users) > 0 {
		if s.owner, err = ownerOf(s.program.users); err != nil {
			return err
		}
		if err := os.Chown(s.dir, int(s.owner.uid), int(s.owner.gid)); err != nil {
			return err
		}
	}
	if s.program.prepare != nil {
		ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
		defer cancel()
		if err := s.program.prepare(ctx, s); err != nil {
			return fmt.Errorf("set up its data directory: %w", err)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(); err != nil {
			return err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		s.URL = s.program.url(s, s.program.database)
		// A server that exits at once has most likely lost its port to somebody who asked at the same time.
		err = s.launch(ctx)
		if !errors.Is(err, errExited) || attempt == startAttempts {
			return err
		}
	}
}

var errExited = errors.New("the server exited")

// launch runs the program and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	logFile, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close() //nolint:errcheck // The child has its own descriptor; nothing is written to this one.
	if s.program.configure != nil {
		if err := s.program.configure(s); err != nil {
			return err
		}
	}
	path, args := s.program.command(s)
	cmd := exec.Command(path, append(args, s.args...)...) //nolint:noctx // The server outlives the call: Stop ends it.
	cmd.Stdout, cmd.Stderr = logFile, logFile
	s.confine(cmd)
	if err := theHousehold.spawn(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go background(func() {
		_ = cmd.Wait() // How it ended is in its log; that it ended is what the channel says.
		close(exited)
	})

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := s.pingOnce(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%w: %s", errExited, cmd.ProcessState)
		case <-ctx.Done():
			// It may still come up, and Restart must not find it: a failed launch leaves nothing running.
			return errors.Join(fmt.Errorf("no answer: %w (last: %w)", ctx.Err(), err), s.kill())
		case <-tick.C:
		}
	}
}

func (s *Server) pingOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.program.ping(ctx, s)
}

// confine gives cmd the server's user and directory, its own session, and, on Linux, an end when this process ends.
func (s *Server) confine(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	newSession(cmd, s.owner)
	dieWithParent(cmd.SysProcAttr, s.program.stop)
}

// Stop ends the server and removes its data. It may be called twice; after it the other methods return errors.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	defer theHousehold.leave(s)
	err := s.end()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", s.Kind, err)
	}
	return nil
}

func (s *Server) end() error {
	if !s.running() {
		return nil
	}
	if err := s.signalFamily(sigContinue); err != nil { // A paused server would not act on the signal.
		return err
	}
	if err := s.cmd.Process.Signal(s.program.stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if s.awaitExit() {
		return nil
	}
	return s.kill()
}

// Kill ends the server as a crash would: SIGKILL, to it and to its child processes. The data directory stays for
// Restart. Killing a server that is not running is no error.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.errStopped("kill")
	}
	if err := s.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", s.Kind, err)
	}
	return nil
}

// kill freezes the family first and kills the children before the parent: as long as a stopped parent cannot reap them,
// their process IDs cannot pass to somebody else.
func (s *Server) kill() error {
	if !s.running() {
		return nil
	}
	children, err := s.freeze()
	if err != nil {
		return err
	}
	for _, pid := range children {
		if err := sendSignal(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if !s.awaitExit() {
		return fmt.Errorf("process %d is still there %v after SIGKILL", s.cmd.Process.Pid, stopTimeout)
	}
	// PostgreSQL refuses to start while a backend of the one before still holds the shared memory.
	return poll(stopTimeout, func() (bool, error) {
		table, err := processes()
		if err != nil {
			return false, err
		}
		for _, pid := range children {
			if p, ok := table[pid]; ok && !p.dead() {
				return false, nil
			}
		}
		return true, nil
	})
}

// Restart starts the server again on the same port and data directory, and waits until it answers, for 30 seconds at
// most. A running server is killed first.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.errStopped("restart")
	}
	if err := s.kill(); err != nil {
		return fmt.Errorf("restart %s: %w", s.Kind, err)
	}
	if err := s.launch(context.Background()); err != nil {
		return fmt.Errorf("restart %s: %w\n%s", s.Kind, err, s.LogTail())
	}
	return nil
}

// Pause stops the server and its child processes in mid-air (SIGSTOP): connections stay open and nobody answers, as
// with a machine that swaps or a network that swallows packets.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.errStopped("pause")
	}
	if !s.running() {
		return fmt.Errorf("pause %s: it is not running", s.Kind)
	}
	if _, err := s.freeze(); err != nil {
		return fmt.Errorf("pause %s: %w", s.Kind, err)
	}
	return nil
}

// Resume lets a paused server go on. Resuming one that is not paused is no error.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.errStopped("resume")
	}
	if !s.running() {
		return fmt.Errorf("resume %s: it is not running", s.Kind)
	}
	if err := s.signalFamily(sigContinue); err != nil {
		return fmt.Errorf("resume %s: %w", s.Kind, err)
	}
	return nil
}

func (s *Server) errStopped(what string) error {
	return fmt.Errorf("%s %s: it has been stopped for good", what, s.Kind)
}

// running says whether there is a process that has not been reaped.
func (s *Server) running() bool {
	if s.exited == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

func (s *Server) awaitExit() bool {
	select {
	case <-s.exited:
		return true
	case <-time.After(stopTimeout):
		return false
	}
}

// logTailSize is what an error shows of the server's log, in bytes.
const logTailSize = 4096

func (s *Server) logPath() string { return filepath.Join(s.dir, "server.log") }

// LogTail returns the end of the server's log, 4 KiB at most, for messages.
func (s *Server) LogTail() string {
	if s.dir == "" {
		return fmt.Sprintf("(no log of %s: it was never run)", s.Kind)
	}
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		return fmt.Sprintf("(no log of %s: %v)", s.Kind, err)
	}
	if len(text) > logTailSize {
		text = text[len(text)-logTailSize:]
	}
	return fmt.Sprintf("--- end of the log of %s:\n%s", s.Kind, bytes.TrimSpace(text))
}

// runTool runs a program that sets up the data directory, as the server's user. Its output is in the error, and only
// there.
func (s *Server) runTool(ctx context.Context, path string, args ...string) error {
	output, err := os.Create(filepath.Join(s.dir, "setup.log"))
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // The child has its own descriptor; nothing is written to this one.
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = output, output
	s.confine(cmd)
	if err := theHousehold.spawn(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // "signal: killed" would hide that the time was up.
		}
		text, _ := os.ReadFile(output.Name()) // Only for the message.
		return fmt.Errorf("%s: %w\n%s", path, err, bytes.TrimSpace(text))
	}
	return nil
}

// freePort finds a port of 127.0.0.1 that nobody listens on. It keeps below 32768, where Linux begins to hand out ports
// to outgoing connections: otherwise a client could take the port of a server while that is down between Kill and
// Restart.
func freePort() (int, error) {
	const lowest, highest, attempts = 20000, 32000, 100
	var err error
	for range attempts {
		port := lowest + mathrand.IntN(highest-lowest)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil { //nolint:noctx // A local bind does not wait.
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d: %w", lowest, highest, err)
}

// poll calls done until it is true or fails, for at most the timeout.
func poll(timeout time.Duration, done func() (bool, error)) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("not done after %v", timeout)
		case <-tick.C:
		}
	}
}

// quiet is for client libraries that would log every attempt to reach a server that is still starting.
var quiet = log.New(io.Discard, "", 0)
