// Package claims keeps every answer that a shop has given to a request, and compares the answers with what the database has once
// all that was under way has arrived there.
//
// An answer claims something about each effect of a request: the change of the balances, and the payment of an order. The effect is
// there (applied, or accepted by Redis), is not there and never will be (refused), was not begun by this attempt (not
// started), or may be either (unknown). A [Record] holds the answers to one request, to all of its attempts under one
// idempotency key, and [Record.Check] finds those that were false: by what the database has, and by what the shop itself
// said later.
//
// The experiments (package audit) and the campaign (package e2e) use it. Package providertest checks the same of a provider's errors.
package claims
