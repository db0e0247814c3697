package lockprovider_test

import (
	"flag"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

var printTable = flag.Bool("conformance.table", false, "print how each strategy did with each database and Redis")

// sideBySide is how many environments are tested at a time: many scenarios wait for a lease to end, but a machine that has
// too much to do lets leases end that should not.
const sideBySide = 4

// TestConformance runs every scenario with every strategy, database and Redis. Each environment has a database
// of its own. With the first family, all scenarios run in each environment, but for the embedded Redis beside a server of the
// database. There, and with the other families, a third of them does on each database, and so each of them on one; with
// HOLDFAST_CAMPAIGN=long all of them on all.
func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t, testenv.LeakOption(), goleak.IgnoreCurrent())

	var (
		mu      sync.Mutex
		results []providertest.Result
		columns []string
	)
	t.Run("env", func(t *testing.T) { // returns when all have ended, their cleanup included
		var envs sync.WaitGroup
		turns := make(chan struct{}, sideBySide)
		for share, db := range databases {
			for _, kind := range []redisKind{{}, embedded, realRedis, threeEmbedded} {
				if kind.name == threeEmbedded.name && db.name != "sqlite" {
					continue // a quorum is about Redis: one database will do
				}
				name := db.name
				if kind.name != "" {
					name += "+" + kind.name
				}
				columns = append(columns, name)
				variants := variantsFor(kind, db.dialect)
				envs.Go(func() {
					turns <- struct{}{}
					defer func() { <-turns }()
					var ran []providertest.Result
					ok := t.Run(name, func(t *testing.T) {
						env := openEnv(t, name, db.url(t), kind)
						if kind.name == threeEmbedded.name || kind.name == embedded.name && db.name != "sqlite" {
							env.Families = lockprovider.Families[1:2] // the others differ in nothing that this adds
							env.Small = true
						}
						if !longCampaign() && kind.name != threeEmbedded.name {
							env.Share, env.Of = share, len(databases)
						}
						for _, v := range variants {
							ran = append(ran, providertest.Run(t, env, v)...)
						}
					})
					if ran == nil {
						ran = notRun(name, variants, ok)
					}
					mu.Lock()
					defer mu.Unlock()
					results = append(results, ran...)
				})
			}
		}
		envs.Wait()
	})
	if *printTable {
		if err := providertest.PrintTable(os.Stdout, columns, results); err != nil {
			t.Error(err)
		}
	}
}

// longCampaign tells whether the suites run in their long form.
func longCampaign() bool { return os.Getenv("HOLDFAST_CAMPAIGN") == "long" }

// variantsFor are those that work on a database and have a use for a kind of Redis: without one, those that ask the
// database alone; with several nodes, those that take a quorum.
func variantsFor(kind redisKind, database string) []providertest.Variant {
	var list []providertest.Variant
	for _, v := range providertest.Variants() {
		info, _ := lockprovider.Lookup(v.Strategy)
		quorum := kind.name == threeEmbedded.name
		if info.Needs.Allow(database) && info.Needs.Redis == (kind.name != "") && (!quorum || info.Quorum) {
			list = append(list, v)
		}
	}
	return list
}

// notRun are the results of an environment that is not installed, or could not be set up.
func notRun(env string, variants []providertest.Variant, skipped bool) []providertest.Result {
	var results []providertest.Result
	for _, v := range variants {
		for _, f := range lockprovider.Families {
			result := providertest.Result{Env: env, Variant: v, Family: f, Skipped: skipped}
			if !skipped {
				result.Failed = []string{"environment"}
			}
			results = append(results, result)
		}
	}
	return results
}
