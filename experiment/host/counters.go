package host

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/clients"
)

// Counters are what servers and stores have counted since they started. A figure that is not known is nil.
type Counters struct {
	Metrics map[string]float64 // of all instances, by name, added up over labels
	// RedisCommands also counts the commands inside scripts if Redis is real.
	RedisCommands                            *float64
	ServerCPU, RedisCPU, DatabaseCPU, OwnCPU *float64 // seconds
	Transactions                             *float64
}

// Sources name where counters are read.
type Sources struct {
	HTTP   *http.Client
	URLs   []string       // of what the servers have at admin.listen, http://host:port; none if it is not known
	Redis  *clients.Redis // nil if it is not known
	Stores *RunStores     // nil if they are not known
}

// ReadCounters reads all counters. It leaves out what it cannot read: the run then lacks a figure, and goes on.
func ReadCounters(ctx context.Context, s Sources) Counters {
	p := Counters{Metrics: map[string]float64{}}
	for _, server := range s.URLs {
		if err := scrape(ctx, s.HTTP, server+"/metrics", p.Metrics); err != nil {
			p.Metrics = map[string]float64{}
			break
		}
	}
	if cpu, ok := p.Metrics["process_cpu_seconds_total"]; ok {
		p.ServerCPU = &cpu
	}
	if s.Redis != nil {
		p.redis(ctx, s.Redis)
	}
	p.OwnCPU = ownCPU()
	if s.Stores != nil {
		p.DatabaseCPU = localCPU(s.Stores.DatabaseURL)
		p.Transactions, _ = s.Stores.Transactions(ctx)
	}
	return p
}

func (p *Counters) redis(ctx context.Context, r *clients.Redis) {
	stats, err := r.Client.Info(ctx, "stats").Result()
	if err != nil {
		return
	}
	p.RedisCommands = field(stats, "total_commands_processed")
	cpu, err := r.Client.Info(ctx, "cpu").Result()
	if err != nil {
		return // the embedded one does not count it: it is part of this process
	}
	user, system := field(cpu, "used_cpu_user"), field(cpu, "used_cpu_sys")
	if user != nil && system != nil {
		sum := *user + *system
		p.RedisCPU = &sum
	}
}

// field reads a number of INFO's answer.
func field(info, name string) *float64 {
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key != name {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			return &n
		}
	}
	return nil
}

// scrapeTimeout bounds one look at the metrics.
const scrapeTimeout = 5 * time.Second

// scrape adds the metrics of a server, those of one name together.
func scrape(ctx context.Context, client *http.Client, address string, into map[string]float64) error {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, resp.Status)
	}
	return parseMetrics(resp.Body, into)
}

// parseMetrics reads the text format of Prometheus.
func parseMetrics(text io.Reader, into map[string]float64) error {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name := line[:strings.IndexAny(line+" ", "{ ")]
		value := line[strings.LastIndexByte(line, ' ')+1:]
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("metric %q: %w", line, err)
		}
		into[name] += n
	}
	return lines.Err()
}

// Difference returns by how much a counter has grown, or nil if one of the two values is not known.
func Difference(after, before *float64) *float64 {
	if after == nil || before == nil {
		return nil
	}
	d := max(*after-*before, 0)
	return &d
}

// Metric returns a metric of the servers by its name, added up over labels and instances, or nil if no server reports it.
func (p Counters) Metric(name string) *float64 {
	if v, ok := p.Metrics[name]; ok {
		return &v
	}
	return nil
}

// localCPU is what the server of a URL has used, its child processes included, where it runs on this machine and the
// processes can be looked at.
func localCPU(address string) *float64 {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
		return nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return nil
	}
	return listenerCPU(uint16(port))
}
