package setting_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"holdfast/config/setting"
)

type broker struct {
	URL setting.URL `key:"url" default:"channel"`
}

type queue struct {
	Length int64 `key:"length" default:"8" min:"1" max:"10"`
}

// queues is a section whose parts are known at run time.
type queues map[string]*queue

func (q queues) Sections(yield func(key string, section any) bool) {
	for _, name := range []string{"a", "b"} {
		if part, ok := q[name]; ok && !yield(name, part) {
			return
		}
	}
}

type settings struct {
	Broker   broker        `key:",inline"`
	Interval time.Duration `key:"interval" default:"100ms" production:"1s" min:"1ms" max:"1m"`
	Rate     float64       `key:"rate" min:"0" max:"1"`
	Format   string        `key:"format" default:"text" oneof:"text json"`
	Level    slog.Level    `key:"level" default:"warn"`
	Failures uint32        `key:"failures" default:"3" min:"1"`
	Queues   queues        `key:"queues"`
	Hidden   int           `default:"5" max:"9"`
	unread   int           //nolint:unused // what is not exported is no setting
}

func defaults() *settings {
	s := &settings{Queues: queues{"a": {}, "b": {}}}
	setting.Reset(s, "")
	return s
}

func TestFields(t *testing.T) {
	var got []string
	setting.Fields(defaults(), func(f setting.Field) {
		shown := f.Key + "=" + f.Shown() + " " + f.Bounds()
		if f.Hidden {
			shown += " hidden"
		}
		got = append(got, strings.TrimSpace(shown))
	})
	want := []string{
		`url="channel"`, "interval=100ms 1ms to 1m", "rate=0 0 to 1", `format="text" one of text, json`, "level=warn",
		"failures=3 at least 1", "queues.a.length=8 1 to 10", "queues.b.length=8 1 to 10", "hidden=5 at most 9 hidden",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDefaults(t *testing.T) {
	s := defaults()
	setting.Reset(s, "production")
	if s.Interval != time.Second || s.Failures != 3 {
		t.Errorf("in production: %+v", s)
	}
	partly := settings{Interval: time.Minute}
	setting.Fill(&partly)
	if partly.Interval != time.Minute || partly.Failures != 3 || partly.Broker.URL != "channel" || partly.Hidden != 5 {
		t.Errorf("filled: %+v", partly)
	}
	if q := setting.Default[queue](); q.Length != 8 {
		t.Errorf("default: %+v", q)
	}
}

// TestCheck sets each kind of value below, at and above its bounds.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(s *settings)
		want string // "" if it is within its bounds
	}{
		"defaults":     {func(*settings) {}, ""},
		"at least":     {func(s *settings) { s.Interval = time.Millisecond }, ""},
		"too short":    {func(s *settings) { s.Interval = time.Millisecond - 1 }, "interval: 999.999µs: want 1ms to 1m"},
		"at most":      {func(s *settings) { s.Rate = 1 }, ""},
		"too much":     {func(s *settings) { s.Rate = 1.5 }, "rate: 1.5: want 0 to 1"},
		"too few":      {func(s *settings) { s.Failures = 0 }, "failures: 0: want at least 1"},
		"hidden":       {func(s *settings) { s.Hidden = 10 }, "hidden: 10: want at most 9"},
		"no such word": {func(s *settings) { s.Format = "xml" }, `format: "xml": want one of text, json`},
		"in a part":    {func(s *settings) { s.Queues["b"].Length = 11 }, "queues.b.length: 11: want 1 to 10"},
	} {
		s := defaults()
		test.set(s)
		err := setting.Check(s)
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestSet(t *testing.T) {
	for _, test := range []struct {
		key   string
		value any
		want  string // what is shown then, or part of the error
	}{
		{"interval", "1m30s", "1m30s"},
		{"interval", 5, "5 is no duration"},
		{"rate", 1, "1"},
		{"rate", "NaN", "no number"},
		{"failures", "7", "7"},
		{"failures", -1, "no whole number of 0 or more"},
		{"failures", "4294967296", "no whole number"},
		{"format", "json", `"json"`},
		{"format", 8080, "8080 is no text: put it in quotes"},
		{"level", "DEBUG", "debug"},
		{"level", "loud", "want debug, info, warn or error"},
		{"queues.a.length", []any{1}, "a list is no whole number"},
	} {
		setting.Fields(defaults(), func(f setting.Field) {
			if f.Key != test.key {
				return
			}
			err := f.Set(test.value)
			got := f.Shown()
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("%s = %v: %s, want %s", test.key, test.value, got, test.want)
			}
		})
	}
}

// TestMistakesPanic: a tag that is no value of its field is found by whatever test reads the settings first.
func TestMistakesPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a default that is no duration is accepted")
		}
	}()
	setting.Default[struct {
		Wait time.Duration `default:"soon"`
	}]()
}
