package graph

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/commerce"
	"holdfast/graph/model"
	"holdfast/graph/scalar"
)

// This file is the one place where errors of the shop become GraphQL. Business failures are data, userErrors of a
// mutation's payload; everything else is an entry of errors[] with a code, and what is our own fault says no more than
// the request's ID.

// The codes of errors[].extensions.code.
const (
	codeUnauthenticated = "UNAUTHENTICATED"
	codeForbidden       = "FORBIDDEN"
	codeBadUserInput    = "BAD_USER_INPUT"
	codeBadRequest      = "BAD_REQUEST" // what never was a GraphQL request
	codeTimeout         = "TIMEOUT"
	codeUnavailable     = string(commerce.Unavailable) // a store does not answer at the moment
	codeRateLimited     = "RATE_LIMITED"
	codeUnknownHash     = "PERSISTED_QUERY_NOT_FOUND"
	codeTooSlow         = "SUBSCRIBER_TOO_SLOW"
	codeInternal        = "INTERNAL_SERVER_ERROR"
	codeParse           = errcode.ParseFailed
	codeValidation      = errcode.ValidationFailed
)

// maxMessage and maxErrors bound what one answer says of a broken document, which may be broken a thousand times.
const (
	maxMessage = 300
	maxErrors  = 20
)

// userErrors turns the business failures in err into data. The error that is left is none of them.
func (r *Resolver) userErrors(ctx context.Context, err error) ([]model.UserError, error) {
	if err == nil {
		return []model.UserError{}, nil
	}
	failures, ok := commerce.UserErrors(err)
	if !ok {
		return nil, err
	}
	list := make([]model.UserError, len(failures))
	for i, f := range failures {
		list[i] = toUserError(f)
		if f.Code == commerce.Unavailable { // the caller only learns that; the cause is for the log
			r.logger.WarnContext(ctx, "a store is unavailable", "request", requestOf(ctx).id, "error", err)
		}
	}
	return list, nil
}

// toUserError picks the type by what the failure tells. One that tells less than its code promises, such as the repeated
// answer about an order that failed before, keeps the code in a type that promises less.
func toUserError(e *commerce.Error) model.UserError {
	code, retryAfter := model.ErrorCode(e.Code), (*int)(nil)
	if e.RetryAfter > 0 {
		ms := int(e.RetryAfter.Milliseconds())
		retryAfter = &ms
	}
	switch d := e.Details.(type) {
	case commerce.OutOfStockDetails:
		return &model.OutOfStockError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			ProductID: d.ProductID, Requested: d.Requested, Available: d.Available,
		}
	case commerce.CouponExhaustedDetails:
		return &model.CouponExhaustedError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			CouponID: d.CouponID,
		}
	case commerce.InsufficientFundsDetails:
		return &model.InsufficientFundsError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			Requested: d.Requested, Available: d.Available,
		}
	case commerce.VersionConflictDetails:
		return &model.VersionConflictError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			CurrentVersion: d.Current,
		}
	case commerce.ContentionDetails:
		return &model.ContentionError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			Strategy: toStrategy(d.Strategy), WaitedMs: millis(d.Waited),
		}
	}
	switch e.Code {
	case commerce.PaymentDeclined:
		return &model.PaymentDeclinedError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
		}
	case commerce.Unavailable:
		return &model.UnavailableError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
		}
	default:
		return &model.InputError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
		}
	}
}

// presentError turns any error into an entry of errors[].
func (r *Resolver) presentError(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{Path: graphql.GetPath(ctx)}
	var located *gqlerror.Error
	if errors.As(err, &located) {
		out.Locations = located.Locations
		if located.Path != nil {
			out.Path = located.Path
		}
	}
	code, message := r.explain(ctx, err, located)
	out.Message = shorten(message)
	out.Extensions = map[string]any{"code": code}
	if code == codeInternal {
		out.Extensions["requestId"] = requestOf(ctx).id
	}
	return out
}

// explain tells code and message of an error.
func (r *Resolver) explain(ctx context.Context, err error, located *gqlerror.Error) (code, message string) {
	var badScalar *scalar.Error
	failures, isBusiness := commerce.UserErrors(err)
	switch {
	case errors.Is(err, commerce.ErrUnauthenticated):
		return codeUnauthenticated, "this needs an access token: Authorization: Bearer <token>"
	case errors.Is(err, commerce.ErrForbidden):
		return codeForbidden, "this is not allowed for your role"
	case errors.As(err, &badScalar):
		return codeBadUserInput, badScalar.Error()
	case isBusiness: // outside of a mutation's payload, such as a page that is too large
		if failures[0].Code == commerce.Unavailable { // the caller only learns that; the cause is for the log
			r.logger.WarnContext(ctx, "a store is unavailable", "request", requestOf(ctx).id, "error", err)
		}
		return businessCode(failures), businessMessage(failures)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return codeTimeout, "the request was ended before it was done; repeat it, a mutation with the same idempotency key"
	}
	if located != nil {
		if code, ok := located.Extensions["code"].(string); ok && code != codeInternal {
			return code, r.withoutSuggestion(located.Message)
		}
		if len(located.Path) > len(graphql.GetPath(ctx)) { // below a field lie only its arguments: input that gqlgen refused
			return codeBadUserInput, located.Message
		}
	}
	r.logger.ErrorContext(ctx, "internal error", "request", requestOf(ctx).id, "path", graphql.GetPath(ctx).String(), "error", err)
	return codeInternal, internalMessage
}

const internalMessage = "something went wrong on our side; name the request ID when you report it"

func businessCode(failures []*commerce.Error) string {
	if failures[0].Code == commerce.Unavailable {
		return codeUnavailable
	}
	return codeBadUserInput
}

func businessMessage(failures []*commerce.Error) string {
	messages := make([]string, len(failures))
	for i, f := range failures {
		messages[i] = f.Message
	}
	return strings.Join(messages, "; ")
}

// withoutSuggestion cuts what gqlparser guesses the caller meant, where the schema is not to be told.
func (r *Resolver) withoutSuggestion(message string) string {
	if r.introspection {
		return message
	}
	message, _, _ = strings.Cut(message, " Did you mean")
	return message
}

func shorten(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if utf8.RuneCountInString(message) <= maxMessage {
		return message
	}
	return string([]rune(message)[:maxMessage-1]) + "…"
}

// recoverPanic keeps a panic of a resolver from ending more than its field.
func (r *Resolver) recoverPanic(ctx context.Context, panicked any) error {
	r.logger.ErrorContext(ctx, "panic", "request", requestOf(ctx).id, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	return coded(codeInternal, internalMessage)
}

// coded is an error that says itself what the caller may know.
func coded(code, format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}
}
