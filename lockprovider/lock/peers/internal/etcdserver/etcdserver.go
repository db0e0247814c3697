// Package etcdserver runs an etcd in this process, for tests and benchmarks.
package etcdserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startTimeout bounds the start, on a machine that is busy too.
const startTimeout = 2 * time.Minute

// Start starts a cluster of one server on a free port of 127.0.0.1, with its data in a temporary directory. stop ends it and removes
// the data.
func Start(ctx context.Context) (endpoint string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "etcd-")
	if err != nil {
		return "", nil, err
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.LogLevel = "fatal"
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{anyPort}, []url.URL{anyPort}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{anyPort}, []url.URL{anyPort}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() {
		server.Close()
		_ = os.RemoveAll(dir)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
		return "http://" + server.Clients[0].Addr().String(), stop, nil
	case err := <-server.Err():
		stop()
		return "", nil, err
	case <-ctx.Done():
		stop()
		return "", nil, fmt.Errorf("waited for etcd to be ready: %w", ctx.Err())
	}
}
