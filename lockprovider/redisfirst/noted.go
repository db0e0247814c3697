package redisfirst

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// What a Redis notes of the databases that it has served. A database names itself and the moments of its life, at random, so that
// a Redis can tell whether it has seen this database last, and whether one of the two was restored since.

// Noted is what a Redis has noted of a database.
type Noted struct {
	// Moment is the last moment of the database that this Redis knows; "" if it has never served the database, or was emptied.
	Moment string
	// Epochs are those of the families at that moment.
	Epochs map[ledger.Family]int64
}

var (
	//go:embed scripts/note.lua
	noteSource string

	noteScript = redis.NewScript(noteSource)
)

func notedKey(database string) string { return "holdfast:noted:" + database }

const (
	momentField = "moment"
	epochField  = "epoch:"
)

// NotedOf returns what a Redis has noted of a database.
func NotedOf(ctx context.Context, r redis.UniversalClient, database string) (Noted, error) {
	fields, err := r.HGetAll(ctx, notedKey(database)).Result()
	if err != nil {
		return Noted{}, failure(ctx, err)
	}
	n := Noted{Moment: fields[momentField], Epochs: map[ledger.Family]int64{}}
	for field, value := range fields {
		family, ok := strings.CutPrefix(field, epochField)
		if !ok {
			continue
		}
		if n.Epochs[ledger.Family(family)], err = strconv.ParseInt(value, 10, 64); err != nil {
			return Noted{}, fmt.Errorf("epoch of %s, as noted in redis: %w", family, err)
		}
	}
	return n, nil
}

// Note notes a moment of a database, and its epochs. If Redis has noted a moment that is not among those that the database knows, it
// notes nothing, and Note returns false. With no known moments at all it notes the new one in any case.
func Note(ctx context.Context, r redis.UniversalClient, database string, n Noted, known []string) (bool, error) {
	list := ""
	if len(known) > 0 {
		list = "," + strings.Join(known, ",") + ","
	}
	args := []any{n.Moment, list}
	for _, family := range slices.Sorted(maps.Keys(n.Epochs)) {
		args = append(args, string(family), n.Epochs[family])
	}
	done, err := noteScript.Run(ctx, r, []string{notedKey(database)}, args...).Int()
	return done == 1, failure(ctx, err)
}

// prefixes begin the keys of an epoch of a family, under whichever strategy.
func prefixes(f ledger.Family, database string, number int64) []epoch {
	return []epoch{{prefix: prefixOf(f, database, number)}, {prefix: queuePrefixOf(f, database, number)}}
}

// NextEpoch returns the first number after a given one whose epoch has left nothing in Redis.
func NextEpoch(ctx context.Context, r redis.UniversalClient, f ledger.Family, database string, after int64) (int64, error) {
	for number := after + 1; ; number++ {
		used := int64(0)
		for _, e := range prefixes(f, database, number) {
			n, err := r.Exists(ctx, append(e.marks(), e.prefix+streamName, e.prefix+lineName)...).Result()
			if err != nil {
				return 0, failure(ctx, err)
			}
			used += n
		}
		if used == 0 {
			return number, nil
		}
	}
}

// IsClosed reports whether an epoch of a family was closed not long ago.
func IsClosed(ctx context.Context, r redis.UniversalClient, f ledger.Family, database string, number int64) (bool, error) {
	for _, e := range prefixes(f, database, number) {
		n, err := r.Exists(ctx, e.marks()[1]).Result()
		if err != nil || n > 0 {
			return n > 0, failure(ctx, err)
		}
	}
	return false, nil
}
