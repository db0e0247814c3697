package servers

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// sentinelConfig is the file that a Sentinel insists on being able to write.
const sentinelConfig = "sentinel.conf"

var sentinelProgram = program{
	debian: redisProgram.debian,
	files:  redisProgram.files,
	places: redisProgram.places,
	stop:   syscall.SIGKILL,

	database: "0",
	url:      func(s *Server, _ string) string { return "redis://" + s.Addr },

	prepare: func(_ context.Context, s *Server) error {
		return os.WriteFile(filepath.Join(s.dir, sentinelConfig), nil, 0o600)
	},
	command: func(s *Server) (string, []string) {
		return s.programs["redis-server"], []string{
			filepath.Join(s.dir, sentinelConfig), "--sentinel",
			"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
		}
	},
	ping: func(ctx context.Context, s *Server) error { return pingRedis(ctx, s, false) },
}
