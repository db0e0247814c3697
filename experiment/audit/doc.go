// Package audit proves a run of an experiment: it compares what the shop has told its customers with what the stores hold.
//
// It knows each request by the ID of its change, which it derives as the shop does. So it finds a confirmed order that is
// missing, a refused one that was carried out, units that were sold twice, and a refusal for which there was never a reason.
// Answers that were false are found by package claims. Three sources have to agree: the answers (package load), the tables and journal of the database, and, under the strategy
// lua, the balances in Redis.
package audit
