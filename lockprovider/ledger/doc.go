// Package ledger writes changes into the database: balances, journal, records and the change log, in one transaction.
//
// It is the only code that does so. A strategy decides who may write, and when; the ledger decides what is
// written. So every strategy leaves the same rows behind, and one audit proves them all.
//
// An author of a strategy has to know about ten names. [Ledger.Once] makes an execution idempotent.
// [Ledger.Run] runs a function in one transaction, and runs it again if the database aborted it to resolve a
// deadlock. Inside, [Tx.Read] reads the balances of a change and, with [ForUpdate], locks their rows. [Check] is the
// business rule: it says what the balances are after the change, or which moves do not fit. [Tx.Write] writes what
// Check computed, and fails with [ErrStale] if a balance changed since it was read. [Tx.Add] lets the database check
// and add in one statement a balance, and fails with [ErrNoFit]. [Ledger.Read] reads without a transaction, and
// [Failure] gives an error of the database the meaning that a caller acts on. A strategy that commits several
// changes at a time calls [Ledger.Persist], if Redis has admitted them already, or [Ledger.ApplyInOrder], if
// they still have to be checked one after another. If their callers wait in this process, it makes them a [Group] of one
// transaction, with [Tx.Group].
//
// Two rules hold for every path through this package. Rows are written in the order of their keys, or two
// changes could deadlock. And the change log is written last, while the rows of the balances are locked, so that its
// IDs rise in commit order for changes that share a balance.
//
// The words that a ledger speaks, such as [Change], [Receipt] and the errors, are declared here, because
// nothing in this package may import the strategies above it. Package lockprovider repeats them under the same names
// for those who only use a provider. What the families are, and which family a balance belongs to, is
// decided there too; see [Config].
//
// The package is bound to the ent schema of this module. It is not promised to anybody outside of it.
package ledger
