package lockprovider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// A database and its Redis know each other. The database has a name, which a copy keeps, and a list of the last moments of its
// life, which are random and drawn anew with each heartbeat. The newest moment is written to the database first and to Redis then. So
// whatever Redis has noted last stands in the list, unless one of the two was restored, or is another one. If they are apart, all
// families begin a new epoch: nothing of what Redis remembers or counts is believed any more, and what it had admitted
// before goes to the database, which knows what it has.

// ErrRedisOfAnotherDatabase means that an instance of another database, or of another copy of this one, lives and works with the same
// Redis. They would take each other's locks and events.
var ErrRedisOfAnotherDatabase = errors.New("another database uses this Redis")

// errApart means that Redis has noted a moment that the database does not know.
var errApart = errors.New("redis and the database are of different times")

const (
	// markID is the ID of the only row of the marks.
	markID = 1
	// keptMoments is how many moments the database knows. Instances draw them at the same time, so that the one in Redis may
	// be some behind.
	keptMoments = 16
	// nameLength is that of the names of databases and moments: 60 random bits.
	nameLength = 12
)

func randomName() string { return strings.ToLower(rand.Text()[:nameLength]) }

// DatabaseName returns the name of a database, which all keys of lua and queue have in them. It is "" if no instance has used the
// database yet.
func DatabaseName(ctx context.Context, client *ent.Client) (string, error) {
	row, err := client.DatabaseMark.Get(ctx, markID)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("name of the database: %w", err)
	}
	return row.Name, nil
}

// identify learns the name of the database, and draws it if there is none.
func (d *Deployment) identify(ctx context.Context) error {
	name, err := DatabaseName(ctx, d.client)
	if err == nil && name == "" {
		err = d.client.DatabaseMark.Create().SetID(markID).SetName(randomName()).SetMoments([]string{}).SetUpdatedAt(d.now()).Exec(ctx)
		if err == nil || ent.IsConstraintError(err) { // somebody was faster
			name, err = DatabaseName(ctx, d.client)
		}
	}
	if err != nil {
		return fmt.Errorf("name the database: %w", err)
	}
	d.database = name
	return nil
}

// Database is the name of the database of this deployment.
func (d *Deployment) Database() string { return d.database }

// node is the Redis that lua and queue use, nil if the instance has told of none.
func (s SharedRedis) node() redis.UniversalClient {
	if len(s.Nodes) == 0 {
		return nil
	}
	return s.Nodes[0]
}

// keepsChanges tells whether the instance keeps changes in Redis that the database does not have yet.
func (d *Deployment) keepsChanges() bool {
	if d.redis.node() == nil {
		return false
	}
	for _, name := range d.redis.used(d.strategies) {
		if info, _ := Lookup(Strategy(name)); info.WritesBehind {
			return true
		}
	}
	return false
}

const (
	// catchUp is how often a Redis is looked at that is behind the database: another instance may be about to write there.
	catchUp = 20
	// catchUpPause is the time between two looks.
	catchUpPause = 50 * time.Millisecond
)

// apart reports whether Redis and the database are of different times, and what Redis has noted. others tells that other
// instances live.
func (d *Deployment) apart(
	ctx context.Context, tx *ent.Tx, rows []*ent.FamilyStrategy, others bool,
) (bool, redisfirst.Noted, error) {
	for look := 0; ; look++ {
		noted, err := redisfirst.NotedOf(ctx, d.redis.node(), d.database) // Redis first: the other way round for those who write
		if err != nil {
			return false, noted, err
		}
		if noted.Moment == "" {
			return false, noted, nil
		}
		mark, err := tx.DatabaseMark.Get(ctx, markID)
		if err != nil {
			return false, noted, err
		}
		switch at := slices.Index(mark.Moments, noted.Moment); {
		case at == 0:
			closed, err := d.closed(ctx, rows)
			return closed, noted, err
		case at < 0, !others, look == catchUp:
			return true, noted, nil
		}
		if err := lock.Pause(ctx, catchUpPause); err != nil {
			return false, noted, err
		}
	}
}

// closed reports whether an epoch that the database calls current was closed in Redis: then the database has forgotten the switch.
func (d *Deployment) closed(ctx context.Context, rows []*ent.FamilyStrategy) (bool, error) {
	for _, row := range rows {
		closed, err := redisfirst.IsClosed(ctx, d.redis.node(), Family(row.ID), d.database, row.Epoch)
		if err != nil || closed {
			return closed, err
		}
	}
	return false, nil
}

// meet begins a new epoch of all families if Redis and the database are of different times. The rows are those of the
// families, which the transaction has locked; meet changes them. It does so under every strategy: what Redis has accepted under
// another one is drained by this start.
func (d *Deployment) meet(ctx context.Context, tx *ent.Tx, rows []*ent.FamilyStrategy, others bool) error {
	if d.redis.node() == nil {
		return nil
	}
	apart, noted, err := d.apart(ctx, tx, rows, others)
	if err != nil || !apart {
		return err
	}
	d.log.WarnContext(ctx, "a new epoch begins: redis and the database are of different times", "database", d.database)
	epochs := map[Family]int64{}
	for _, row := range rows {
		f := Family(row.ID)
		if row.Epoch, err = redisfirst.NextEpoch(ctx, d.redis.node(), f, d.database, max(row.Epoch, noted.Epochs[f])); err != nil {
			return err
		}
		row.Fallback, epochs[f] = false, row.Epoch
		if err := tx.FamilyStrategy.UpdateOneID(row.ID).SetEpoch(row.Epoch).SetFallback(false).Exec(ctx); err != nil {
			return err
		}
	}
	moments, err := d.draw(ctx, tx)
	if err != nil {
		return err
	}
	// Before the commit: who waits for it must not find them apart again. If the commit fails, the next start does.
	_, err = redisfirst.Note(ctx, d.redis.node(), d.database, redisfirst.Noted{Moment: moments[0], Epochs: epochs}, nil)
	return err
}

// draw writes a new moment into the database, and returns all that it knows.
func (d *Deployment) draw(ctx context.Context, tx *ent.Tx) ([]string, error) {
	mark, err := tx.DatabaseMark.Get(ctx, markID)
	if err != nil {
		return nil, err
	}
	moments := append([]string{randomName()}, mark.Moments...)
	moments = moments[:min(len(moments), keptMoments)]
	return moments, tx.DatabaseMark.UpdateOneID(markID).SetMoments(moments).SetUpdatedAt(d.now()).Exec(ctx)
}

// renew draws a new moment, in the database first and in Redis then. It is [errApart], and nothing is drawn, if they are of different
// times.
func (d *Deployment) renew(ctx context.Context) error {
	if !d.keepsChanges() {
		return nil
	}
	noted, err := redisfirst.NotedOf(ctx, d.redis.node(), d.database)
	if err != nil {
		return err // it would only get behind
	}
	tx, err := d.client.Tx(ctx)
	if err != nil {
		return err
	}
	moments, epochs, err := d.renewIn(ctx, tx, noted)
	if err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = redisfirst.Note(ctx, d.redis.node(), d.database, redisfirst.Noted{Moment: moments[0], Epochs: epochs}, moments)
	return err // if nothing was noted, another instance was faster with a later moment
}

func (d *Deployment) renewIn(ctx context.Context, tx *ent.Tx, noted redisfirst.Noted) ([]string, map[Family]int64, error) {
	// The update locks the row: moments are drawn one after the other.
	if err := tx.DatabaseMark.UpdateOneID(markID).SetUpdatedAt(d.now()).Exec(ctx); err != nil {
		return nil, nil, err
	}
	moments, err := d.draw(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	if noted.Moment != "" && !slices.Contains(moments, noted.Moment) {
		return nil, nil, errApart
	}
	rows, err := tx.FamilyStrategy.Query().All(ctx)
	epochs := make(map[Family]int64, len(rows))
	for _, row := range rows {
		epochs[Family(row.ID)] = row.Epoch
	}
	return moments, epochs, err
}

// apartBeats is how many heartbeats in a row must find Redis and the database apart: an instance that starts writes to Redis a moment
// before its commit.
const apartBeats = 2

// watchStores draws a moment at each heartbeat. If Redis or the database was restored while this instance ran, it
// begins a new epoch, which all instances follow.
func (d *Deployment) watchStores(ctx context.Context) {
	err := d.renew(ctx)
	if !errors.Is(err, errApart) {
		d.beatsApart = 0
		return
	}
	d.beatsApart++
	if d.beatsApart < apartBeats {
		return
	}
	d.beatsApart = 0
	tx, err := d.client.Tx(ctx)
	if err != nil {
		return // the next heartbeat tries again, as below
	}
	rows, err := d.lockFamilies(ctx, tx)
	if err == nil {
		err = d.meet(ctx, tx, rows, true)
	}
	if err != nil {
		_ = tx.Rollback()
		return
	}
	_ = tx.Commit()
}

// instancesKey is where instances tell those of other databases in the same Redis that they live.
const instancesKey = "holdfast:instances"

// presence is what an instance tells there.
type presence struct {
	Database string `json:"database"`
	Host     string `json:"host"`
	Joined   bool   `json:"joined"` // it stands in the table of instances of its database
	Until    int64  `json:"until"`  // in ms of Unix time, by the clock of Redis
}

// stranger is an instance in this Redis that the database does not know.
type stranger struct {
	presence

	id string
}

func (s stranger) String() string {
	return fmt.Sprintf("%s (%s) of database %s", s.id, s.Host, s.Database)
}

// present tells those of other databases that the instance lives.
func (d *Deployment) present(ctx context.Context, ttl time.Duration) error {
	node := d.redis.node()
	if node == nil || d.redis.Embedded {
		return nil
	}
	now, err := node.Time(ctx).Result()
	if err != nil {
		return err
	}
	body, err := json.Marshal(presence{
		Database: d.database, Host: hostAndProcess(), Joined: d.joined.Load(), Until: now.Add(ttl).UnixMilli(),
	})
	if err != nil {
		return err
	}
	return node.HSet(ctx, instancesKey, d.id, body).Err()
}

// strangers finds the instances that say that they live, and that the database does not know. It removes those who have ended.
func (d *Deployment) strangers(ctx context.Context) ([]stranger, error) {
	node := d.redis.node()
	now, err := node.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	all, err := node.HGetAll(ctx, instancesKey).Result()
	if err != nil {
		return nil, err
	}
	var unknown []stranger
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := stranger{id: id}
		if json.Unmarshal([]byte(all[id]), &s.presence) != nil || s.Until <= now.UnixMilli() || ended(&ent.Instance{ID: id, Host: s.Host}) {
			if err := node.HDel(ctx, instancesKey, id).Err(); err != nil {
				return nil, err
			}
			continue
		}
		if id == d.id || s.Database == d.database && !s.Joined { // it is about to join, as this one is
			continue
		}
		known, err := d.client.Instance.Get(ctx, id)
		if err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
		if known == nil {
			unknown = append(unknown, s)
		}
	}
	return unknown, nil
}

// alone returns [ErrRedisOfAnotherDatabase] if an instance lives in this Redis that the database does not know. One that says nothing
// any more may have died a moment ago: alone waits until it counts as ended.
func (d *Deployment) alone(ctx context.Context) error {
	if d.redis.node() == nil || d.redis.Embedded {
		return nil
	}
	type sight struct {
		until int64 // of the last look
		lives int   // how often it has said that it lives, since the first look
	}
	seen := map[string]*sight{}
	for {
		strangers, err := d.strangers(ctx)
		if err != nil {
			return fmt.Errorf("look for instances of other databases in Redis: %w", err)
		}
		if len(strangers) == 0 {
			return nil
		}
		for _, s := range strangers {
			before := seen[s.id]
			if before == nil {
				seen[s.id] = &sight{until: s.Until}
				d.log.InfoContext(ctx, "waiting until an instance of another database says that it lives, or has ended", "instance", s.String())
				continue // it may be leaving at this moment
			}
			if s.Until > before.until {
				before.until = s.Until
				before.lives++
			}
			lives := before.lives > 0 || isHere(s.Host)
			if s.Database == d.database { // if it was restored, its instances write their rows again with the next heartbeat
				lives = before.lives > 1
			}
			if lives {
				return fmt.Errorf("%w: %s works with it, and this is database %s: stop that instance, or set redis.url of one of them "+
					"to another Redis, such as another number at the end of the URL", ErrRedisOfAnotherDatabase, s, d.database)
			}
		}
		if err := lock.Pause(ctx, joinPause); err != nil {
			return fmt.Errorf("%w: %s may work with it: %w", ErrRedisOfAnotherDatabase, strangers[0], err)
		}
	}
}

// serve tells Redis which database it serves from now on. It warns if that was another one before.
func (d *Deployment) serve(ctx context.Context) error {
	node := d.redis.node()
	if node == nil {
		return nil
	}
	const key = "holdfast:database"
	before, err := node.Get(ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("look which database Redis has served: %w", err)
	}
	if before == d.database {
		return nil
	}
	if before != "" {
		d.log.WarnContext(ctx, "redis has served another database, of which nothing is used", "before", before, "database", d.database)
	}
	if err := node.Set(ctx, key, d.database, 0).Err(); err != nil {
		return fmt.Errorf("tell Redis which database it serves: %w", err)
	}
	return nil
}
