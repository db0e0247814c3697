package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var redisProgram = program{
	debian: "redis-server",
	files:  []string{"redis-server"},
	places: []string{"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"},
	stop:   syscall.SIGKILL, // A polite end would write a last snapshot.

	database: "0",
	url:      func(s *Server, database string) string { return "redis://" + s.Addr + "/" + database },

	command: func(s *Server) (string, []string) {
		return s.programs["redis-server"], []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
			"--save", "", "--appendonly", "no",
			// With "no", as opposed to the default, Redis writes to the file before every reply and never waits for
			// an fsync: a killed process loses nothing, and that is what Kill is about.
			"--appendfsync", "no",
		}
	},

	ping: func(ctx context.Context, s *Server) error { return pingRedis(ctx, s, true) },
}

// pingRedis: the port has no password, so that "it answers" is not enough: it must be our process. Nor does it serve yet
// while it reads its append-only file, although it answers this command; a Sentinel has no data, and no such line.
func pingRedis(ctx context.Context, s *Server, data bool) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(pingTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("INFO\r\n")); err != nil {
		return err
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch key, value, _ := strings.Cut(lines.Text(), ":"); key {
		case "process_id": // in the first section
			if pid := strconv.Itoa(s.cmd.Process.Pid); value != pid {
				return fmt.Errorf("process %s answers at %s, not %s", value, s.Addr, pid)
			}
			if !data {
				return nil
			}
		case "loading": // in a later one
			if value != "0" {
				return errors.New("it is still loading its data")
			}
			return nil
		}
	}
	return fmt.Errorf("no answer to INFO at %s", s.Addr)
}
