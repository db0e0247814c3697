package app

import (
	"testing"

	"holdfast/config"
)

// TestLabIsOff: nothing runs experiments if the configuration switches them off.
func TestLabIsOff(t *testing.T) {
	cfg := config.Default()
	cfg.Experiments.Enabled = false
	l, err := newLab(cfg)
	must(t, err)
	if l != nil {
		t.Error("experiments can be started")
	}
}
