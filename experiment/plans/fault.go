package plans

import "holdfast/experiment/host"

// Fault is what happens to a server or a store during a run.
type Fault string

// The faults.
const (
	Kill            Fault = "kill"             // an instance is killed, and started again
	Pause           Fault = "pause"            // an instance stands still, as one that swaps
	RedisRestart    Fault = "redis-restart"    // Redis is killed, and started again with all that it had
	RedisPause      Fault = "redis-pause"      // Redis stands still
	DatabaseRestart Fault = "database-restart" // the database is killed, and recovers
	DatabasePause   Fault = "database-pause"   // the database stands still
)

// Faults are all there are, in the order of the documentation.
func Faults() []Fault {
	return []Fault{Kill, Pause, RedisRestart, RedisPause, DatabaseRestart, DatabasePause}
}

// Store returns which store the fault strikes, or "" for an instance.
func (f Fault) Store() string {
	switch f {
	case RedisRestart, RedisPause:
		return host.RealRedis
	case DatabaseRestart, DatabasePause:
		return host.Database
	default:
		return ""
	}
}

// Stops tells a fault in which something stands still from one in which it dies.
func (f Fault) Stops() bool { return f == Pause || f == RedisPause || f == DatabasePause }
