package load

import (
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/experiment/history"
)

// Latencies are recorded in microseconds up to two minutes, to three significant digits.
const (
	highestLatency    = int64(2 * time.Minute / time.Microsecond)
	significantDigits = 3
)

// NewHistogram returns an empty histogram of latencies, for [Record] and [Milliseconds].
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, highestLatency, significantDigits)
}

// Record adds a latency. A latency of more than two minutes counts as two minutes.
func Record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), highestLatency)) // in range by min and max
}

// Milliseconds returns a percentile of a histogram in milliseconds, or 0 if the histogram is empty.
func Milliseconds(h *hdrhistogram.Histogram, percent float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtPercentile(percent)) / 1000
}

// recorder is what one client notes. Nobody else touches it before the end.
type recorder struct {
	requests []*Request
	ends     []end
	waits    []float64 // milliseconds waited for locks, of each answer
	attempts int64
	answers  int64
	retries  map[string]int64  // answers that were none for good, by code
	samples  map[string]string // a message of each
	history  []history.Operation
}

// end is an operation that came to one.
type end struct {
	intended, at time.Time
	outcome      Outcome
	code         string
}

func newRecorder() *recorder {
	return &recorder{retries: map[string]int64{}, samples: map[string]string{}}
}

func (r *recorder) retried(code, message string) {
	r.retries[code]++
	if message != "" {
		r.samples[code] = message
	}
}

// join adds what was noted on behalf of the same client.
func (r *recorder) join(other *recorder) {
	r.requests, r.waits, r.history = append(r.requests, other.requests...), append(r.waits, other.waits...), append(r.history, other.history...)
	r.attempts, r.answers = r.attempts+other.attempts, r.answers+other.answers
	for code, n := range other.retries {
		r.retries[code] += n
	}
	maps.Copy(r.samples, other.samples)
}

func (r *recorder) finished(last *Request, intended, at time.Time) {
	r.ends = append(r.ends, end{intended, at, last.Outcome, last.Code})
}

// Recording is what all clients of a load have recorded.
type Recording struct {
	Requests      []*Request
	History       []history.Operation // if the generator records it
	Retries       map[string]int64
	samples       map[string]string
	RefusedByCode map[string]int64 // for good, by code
	Waits         []float64        // sorted, in milliseconds
	Attempts      int64
	Answers       int64

	began      time.Time
	Window     time.Duration // measured; what was answered later does not count for the rate
	Active     time.Duration // from the beginning to the last success in the window
	Granted    int64
	Refused    int64
	Late       int64 // successes after the window
	Unanswered int64 // never answered for good
	Abandoned  int64 // whose customers have gone away
	Unsent     int64 // of an open loop: the shop was too slow to be even asked
	PerClient  []float64

	SuccessTimes, RefusalTimes *hdrhistogram.Histogram
	Timeline                   []Moment
	bucket                     time.Duration
}

// Operations returns how many operations the shop has seen, whatever became of them.
func (out *Recording) Operations() int64 {
	return out.Granted + out.Refused + out.Late + out.Unanswered + out.Abandoned
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
func gather(recorders []*recorder, began time.Time, duration time.Duration, scheduled int) *Recording {
	out := &Recording{
		Retries: map[string]int64{}, samples: map[string]string{}, RefusedByCode: map[string]int64{},
		began: began, Window: duration, SuccessTimes: NewHistogram(), RefusalTimes: NewHistogram(),
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
		out.Window = total // all that was to be asked has been answered before the time was up
	}
	out.bucket = max(out.Window/moments, time.Millisecond)
	out.Timeline = make([]Moment, moments)
	for i := range out.Timeline {
		out.Timeline[i].At = (time.Duration(i+1) * out.bucket).Seconds()
	}
	for _, r := range recorders {
		out.add(r)
	}
	if scheduled > finished {
		out.Unsent = int64(scheduled - finished)
	}
	slices.Sort(out.Waits)
	return out
}

func (out *Recording) add(r *recorder) {
	out.Requests = append(out.Requests, r.requests...)
	out.History = append(out.History, r.history...)
	out.Waits = append(out.Waits, r.waits...)
	out.Attempts += r.attempts
	out.Answers += r.answers
	for code, n := range r.retries {
		out.Retries[code] += n
	}
	for code, message := range r.samples {
		out.samples[code] = message
	}
	mine := 0.0
	for _, e := range r.ends {
		took, since := e.at.Sub(e.intended), e.at.Sub(out.began)
		inTime := since <= out.Window
		piece := min(int(since/out.bucket), moments-1)
		switch e.outcome {
		case Granted:
			Record(out.SuccessTimes, took)
			if !inTime {
				out.Late++
				continue
			}
			mine++
			out.Granted++
			out.Active = max(out.Active, since)
			out.Timeline[piece].Successes++
		case Refused:
			out.RefusedByCode[e.code]++
			Record(out.RefusalTimes, took)
			if inTime {
				out.Refused++
				out.Timeline[piece].Refusals++
			}
		case Abandoned:
			out.Abandoned++
		default:
			out.Unanswered++
		}
	}
	out.PerClient = append(out.PerClient, mine)
}
