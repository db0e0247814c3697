// Package e2e tests the shop from outside: it starts the real program, in processes of their own,
// on real stores, and talks to it as customers, administrators and operators do.
//
// TestMain builds the program once, with the race detector if the tests run under it;
// harness_test.go starts and stops processes of it, client_test.go speaks to their API. Three kinds
// of tests use them:
//
//   - what a newcomer does: servers, commands, imports, experiments, mistakes;
//   - clients: the pages in Chromium, Apollo Client, urql and others (see web/tests); these need Node and
//     what npm installs, and are skipped without;
//   - the campaign (campaign_*_test.go): servers, Redis and the broker are killed, emptied and frozen, and
//     strategies are switched, under load. The database is audited afterwards, and every answer compared with
//     it (package experiment/claims). Payments are killed before and after each of their effects, one by one.
//     HOLDFAST_CAMPAIGN=long makes it longer; `make campaign` runs it so.
//
// With -short, tests that need a database server, Node or much time are skipped.
package e2e
