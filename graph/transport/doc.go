// Package transport serves a GraphQL schema over HTTP, server-sent events and WebSocket.
//
// It knows nothing of the shop. It is given an executable schema and a few functions, see [Options],
// and returns an http.Handler. gqlgen parses, validates and executes operations; this package does
// what happens before and after:
//
//   - It reads requests strictly and bounds them: the body and the document ([Limits]), the rate
//     ([Rates]), and connections that stay open ([Streams]).
//   - It refuses requests that the page of another site may have forged, and answers CORS preflights.
//   - It keeps persisted queries in Redis, for all instances.
//   - It checks the access token and puts the viewer into the context.
//
// Three transports share this: GraphQL over HTTP (http.go), the distinct connections mode of
// graphql-sse (sse.go) and graphql-transport-ws (websocket.go, websocket_operations.go).
package transport
