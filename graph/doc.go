// Package graph is the GraphQL API of the shop.
//
// The schema is in schema/*.graphqls, one file a subject. gqlgen turns it into generated/ (execution)
// and model/ (types); schema.graphql is what is served if nothing is configured, in one file, for
// clients; package served cuts it. For each file of the schema there is one with its resolvers:
// orders.graphqls and orders.resolvers.go.
//
// A resolver parses its input, calls a service of commerce and maps the result. Locks, transactions
// and events are beneath commerce. What resolvers share:
//
//   - mapping.go, connections.go: rows of the database to types of the schema
//   - errors.go: errors of the shop to userErrors and errors[]
//   - loaders.go: one query for all elements of a list
//   - node.go: objects by their identifier
//   - subscriptions.go: what every subscription does
//   - complexity.go: what a field costs
//
// [NewHandler] puts a [transport.Handler] around them: HTTP, server-sent events, WebSocket and all
// limits are in graph/transport.
package graph
