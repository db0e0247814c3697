// Package history checks what clients saw against the order in which the shop did it.
//
// A [History] is two things: the operations of all clients, each with its beginning and end by one monotonic clock and with what it
// was told, and the journal. The journal has every effect under its position in its balance. So the order of the writes of each
// balance is known, and nothing has to be inferred.
//
// [Check] makes a graph of it. An edge says that one operation was before another:
//
//   - ww: both wrote the same balance, one right after the other.
//   - wr: one read what the other had left.
//   - rw: one read what the other then replaced.
//   - session: the same client had the answer to one before it sent the other.
//   - real time: one was answered before the other was sent, whoever sent it.
//
// An execution that could have happened one operation after another has no cycle. A cycle is an [Anomaly], and the edges that it
// is made of give it its name. Every anomaly has a shortest cycle, as text and as a picture. Checking takes time linear in the
// history but for sorting: the edges of real time, of which there are as many as pairs, go through one node for each answer.
//
// The names G0, G1a, G1b, G1c, G-single and G2 are those of Atul Adya, "Weak Consistency: A Generalized Theory and Optimistic
// Implementations for Distributed Transactions", MIT 1999. To check a recorded history by looking for cycles, and to add sessions
// and real time to the edges, is the way of Elle: Kyle Kingsbury and Peter Alvaro, "Elle: Inferring Isolation Anomalies from
// Experimental Observations", VLDB 2020. Strongly connected components are found as Robert Tarjan does, "Depth-First Search and
// Linear Graph Algorithms", 1972.
//
// The package knows nothing of the shop. docs/proof.md explains it to readers to whom all of this is new.
package history
