package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"holdfast/config/setting"
)

// EmbeddedRedis in the place of a URL asks for a Redis inside this process.
const EmbeddedRedis = "embedded"

// RedisOptions name a Redis and bound its connection pool.
type RedisOptions struct {
	// URL is one of
	//
	//	embedded                                      inside this process, for one instance only
	//	redis://user:password@host:port/db            one server; rediss:// with TLS
	//	redis+sentinel://host:port/db?master=name&addr=host2:port2
	//	                                              user and password are those of the Sentinels; those of the servers
	//	                                              are the parameters username and password
	//	redis+cluster://user:password@host:port?addr=host2:port2
	//	redis://host1:port,redis://host2:port,...     independent nodes, for redsync's quorum
	//
	// rediss+sentinel and rediss+cluster add TLS. Further parameters are those of go-redis, such as read_timeout=1s. The variable
	// REDIS_URL sets it as well.
	URL setting.URL `key:"url" default:"embedded"`
	// PoolSize is the number of connections to one server. The parameter pool_size of the URL wins.
	PoolSize int `key:"poolSize" default:"64" min:"1" max:"10000"`
}

// Redis is an open connection to Redis.
type Redis struct {
	// Client is the client of the one logical Redis; of independent nodes, that of the first.
	Client redis.UniversalClient
	// Nodes are the clients of independent nodes; Client alone where there is one Redis.
	Nodes []redis.UniversalClient
	// Embedded tells that this Redis lives inside this process.
	Embedded bool

	closeServer func()
}

// OpenRedis connects and returns an error, with the password redacted, where a Redis does not answer.
//
// The clients never repeat a command on their own: where a reply is lost, the command may have been executed, and a
// script would run twice. Callers see the error and decide.
func OpenRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	setting.Fill(&o)
	r := &Redis{closeServer: func() {}}
	urls := strings.Split(string(o.URL), ",")
	if o.URL == EmbeddedRedis {
		address, stop, err := startEmbedded()
		if err != nil {
			return nil, fmt.Errorf("start the embedded Redis: %w", err)
		}
		r.Embedded, r.closeServer, urls = true, stop, []string{"redis://" + address}
	}
	for _, address := range urls {
		client, err := openRedis(ctx, strings.TrimSpace(address), o.PoolSize, len(urls) > 1)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open Redis %s: %w", RedactURL(address), err), r.Close())
		}
		r.Nodes = append(r.Nodes, client)
	}
	r.Client = r.Nodes[0]
	return r, nil
}

// Ping tells whether Redis answers; of independent nodes, whether most do.
func (r *Redis) Ping(ctx context.Context) error {
	answers := make(chan error, len(r.Nodes))
	for _, node := range r.Nodes {
		go func() { answers <- node.Ping(ctx).Err() }()
	}
	var failures []error
	for range r.Nodes {
		if err := <-answers; err != nil {
			failures = append(failures, err)
		}
	}
	if healthy := len(r.Nodes) - len(failures); healthy > len(r.Nodes)/2 {
		return nil
	}
	return errors.Join(failures...)
}

// Close closes all connections, and the Redis itself where it is embedded.
func (r *Redis) Close() error {
	var errs []error
	for _, node := range r.Nodes {
		errs = append(errs, node.Close())
	}
	r.closeServer()
	return errors.Join(errs...)
}

func openRedis(ctx context.Context, address string, poolSize int, oneOfMany bool) (redis.UniversalClient, error) {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		return nil, fmt.Errorf("not a URL, such as redis://localhost:6379, nor %q", EmbeddedRedis)
	}
	transport, topology, _ := strings.Cut(scheme, "+")
	if transport != "redis" && transport != "rediss" || topology == "" && strings.Contains(scheme, "+") {
		return nil, fmt.Errorf("unknown scheme %q: want redis, rediss, redis+sentinel or redis+cluster", scheme)
	}
	if topology != "" && oneOfMany {
		return nil, errors.New("independent nodes are single servers: redis:// or rediss://")
	}
	var (
		client redis.UniversalClient
		err    error
	)
	switch topology {
	case "":
		client, err = singleClient(address, poolSize)
	case "sentinel":
		client, err = sentinelClient(transport+"://"+rest, poolSize)
	case "cluster":
		client, err = clusterClient(transport+"://"+rest, poolSize)
	default:
		return nil, fmt.Errorf("unknown scheme %q: want redis, rediss, redis+sentinel or redis+cluster", scheme)
	}
	if err != nil {
		return nil, setting.WithoutURL(err)
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

const (
	// noRetries is what go-redis calls "retry a failed command 0 times"; its 0 means 3.
	noRetries = -1
	// dialOnce is one attempt to connect a command, unless the URL has dialer_retries. Its default of 5, at intervals of
	// 100 ms, makes each command to a Redis that is down take half a second before it says so.
	dialOnce = 1
)

func singleClient(address string, poolSize int) (redis.UniversalClient, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = noRetries
	options.DialerRetries = cmp.Or(options.DialerRetries, dialOnce)
	options.ContextTimeoutEnabled = true // a command ends with its context's deadline, not only at the read timeout
	options.PoolSize = cmp.Or(options.PoolSize, poolSize)
	return redis.NewClient(options), nil
}

func sentinelClient(address string, poolSize int) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	if query.Get("master") == "" {
		return nil, errors.New("no master named, as in redis+sentinel://host:26379/0?master=name")
	}
	query.Set("master_name", query.Get("master"))
	query.Del("master")
	u.RawQuery = query.Encode()
	options, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, err
	}
	options.MaxRetries = noRetries
	options.DialerRetries = cmp.Or(options.DialerRetries, dialOnce)
	options.ContextTimeoutEnabled = true
	options.PoolSize = cmp.Or(options.PoolSize, poolSize)
	return redis.NewFailoverClient(options), nil
}

func clusterClient(address string, poolSize int) (redis.UniversalClient, error) {
	options, err := redis.ParseClusterURL(address)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = noRetries
	options.DialerRetries = cmp.Or(options.DialerRetries, dialOnce)
	options.ContextTimeoutEnabled = true
	options.PoolSize = cmp.Or(options.PoolSize, poolSize)
	client := redis.NewClusterClient(options)
	client.OnNewNode(func(node *redis.Client) { node.AddHook(replyLostHook{}) })
	return client, nil
}
