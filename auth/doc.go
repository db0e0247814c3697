// Package auth says who asks.
//
// [Issue] signs access tokens (JWT, RFC 7519) for development, tests and experiments. A [Verifier]
// checks tokens, either those of [Issue] with a shared secret or those of another issuer with its
// public keys ([KeySet]). [Middleware] checks the token of an HTTP request and puts its bearer into
// the request's context; [Viewer] returns who that is.
//
// The package knows nothing of GraphQL: the command line issues tokens, and graph/transport checks
// them. What a viewer may do is decided by graph (roles) and commerce (ownership).
package auth
