package clients

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"
)

// Clock is the clock of a database, as this process knows it. All instances that share the database write and compare deadlines
// by it, so that none takes another's deadline for over because its own clock is ahead.
//
// The clock asks the database now and then, and goes on by the monotonic clock of the process in between. The answer of the
// database is true at some moment between question and answer: half of that time is the [Clock.Uncertainty].
type Clock struct {
	ask    func(ctx context.Context) (asked, answered time.Time, database time.Time, err error)
	sample atomic.Pointer[clockSample]
	local  func() time.Time
}

// clockSample is what the database said its time is.
type clockSample struct {
	database    time.Time
	local       time.Time // in the middle between question and answer, with its monotonic reading
	uncertainty time.Duration
}

func (s *clockSample) at(local time.Time) time.Time { return s.database.Add(local.Sub(s.local)) }

const (
	// clockEvery is how often the database is asked. Chosen: quartz clocks drift by some 50 µs a second at most, and a database
	// that is replaced by its standby, with a clock of its own, is noticed before anybody's deadline of 15 s is over.
	clockEvery = 5 * time.Second
	// clockStep is what may be wrong with the clock before it is set. A smaller difference tells more about the question than
	// about the clock, and would now and then set it back.
	clockStep = time.Millisecond
)

// OpenClock asks a database for its time and returns its clock. local is the clock of this process; nil means time.Now.
// [Clock.Run] keeps it right. A database of SQLite has the clock of the machine.
func OpenClock(ctx context.Context, d *Database, local func() time.Time) (*Clock, error) {
	if local == nil {
		local = time.Now
	}
	c := &Clock{local: local}
	c.ask = func(ctx context.Context) (asked, answered, database time.Time, err error) {
		if d.Dialect == dialect.SQLite {
			asked, database, answered = local(), time.Now(), local()
			return asked, answered, database, nil
		}
		conn, err := d.writer.Conn(ctx) // not to measure the wait for one
		if err != nil {
			return asked, answered, database, err
		}
		defer conn.Close()
		asked = local()
		database, err = databaseTime(ctx, conn, d.Dialect)
		return asked, local(), database, err
	}
	err := c.refresh(ctx)
	return c, err
}

// databaseTime is the time of a server, as whole microseconds of Unix time: no time zone of a session can be in the way.
func databaseTime(ctx context.Context, conn *sql.Conn, name string) (time.Time, error) {
	query := "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
	if name == dialect.MySQL {
		query = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
	}
	var micros int64
	if err := conn.QueryRowContext(ctx, query).Scan(&micros); err != nil {
		return time.Time{}, err
	}
	return time.UnixMicro(micros), nil
}

// Now returns the time of the database, in UTC. It asks nobody and does not wait.
func (c *Clock) Now() time.Time { return c.sample.Load().at(c.local()).UTC() }

// Uncertainty is by how much Now may have been wrong when the database was asked last.
func (c *Clock) Uncertainty() time.Duration { return c.sample.Load().uncertainty }

// Offset is by how much the database's clock is ahead of that of this process.
func (c *Clock) Offset() time.Duration {
	local := c.local()
	return c.sample.Load().at(local).Sub(local.Round(0)) // without the monotonic reading
}

// Run asks the database now and then, until ctx ends. While the database does not answer, the clock goes on.
func (c *Clock) Run(ctx context.Context) {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = c.refresh(ctx) // what needs the database will say that it is away
		}
	}
}

// refresh asks the database once, and sets the clock if the answer shows that it is wrong.
func (c *Clock) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockEvery)
	defer cancel()
	asked, answered, database, err := c.ask(ctx)
	if err != nil {
		return fmt.Errorf("read the database's clock: %w", err)
	}
	half := answered.Sub(asked) / 2
	next := &clockSample{database: database, local: asked.Add(half), uncertainty: max(half, clockStep)}
	if now := c.sample.Load(); now != nil {
		if wrong := now.at(next.local).Sub(database).Abs(); wrong <= next.uncertainty {
			return nil
		}
	}
	c.sample.Store(next)
	return nil
}
