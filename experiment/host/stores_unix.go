//go:build unix

package host

import (
	"context"

	"holdfast/internal/servers"
)

// startServer starts a postgres, mariadb or redis from PATH, with its data in a temporary directory. Where this process is
// killed, so is the server, on Linux, and its data are removed.
func startServer(ctx context.Context, kind string) (server, error) {
	started, err := servers.Start(ctx, servers.Kind(kind))
	if err != nil {
		return server{}, err
	}
	return server{started.URL, started.Stop}, nil
}
