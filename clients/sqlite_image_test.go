package clients_test

import (
	"testing"

	"holdfast/clients"
)

// BenchmarkOpenInMemory is what a test pays for a shop's database.
func BenchmarkOpenInMemory(b *testing.B) {
	for b.Loop() {
		d, err := clients.OpenDatabase(b.Context(), "sqlite://:memory:", clients.DatabaseOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Migrate(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
