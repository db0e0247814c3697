package plans

import (
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"holdfast/lockprovider"
)

func TestShippedPlans(t *testing.T) {
	names := Shipped()
	if len(names) < 6 {
		t.Fatalf("only %v", names)
	}
	for _, name := range names {
		plan, err := Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := plan.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	if got := Default().Strategies; got[0] != lockprovider.None || len(got) != 1+len(lockprovider.Usable(dialect.SQLite)) {
		t.Errorf("the default runs %v, want the control and then all others", got)
	}
}

func TestParsePlan(t *testing.T) {
	plan, err := Parse("mine.yaml", []byte(`
workloads: [checkout]
strategies: [pubsub, queue]
clients: [8, 32]
duration: 1500ms
skew: 0.5
settings: [payment.latency=5ms]
`))
	if err != nil {
		t.Fatal(err)
	}
	if plan.Name != "mine" || time.Duration(plan.Duration) != 1500*time.Millisecond || plan.Skew != 0.5 || plan.Rounds != Default().Rounds {
		t.Errorf("%+v", plan)
	}
	cases := plan.Cases()
	if len(cases) != 4 || cases[0].Strategy != lockprovider.PubSub || cases[1].Strategy != lockprovider.Queue ||
		cases[0].Setting() != cases[1].Setting() || cases[0].Clients != 8 || cases[2].Clients != 32 {
		t.Errorf("strategies of a setting have to follow each other: %v", cases)
	}
	text, err := plan.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", []byte(text))
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, text)
	}
	if again.Duration != plan.Duration || len(again.Cases()) != 4 || again.Settings[0] != plan.Settings[0] {
		t.Errorf("written and read again: %+v, want %+v", again, plan)
	}
}

func TestPlanErrorsNameTheKeyAndTheFix(t *testing.T) {
	for _, test := range []struct{ name, yaml, want string }{
		{"unknown key", "workloads: [points]\ncolour: [lua]", "line 2: colour: no such key: want one of about, clients"},
		{"type", "clients: many", "line 1: clients: want a list of numbers, such as [8, 32]"},
		{"duration", "duration: soon", `duration: want a duration, such as 500ms ("soon" is no duration`},
		{"twice", "rounds: 1\nrounds: 2", "rounds"},
		{"not a mapping", "- a", "want keys and values"},
		{"empty", "", "is empty"},
		{"workload", "workloads: [flashsale]", "workloads: flashsale: want one of flash-sale, mixed-cart"},
		{"strategy", "strategies: [mutex]", "strategies: mutex: want one of " + string(lockprovider.Names()[0]) + ", "},
		{"database", "databases: [oracle]", "databases: oracle: want one of sqlite, postgres, mariadb"},
		{"redis", "redis: fake", "redis: fake: want embedded or real"},
		{"clients", "clients: [0]", "clients: 0: want one of 1 to 10000"},
		{"no clients", "clients: []", "clients: nothing: want at least one"},
		{"repeated", "clients: [8, 8]", "clients: 8: want each only once"},
		{"endless", "duration: 0s", "duration: 0s: want more than 0s, or operations"},
		{"rounds", "rounds: 0", "rounds: 0: want 1 to 100"},
		{"skew", "skew: -1", "skew: -1: want 0 to 5"},
		{"setting", "settings: [payment.latency]", "settings: payment.latency: want key=value"},
		{"fault", "faults: [lightning]", "faults: lightning: want one of kill, pause, redis-restart"},
		{"fault of a Redis in this process", "faults: [redis-pause]", "faults: redis-pause: want a Redis that is a process of its own: redis: real"},
		{"fault of a file", "faults: [database-restart]", "faults: database-restart: want a database that is a process of its own"},
		{"own setting", "settings: [locks.stock.provider=lua]", "this one is set by the experiment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Parse("p", []byte(test.yaml))
			if err == nil {
				err = plan.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if _, err := Load("no-such-plan"); err == nil || !strings.Contains(err.Error(), "shipped plans coupon-rush") {
		t.Errorf("a plan that is not there: %v", err)
	}
}
