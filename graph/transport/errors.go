package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The codes of errors[].extensions.code. A code that gqlgen gives, such as GRAPHQL_PARSE_FAILED, is
// not repeated here.
const (
	CodeUnauthenticated = "UNAUTHENTICATED"
	CodeForbidden       = "FORBIDDEN"
	CodeBadUserInput    = "BAD_USER_INPUT"
	CodeBadRequest      = "BAD_REQUEST" // not a GraphQL request at all
	CodeTimeout         = "TIMEOUT"
	CodeUnavailable     = "UNAVAILABLE" // a store does not answer, or there are too many connections
	CodeRateLimited     = "RATE_LIMITED"
	CodeUnknownHash     = "PERSISTED_QUERY_NOT_FOUND"
	CodeNotListed       = "PERSISTED_QUERY_NOT_IN_LIST" // the safelist has no operation of this identifier
	CodeNotSafelisted   = "QUERY_NOT_IN_SAFELIST"       // a document that the safelist does not have
	CodeTooSlow         = "SUBSCRIBER_TOO_SLOW"
	CodeInternal        = "INTERNAL_SERVER_ERROR"

	codeValidation = errcode.ValidationFailed
)

// InternalMessage is all that a client is told of a defect of the server. The log has the rest,
// with the request's ID.
const InternalMessage = "something went wrong on our side; name the request ID when you report it"

// maxErrors bounds the errors of one response: a broken document may be broken a thousand times.
const maxErrors = 20

// Errorf returns an error with a code whose message may be shown to the client.
func Errorf(code, format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}
}

// recoverWith returns a function that logs a panic and says what the client may know of it, so that
// a panic of a resolver ends no more than its field.
func recoverWith(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, panicked any) error {
		log.ErrorContext(ctx, "panic", "request", RequestOf(ctx).ID, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		return Errorf(CodeInternal, InternalMessage)
	}
}
