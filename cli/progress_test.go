package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	bar := newProgressBar(&out, 4, "products")
	bar.show(1)
	bar.end()
	wantEqual(t, "where there is no terminal", out.String(), "")

	bar.display.terminal = true
	bar.show(1)
	bar.show(2) // too soon after the first
	bar.show(4)
	bar.end()
	wantEqual(t, "on a terminal", out.String(), "\r["+strings.Repeat("=", 7)+strings.Repeat(" ", 23)+"] 1/4 products"+
		"\r["+strings.Repeat("=", 30)+"] 4/4 products\n")
}
