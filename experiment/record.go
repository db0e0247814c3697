package experiment

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in microseconds up to two minutes, to three significant digits.
const (
	highestLatency    = int64(2 * time.Minute / time.Microsecond)
	significantDigits = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, highestLatency, significantDigits)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), highestLatency)) // in range by min and max
}

// milliseconds is a percentile of a histogram; 0 of an empty one.
func milliseconds(h *hdrhistogram.Histogram, percent float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtPercentile(percent)) / 1000
}

// recorder is what one client notes. Nobody else touches it before the end.
type recorder struct {
	asks     []*ask
	ends     []end
	waits    []float64 // milliseconds waited for locks, of each answer
	attempts int64
	answers  int64
	troubles map[string]int64  // answers that were none for good, by code
	samples  map[string]string // a message of each
}

// end is an operation that came to one.
type end struct {
	intended, at time.Time
	outcome      outcome
	code         string
}

func newRecorder() *recorder {
	return &recorder{troubles: map[string]int64{}, samples: map[string]string{}}
}

func (r *recorder) trouble(code, message string) {
	r.troubles[code]++
	if message != "" {
		r.samples[code] = message
	}
}

func (r *recorder) finished(last *ask, intended, at time.Time) {
	r.ends = append(r.ends, end{intended, at, last.outcome, last.code})
}

// recording is what all clients of a load noted.
type recording struct {
	asks     []*ask
	troubles map[string]int64
	samples  map[string]string
	refusals map[string]int64 // for good, by code
	waits    []float64        // sorted, in milliseconds
	attempts int64
	answers  int64

	began     time.Time
	window    time.Duration // measured; what was answered later does not count for the rate
	active    time.Duration // from the beginning to the last success in the window
	granted   int64
	refused   int64
	late      int64 // successes after the window
	open      int64 // never answered for good
	unsent    int64 // of an open loop: the shop was too slow to be even asked
	perClient []float64

	successes, refusalTimes *hdrhistogram.Histogram
	timeline                []Moment
	bucket                  time.Duration
}

// Moment is one piece of the time line.
type Moment struct {
	// At is its end, in seconds since the beginning.
	At        float64 `json:"at"`
	Successes int64   `json:"successes"`
	Refusals  int64   `json:"refusals"`
}

// moments is into how many pieces the time line is cut.
const moments = 20

// gather adds up what the clients noted. scheduled is how many operations an open loop intended.
func gather(recorders []*recorder, began time.Time, duration time.Duration, scheduled int) *recording {
	out := &recording{
		troubles: map[string]int64{}, samples: map[string]string{}, refusals: map[string]int64{},
		began: began, window: duration, successes: newHistogram(), refusalTimes: newHistogram(),
	}
	finished := 0
	var last time.Time
	for _, r := range recorders {
		finished += len(r.ends)
		for _, e := range r.ends {
			if e.at.After(last) {
				last = e.at
			}
		}
	}
	if total := last.Sub(began); finished > 0 && (duration == 0 || total < duration) {
		out.window = total // all that was to be asked has been answered before the time was up
	}
	out.bucket = max(out.window/moments, time.Millisecond)
	out.timeline = make([]Moment, moments)
	for i := range out.timeline {
		out.timeline[i].At = (time.Duration(i+1) * out.bucket).Seconds()
	}
	for _, r := range recorders {
		out.add(r)
	}
	if scheduled > finished {
		out.unsent = int64(scheduled - finished)
	}
	slices.Sort(out.waits)
	return out
}

func (out *recording) add(r *recorder) {
	out.asks = append(out.asks, r.asks...)
	out.waits = append(out.waits, r.waits...)
	out.attempts += r.attempts
	out.answers += r.answers
	for code, n := range r.troubles {
		out.troubles[code] += n
	}
	for code, message := range r.samples {
		out.samples[code] = message
	}
	mine := 0.0
	for _, e := range r.ends {
		took, since := e.at.Sub(e.intended), e.at.Sub(out.began)
		inTime := since <= out.window
		piece := min(int(since/out.bucket), moments-1)
		switch e.outcome {
		case granted:
			record(out.successes, took)
			if !inTime {
				out.late++
				continue
			}
			mine++
			out.granted++
			out.active = max(out.active, since)
			out.timeline[piece].Successes++
		case refused:
			out.refusals[e.code]++
			record(out.refusalTimes, took)
			if inTime {
				out.refused++
				out.timeline[piece].Refusals++
			}
		default:
			out.open++
		}
	}
	out.perClient = append(out.perClient, mine)
}
