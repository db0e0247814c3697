//go:build !unix

package host

import (
	"context"
	"errors"
)

// startServer starts servers on Unix only.
func startServer(context.Context, string) (server, error) {
	return server{}, errors.New("no server can be started here")
}
