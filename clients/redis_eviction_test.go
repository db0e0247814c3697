package clients_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/clients"
	"holdfast/internal/testenv"
)

func TestNeverEvicts(t *testing.T) {
	const full = "50mb"
	for _, test := range []struct {
		name    string
		options []string
		want    string // "" where there is nothing to fear
	}{
		{"no bound", []string{"--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"}, ""},
		{"refuses to write", []string{"--maxmemory", full, "--maxmemory-policy", "noeviction"}, ""},
		{"evicts anything", []string{"--maxmemory", full, "--maxmemory-policy", "allkeys-lru"}, "allkeys-lru with maxmemory 52428800"},
		{"evicts what expires", []string{"--maxmemory", full, "--maxmemory-policy", "volatile-ttl"}, "CONFIG SET maxmemory-policy noeviction"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := openRedis(t, testenv.Redis(t, test.options...).URL).NeverEvicts(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if errors.Is(err, clients.ErrPolicyUnknown) {
				t.Errorf("%v: it is known", err)
			}
		})
	}
}

func TestNeverEvictsOfACluster(t *testing.T) {
	server := oneNodeCluster(t)
	cluster := openRedis(t, "redis+cluster://"+server.Addr)
	if err := cluster.NeverEvicts(t.Context()); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"maxmemory": "50mb", "maxmemory-policy": "allkeys-random"} {
		if err := cluster.Client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.NeverEvicts(t.Context()); err == nil || !strings.Contains(err.Error(), "allkeys-random") {
		t.Errorf("%v, want its policy", err)
	}
}

// A Redis that is managed by others often forbids CONFIG; the embedded one has none, and no bound.
func TestNeverEvictsIsNotKnown(t *testing.T) {
	for _, forbidden := range []string{"-config", "-@admin"} {
		server := testenv.Redis(t, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
		r := openRedis(t, server.URL)
		if err := r.Client.Do(t.Context(), "ACL", "SETUSER", "default", forbidden).Err(); err != nil {
			t.Fatal(err)
		}
		if err := r.NeverEvicts(t.Context()); !errors.Is(err, clients.ErrPolicyUnknown) {
			t.Errorf("%s: %v, want ErrPolicyUnknown", forbidden, err)
		}
	}
	server := testenv.Redis(t)
	r := openRedis(t, server.URL)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.NeverEvicts(t.Context()); err == nil || errors.Is(err, clients.ErrPolicyUnknown) {
		t.Errorf("a dead Redis: %v", err)
	}
	if err := openRedis(t, clients.EmbeddedRedis).NeverEvicts(t.Context()); err != nil {
		t.Errorf("the embedded Redis: %v", err)
	}
}
