//go:build !unix

package redistest

import "testing"

func (p *process) stop(t testing.TB) {
	t.Helper()
	t.Skip("no process can be stopped and resumed here")
}

func (p *process) resume(testing.TB) {}
