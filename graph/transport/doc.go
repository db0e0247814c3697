// Package transport serves a GraphQL schema over HTTP, server-sent events and WebSocket.
//
// It knows nothing of the shop: it is given an executable schema and a few functions ([Options]), and returns an
// [http.Handler]. gqlgen parses, validates and executes. This package does what happens before and after:
//
//   - It reads requests strictly and bounds them: the body ([Limits]), the document (guard), the rate (limiter), and
//     connections that stay open ([Streams]).
//   - It refuses requests that the page of another site may have forged, and answers CORS preflights.
//   - It keeps persisted queries in Redis, for all instances.
//   - It says who asks: the access token is checked here, and the viewer goes into the context.
//
// The protocols are GraphQL over HTTP (http.go), the distinct connections mode of graphql-sse (sse.go) and
// graphql-transport-ws (websocket.go, websocket_operations.go).
package transport
