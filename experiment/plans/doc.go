// Package plans says what an experiment runs. A [Plan] lists workloads, strategies, stores, clients, rates and instances; its
// cases are all combinations.
//
// Plans are YAML. Those in this directory come with the program, see [Shipped]; their names work wherever a file does.
package plans
