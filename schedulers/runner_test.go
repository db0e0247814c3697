package schedulers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/schedulerjob"
	"holdfast/ent/schema"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// attempts collects what runners attempt.
type attempts struct {
	mu   sync.Mutex
	list []string // "runner job outcome"
}

func (a *attempts) of(name string) func(Job, string) {
	return func(job Job, outcome string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.list = append(a.list, name+" "+string(job)+" "+outcome)
	}
}

// next waits for n attempts and returns them, sorted.
func (a *attempts) next(t *testing.T, n int) []string {
	t.Helper()
	until(t, "the jobs", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.list) >= n
	})
	return a.take()
}

// take returns the attempts since the last call, sorted.
func (a *attempts) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	a.list = nil
	slices.Sort(list)
	return list
}

// Of two runners on one database, one runs a job in each period; where it is gone, the other does.
func TestAJobRunsOnOneInstance(t *testing.T) {
	inBubbles(t, func(t *testing.T, s stores) {
		var tried attempts
		runner := func(name string) *Runner {
			p := s.process(t, name, lockprovider.AtomicSQL)
			set := settings()
			set.SweepEvery = set.IndexEvery // only one job runs again in this test
			d := p.deps(set)
			d.Now = time.Now
			r := p.runner(t, d)
			r.onAttempt = tried.of(name)
			return r
		}
		first, second := runner("one"), runner("two")

		first.Start()
		synctest.Wait()
		jobs := tried.take()
		if got := strings.Join(jobs, ", "); got != "one expire ok, one index ok, one limitDrift ok, one paymentDrift ok, one prime ok, one reconcile ok, one retention ok, one sweep ok" {
			t.Errorf("at the start of one: %s", got)
		}
		second.Start()
		synctest.Wait()
		if got := tried.take(); len(got) != len(jobs) || slices.ContainsFunc(got, func(s string) bool {
			return !strings.HasPrefix(s, "two") || !strings.HasSuffix(s, "elsewhere")
		}) {
			t.Errorf("at the start of two: %v", got)
		}
		tick := func() string {
			time.Sleep(settings().ExpireEvery)
			synctest.Wait()
			return strings.Join(tried.take(), ", ")
		}
		for range 3 {
			got := tick()
			if got != "one expire elsewhere, two expire ok" && got != "one expire ok, two expire elsewhere" {
				t.Errorf("in the next period: %s", got)
			}
		}
		stop(t, first)
		if got := tick(); got != "two expire ok" {
			t.Errorf("when one is gone: %s", got)
		}
		held, err := s.db.Ent.SchedulerJob.Query().Where(schedulerjob.HeldUntilNotNil()).Exist(t.Context())
		must(t, err)
		if held {
			t.Error("a job is held though no run is under way")
		}
	})
}

// A loop skips the periods that pass during a run, and runs the job once when it is over. Stop cuts a run off and waits for it.
func TestLoop(t *testing.T) {
	inBubbles(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.AtomicSQL)
		d := p.deps(settings())
		d.Now, d.Settings.ExpireEvery = time.Now, 10*time.Second
		r := p.runner(t, d)
		var tried attempts
		r.onAttempt = tried.of("one")
		job := longJob{began: time.Now(), lasts: 35 * time.Second}
		r.names = []Job{Expire}
		r.jobs[Expire] = &job
		r.Start()
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		if got, want := job.runs(), []time.Duration{0, 35 * time.Second, 50 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("runs began after %v, want %v", got, want)
		}
		if got := strings.Join(tried.take(), ", "); got != "one expire elsewhere, one expire ok, one expire ok, one expire ok" {
			t.Errorf("attempts: %s", got)
		}
		job.last(time.Hour)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stopped := time.Now()
		stop(t, r)
		if runs := len(job.runs()); !job.cutOff || time.Since(stopped) != 0 || runs != 4 {
			t.Errorf("stopped after %s, cut off: %v, runs: %d", time.Since(stopped), job.cutOff, runs)
		}
		r.Start() // of a runner that has ended
		synctest.Wait()
		if len(job.runs()) != 4 {
			t.Error("a job ran after Stop")
		}
	})
}

// longJob is a job whose next run lasts for a given time, and the runs after it for a second.
type longJob struct {
	began  time.Time
	mu     sync.Mutex
	lasts  time.Duration
	at     []time.Duration // when each run began, since began
	cutOff bool            // whether a run was; to be read after Stop
}

func (j *longJob) runOnce(ctx context.Context) (Result, error) {
	j.mu.Lock()
	j.at = append(j.at, time.Since(j.began))
	lasts := j.lasts
	j.lasts = time.Second
	j.mu.Unlock()
	select {
	case <-ctx.Done():
		j.cutOff = true
		return nil, ctx.Err()
	case <-time.After(lasts):
		return nil, nil
	}
}

func (j *longJob) last(d time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lasts = d
}

func (j *longJob) runs() []time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.at)
}

func TestClaims(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.AtomicSQL)
		instances := make([]*claims, 2)
		for n, name := range []string{"one", "two"} {
			instances[n] = &claims{
				client: p.db.Ent, now: microseconds(p.clock.Now), instance: name, lease: 30 * time.Second,
				periods: map[Job]time.Duration{Expire: 10 * time.Second}, held: map[Job]bool{},
			}
		}
		one, two := instances[0], instances[1]
		want := func(c *claims, due bool, want error) *claim {
			t.Helper()
			got, err := c.claim(t.Context(), Expire, due)
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			return got
		}

		var winners []*claim
		var mu sync.Mutex
		var racing sync.WaitGroup
		for n := range 8 { // the first claim ever makes the row
			racing.Go(func() {
				if c, err := instances[n%2].claim(t.Context(), Expire, true); err == nil {
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, c)
				} else if !errors.Is(err, ErrElsewhere) {
					t.Error(err)
				}
			})
		}
		racing.Wait()
		if len(winners) != 1 {
			t.Fatalf("%d claims", len(winners))
		}
		want(one, true, ErrElsewhere)
		want(two, false, ErrElsewhere)
		must(t, winners[0].release(t.Context()))
		want(two, true, ErrElsewhere) // done in this period
		forced := want(two, false, nil)
		must(t, forced.release(t.Context()))

		p.clock.Advance(9 * time.Second)
		held := want(one, true, nil) // dies
		p.clock.Advance(29 * time.Second)
		want(two, true, ErrElsewhere)
		p.clock.Advance(time.Second)
		taken := want(two, true, nil)
		must(t, held.release(t.Context())) // it was not its own any more
		delete(two.held, Expire)
		want(two, false, ErrElsewhere)
		must(t, taken.release(t.Context()))

		// A clock that was a year ahead blocks nobody for a year.
		must(t, p.db.Ent.SchedulerJob.Update().SetHolder("ahead").SetClaimedAt(p.clock.Now().AddDate(1, 0, 0)).
			SetHeldUntil(p.clock.Now().AddDate(1, 0, 0)).Exec(t.Context()))
		must(t, want(one, true, nil).release(t.Context()))
	})
}

// Instances whose clocks are wrong by more than a lease and a period keep each other's claims: they go by the database's clock.
func TestClaimsOfInstancesWhoseClocksAreWrong(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.AtomicSQL)
		of := func(name string, skew time.Duration) *claims {
			clock, err := clients.OpenClock(t.Context(), s.db, func() time.Time { return time.Now().Add(skew) })
			must(t, err)
			return &claims{
				client: p.db.Ent, now: microseconds(clock.Now), instance: name, lease: 10 * time.Minute,
				periods: map[Job]time.Duration{Expire: 10 * time.Minute}, held: map[Job]bool{},
			}
		}
		instances := []*claims{of("right", 0), of("ahead", time.Hour), of("behind", -time.Hour)}
		for _, holder := range instances {
			held, err := holder.claim(t.Context(), Expire, false)
			must(t, err)
			for _, other := range instances {
				if _, err := other.claim(t.Context(), Expire, false); !errors.Is(err, ErrElsewhere) {
					t.Errorf("%s takes the claim of %s: %v", other.instance, holder.instance, err)
				}
			}
			must(t, held.release(t.Context()))
			for _, other := range instances {
				if _, err := other.claim(t.Context(), Expire, true); !errors.Is(err, ErrElsewhere) {
					t.Errorf("%s runs the job again in the period in which %s has run it: %v", other.instance, holder.instance, err)
				}
			}
		}
	})
}

// A run that takes longer than the lease keeps its claim; one whose claim has been taken over is cut off.
func TestALongRunKeepsItsClaim(t *testing.T) {
	inBubbles(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.AtomicSQL)
		d := p.deps(settings())
		d.Now = time.Now
		r := p.runner(t, d)
		c, err := r.claims.claim(t.Context(), Expire, false)
		must(t, err)
		held, stopRenewing := c.keepRenewed(t.Context())
		defer stopRenewing()
		heldUntil := func() time.Time {
			row, err := p.db.Ent.SchedulerJob.Get(t.Context(), string(Expire))
			must(t, err)
			return *row.HeldUntil
		}
		advance := func() {
			time.Sleep(r.settings.Lease / 3)
			synctest.Wait()
		}
		for range 5 {
			before := heldUntil()
			advance()
			if !heldUntil().After(before) {
				t.Fatal("not renewed")
			}
		}
		if held.Err() != nil {
			t.Fatalf("cut off: %v", context.Cause(held))
		}
		must(t, p.db.Ent.SchedulerJob.Update().Where(schedulerjob.ID(string(Expire))).SetHolder("two").Exec(t.Context()))
		advance()
		<-held.Done()
		if !errors.Is(context.Cause(held), ErrElsewhere) {
			t.Errorf("cut off because of %v", context.Cause(held))
		}
	})
}

// chore is a job for tests.
type chore func(ctx context.Context) (Result, error)

func (c chore) runOnce(ctx context.Context) (Result, error) { return c(ctx) }

func TestRunNow(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	r := p.runner(t, p.deps(settings()))
	r.jobs[Reconcile] = chore(func(context.Context) (Result, error) { return nil, errBroken })
	product := p.product(t, 3)
	must(t, p.order(t.Context(), product))
	p.clock.Advance(reservation)

	run, err := r.RunNow(t.Context(), Expire)
	must(t, err)
	if run.Result["orders"] != 1 || run.Error != "" || run.Instance != "one" || run.ID == 0 {
		t.Errorf("run: %+v", run)
	}
	run, err = r.RunNow(t.Context(), Reconcile)
	must(t, err)
	if run.Error != errBroken.Error() {
		t.Errorf("error %q", run.Error)
	}
	r.jobs[Prime] = chore(func(context.Context) (Result, error) { panic("ein Käfer" + strings.Repeat("ä", schema.MaxJobError)) })
	run, err = r.RunNow(t.Context(), Prime)
	must(t, err)
	if !strings.HasPrefix(run.Error, "panic: ein Käfer") || run.ID == 0 {
		t.Errorf("run: %+v", run)
	}
	if _, err := r.RunNow(t.Context(), "no such job"); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v", err)
	}
	for range lastRuns {
		_, err := r.RunNow(t.Context(), Expire)
		must(t, err)
	}
	runs, err := r.LastRuns(t.Context())
	must(t, err)
	byJob := map[string]int{}
	for _, run := range runs {
		byJob[run.Job]++
	}
	if byJob["expire"] != lastRuns || byJob["reconcile"] != 1 || byJob["prime"] != 1 {
		t.Errorf("last runs: %v", byJob)
	}

	// One that is being run is not begun again, and Stop cuts it off.
	begun := make(chan struct{})
	r.jobs[Prime] = chore(func(ctx context.Context) (Result, error) {
		close(begun)
		<-ctx.Done()
		return Result{"half": 1}, ctx.Err()
	})
	ended := make(chan error, 1)
	go func() {
		run, err := r.RunNow(t.Context(), Prime)
		if err == nil && (run.Result["half"] != 1 || run.Error == "" || run.ID == 0) {
			err = errBroken
		}
		ended <- err
	}()
	testenv.Receive(t, begun, "the job to begin")
	if _, err := r.RunNow(t.Context(), Prime); !errors.Is(err, ErrElsewhere) {
		t.Errorf("a second run: %v", err)
	}
	stop(t, r)
	must(t, testenv.Receive(t, ended, "the job to be cut off"))
	if _, err := r.RunNow(t.Context(), Expire); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// Redis is gone: what needs it says so, and orders expire all the same.
func TestJobsWithoutRedis(t *testing.T) {
	s := stores{openDatabase(t, "sqlite://:memory:"), testenv.Redis(t).URL}
	lua, sql := s.process(t, "lua", lockprovider.Lua), s.process(t, "sql", lockprovider.AtomicSQL)
	product := lua.product(t, 3)
	must(t, lua.order(t.Context(), product))
	lua.settle(t)
	lua.stopPersisting()
	d := lua.deps(settings())
	d.Orders = sql.Orders // as with a fallback
	r := lua.runner(t, d)
	lua.redis.ShutdownNoSave(t.Context())
	for _, job := range []Job{Reconcile, Prime, Retention} {
		run, err := r.RunNow(t.Context(), job)
		must(t, err)
		if run.Error == "" {
			t.Errorf("%s ran without Redis", job)
		}
	}
	sql.clock.Advance(reservation)
	run, err := r.RunNow(t.Context(), Expire)
	must(t, err)
	if run.Error != "" || run.Result["orders"] != 1 {
		t.Errorf("expire: %+v", run)
	}
	sql.audit(t)
}

// That Redis is gone is no fault of the orders: the run fails, and no attempt to finish one of them counts. They wait for a
// moment, so that orders that need no Redis do not wait behind them.
func TestExpireWithoutRedis(t *testing.T) {
	s := stores{openDatabase(t, "sqlite://:memory:"), testenv.Redis(t).URL}
	p := s.process(t, "one", lockprovider.SetNX)
	product := p.product(t, 3)
	must(t, p.order(t.Context(), product))
	p.redis.ShutdownNoSave(t.Context())
	p.clock.Advance(reservation)
	for range 10 {
		if result, err := p.expiring(10).runOnce(t.Context()); err == nil || result["orders"]+result["postponed"] != 0 {
			t.Errorf("expired without Redis: %v, %v", result, err)
		}
		row, err := s.db.Ent.Order.Query().Only(t.Context())
		must(t, err)
		if wait := row.NextAttemptAt.Sub(p.clock.Now()); row.Attempts != 0 || wait <= 0 || wait > time.Minute || row.LastError == "" {
			t.Fatalf("the order was tried %d times, and waits for %s: %q", row.Attempts, wait, row.LastError)
		}
		p.clock.Advance(time.Minute)
	}
}

// Each instance tells how many orders cannot be finished, and says so when there are more.
func TestFailedSettlementsAreTold(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	registry := prometheus.NewRegistry()
	var log lines
	d := p.deps(settings())
	d.Metrics, d.Log = NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil))
	r := p.runner(t, d)
	product := p.product(t, 10)
	told := func() float64 {
		t.Helper()
		r.jobs[Expire].(observer).observe(t.Context())
		families, err := registry.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() == "holdfast_settlements_failed" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("no such metric")
		return 0
	}
	if n := told(); n != 0 || log.count("orders cannot be settled") != 0 {
		t.Errorf("%v failed settlements at first", n)
	}
	for want := 1; want <= 2; want++ {
		must(t, p.order(t.Context(), product))
		must(t, p.db.Ent.Order.Update().SetAttempts(100).Exec(t.Context())) // as after many failures
		for range 2 {
			if n := told(); n != float64(want) {
				t.Errorf("%v failed settlements, want %d", n, want)
			}
		}
		if n := log.count("orders cannot be settled"); n != want {
			t.Errorf("said %d times that there are more, want %d", n, want)
		}
	}
	must(t, p.db.Ent.Order.Update().SetSettled(true).Exec(t.Context()))
	if n := told(); n != 0 {
		t.Errorf("%v failed settlements after the last is settled", n)
	}
}

// lines counts lines of a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// The database does not answer: nothing runs, nothing breaks.
func TestJobsWithoutDatabase(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	r := p.runner(t, p.deps(settings()))
	var tried attempts
	r.onAttempt = tried.of("one")
	must(t, p.db.Close())
	r.Start()
	for _, got := range tried.next(t, 4) {
		if !strings.HasSuffix(got, outcomeUnclaimed) {
			t.Error(got)
		}
	}
	if _, err := r.RunNow(t.Context(), Expire); err == nil || errors.Is(err, ErrElsewhere) {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLeftOfARunner(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	before := goleak.IgnoreCurrent()
	var tried attempts
	for _, start := range []bool{true, false} {
		r, err := New(p.deps(settings()))
		must(t, err)
		r.onAttempt = tried.of("one")
		if start {
			r.Start()
			tried.next(t, 4)
		}
		stop(t, r)
	}
	goleak.VerifyNone(t, before, testenv.LeakOption())
}

func TestSettings(t *testing.T) {
	must(t, DefaultSettings().Validate())
	bad := Settings{Page: 1, LookPause: -1}
	err := bad.Validate()
	for _, name := range []string{"reconcile", "lookPause", "remember", "keepInstances"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	if _, err := New(Deps{Settings: bad}); err == nil {
		t.Error("bad settings were accepted")
	}
}

// More orders than one batch holds expire in one run.
func TestExpireGoesOnUntilNothingIsLeft(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	product := p.product(t, 10)
	for range 10 {
		must(t, p.order(t.Context(), product))
	}
	p.clock.Advance(reservation)
	result, err := p.expiring(3).runOnce(t.Context())
	wantResult(t, result, err, Result{"orders": 10})
	page, err := p.Orders.List(t.Context(), shopper, commerce.OrderQuery{Page: commerce.Page{First: 20}, Lines: true})
	must(t, err)
	for _, o := range page.Items {
		if o.Status != "EXPIRED" || !o.Settled {
			t.Errorf("%s is %s", o.ID, o.Status)
		}
	}
}
