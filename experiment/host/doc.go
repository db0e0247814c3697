// Package host is the machine under an experiment: it starts the servers of the shop as processes, gives each run an empty
// database and an empty Redis, and reads what servers, stores and the operating system count.
//
// CPU time of databases is read from /proc, so it is known on Linux only. Servers of PostgreSQL, MariaDB and Redis are
// started from PATH on Unix only; elsewhere they have to be named by URL.
package host
