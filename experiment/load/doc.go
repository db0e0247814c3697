// Package load is the customers of an experiment. A [Workload] says what they want, [Prepare] creates the objects for it
// through the GraphQL API, and a [Generator] sends the requests and records the answers.
//
// A closed loop sends the next request of a client after the answer to the one before. An open loop sends at intended times;
// latency counts from the intended time, so a stall of the shop is not left out (coordinated omission). A request that is
// refused as busy, or not answered, is repeated under the same idempotency key.
package load
