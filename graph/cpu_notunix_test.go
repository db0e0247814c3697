//go:build !unix

package graph_test

import (
	"testing"
	"time"
)

// cpu is not known here: the tests that bound it bound memory alone.
func cpu(*testing.T) time.Duration { return 0 }
