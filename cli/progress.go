package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"holdfast/experiment"
)

// progressDisplay shows how far an experiment has come: on a terminal one line that changes, on any
// other output one line for each run.
type progressDisplay struct {
	out      io.Writer
	terminal bool
	began    time.Time
	width    int // of what the line shows
}

func newProgressDisplay(out io.Writer) *progressDisplay {
	d := &progressDisplay{out: out, began: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		d.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return d
}

func (d *progressDisplay) show(p experiment.Progress) {
	text := fmt.Sprintf("[%d/%d] round %d: %s under %s (%s, clients %d, instances %d)", p.Run, p.Runs, p.Round,
		p.Case.Workload, p.Case.Strategy, p.Case.Database, p.Case.Clients, p.Case.Instances)
	if run := p.Finished; run != nil {
		verdict := "exact"
		switch {
		case run.Violations > 0:
			verdict = fmt.Sprintf("!!! %d FINDINGS", run.Violations)
		case !run.Audited():
			verdict = run.Audit
		}
		d.line(fmt.Sprintf("%s: %.0f/s, p99 %.1f ms, %s", text, run.PerSecond, run.P99Ms, verdict))
		_, _ = fmt.Fprintln(d.out) // a display that cannot be written to is no reason to stop
		d.width = 0
		return
	}
	if !d.terminal {
		return
	}
	elapsed := time.Since(d.began)
	if p.Run > 1 {
		left := elapsed / time.Duration(p.Run-1) * time.Duration(p.Runs-p.Run+1)
		text += fmt.Sprintf(" (about %s left)", left.Round(time.Second))
	}
	if p.Operations > 0 {
		text += fmt.Sprintf(": %d answered", p.Operations)
	}
	d.line(text)
}

// line replaces what the line shows.
func (d *progressDisplay) line(text string) {
	if d.terminal {
		padding := strings.Repeat(" ", max(0, d.width-len(text)))
		d.width = len(text)
		text = "\r" + text + padding
	}
	_, _ = fmt.Fprint(d.out, text)
}

// progressBar shows on a terminal how far a loop has come. On any other output it is silent.
type progressBar struct {
	display *progressDisplay
	total   int
	what    string
	shown   time.Time
}

// Bounds of what a bar shows.
const (
	barWidth    = 30
	barInterval = 100 * time.Millisecond
)

func newProgressBar(out io.Writer, total int, what string) *progressBar {
	return &progressBar{display: newProgressDisplay(out), total: total, what: what}
}

func (b *progressBar) show(done int) {
	if !b.display.terminal || done < b.total && time.Since(b.shown) < barInterval {
		return
	}
	b.shown = time.Now()
	filled := barWidth * done / b.total
	b.display.line(fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled),
		done, b.total, b.what))
}

// end leaves the line to whatever is printed next.
func (b *progressBar) end() {
	if b.display.terminal {
		_, _ = fmt.Fprintln(b.display.out) // a display that cannot be written to is no reason to stop
	}
}
