package clients

import (
	"testing"
	"time"

	"holdfast/internal/testenv"
)

// A process whose clock is wrong, by either sign, tells the database's time: here it is that of the machine.
func TestClock(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "sqlite://:memory:" },
		"postgres": testenv.Postgres,
		"mariadb":  testenv.MariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			db, err := OpenDatabase(t.Context(), url(t), DatabaseOptions{})
			must(t, err)
			t.Cleanup(func() { must(t, db.Close()) })
			for _, skew := range []time.Duration{0, 16 * time.Minute, -16 * time.Minute} {
				ahead := skew
				clock, err := OpenClock(t.Context(), db, func() time.Time { return time.Now().Add(ahead) })
				must(t, err)
				right := func(when string) {
					t.Helper()
					before := time.Now().Round(0)
					now := clock.Now()
					after := time.Now().Round(0)
					// The database truncates to a microsecond; the machine's clock is slewed a little, while the monotonic one is not.
					tolerance := clock.Uncertainty() + time.Millisecond
					if now.Before(before.Add(-tolerance)) || now.After(after.Add(tolerance)) {
						t.Errorf("%s, with a clock that is %s ahead, it is %s: not between %s and %s, ±%s", when, ahead, now, before, after, tolerance)
					}
					if offset := clock.Offset() + ahead; offset.Abs() > tolerance+time.Since(before) {
						t.Errorf("%s, the database is said to be ahead by %s, want %s", when, clock.Offset(), -ahead)
					}
				}
				right("at first")
				if zone := clock.Now().Location(); zone != time.UTC {
					t.Errorf("the clock tells the time of %s", zone)
				}
				first := clock.sample.Load()
				must(t, clock.refresh(t.Context()))
				if wrong := clock.sample.Load().database.Sub(first.at(clock.sample.Load().local)); clock.sample.Load() != first && wrong.Abs() <= clockStep {
					t.Errorf("the clock was set by %s, although it was right", wrong)
				}
				right("when it has asked again")
				ahead += time.Hour // as if the process, and not the database, had slept
				must(t, clock.refresh(t.Context()))
				right("when it has asked after a jump")
			}
		})
	}
}

// A clock that was right goes on when the database does not answer.
func TestClockWithoutDatabase(t *testing.T) {
	db, err := OpenDatabase(t.Context(), testenv.Postgres(t), DatabaseOptions{})
	must(t, err)
	clock, err := OpenClock(t.Context(), db, nil)
	must(t, err)
	must(t, db.Close())
	before := clock.Now()
	if err := clock.refresh(t.Context()); err == nil {
		t.Error("a database that is closed tells the time")
	}
	if now := clock.Now(); !now.After(before) {
		t.Errorf("the clock stands still at %s", now)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
