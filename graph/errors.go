package graph

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/commerce"
	"holdfast/graph/model"
	"holdfast/graph/scalar"
	"holdfast/graph/transport"
)

// Errors of the shop become GraphQL in this file only. A business failure is data: it is one of the
// userErrors of a mutation's payload. Any other error is an entry of errors[] with a code. A defect
// of the server shows nothing but the request's ID.

// maxMessage bounds a message in Unicode characters: a message may quote the document.
const maxMessage = 300

// userErrors returns the business failures in err as data. It returns err itself if err is not a
// business failure.
func (r *Resolver) userErrors(ctx context.Context, err error) ([]model.UserError, error) {
	if err == nil {
		return []model.UserError{}, nil
	}
	failures, ok := commerce.UserErrors(err)
	if !ok {
		return nil, err
	}
	failures = atMost(maxUserErrors, failures)
	list := make([]model.UserError, len(failures))
	for i, f := range failures {
		list[i] = toUserError(f)
		if f.Code == commerce.Unavailable { // the client is not told the cause
			r.logger.WarnContext(ctx, "a store is unavailable", "request", transport.RequestOf(ctx).ID, "error", err)
		}
	}
	return list, nil
}

// importResults returns what became of the rows of an import: of each that failed the first error, and of all rows together no more
// than maxMoreErrors others. It returns an error if the system has failed.
func (r *Resolver) importResults(ctx context.Context, results []commerce.ImportResult) ([]*model.ProductImportResult, error) {
	list, more := make([]*model.ProductImportResult, len(results)), maxMoreErrors
	for i, result := range results {
		userErrors, err := r.userErrors(ctx, result.Err)
		if err != nil {
			return nil, err
		}
		userErrors = atMost(1+more, userErrors)
		more -= max(len(userErrors)-1, 0)
		list[i] = toImportResult(result, userErrors)
	}
	return list, nil
}

func toImportResult(result commerce.ImportResult, userErrors []model.UserError) *model.ProductImportResult {
	out := &model.ProductImportResult{Sku: result.SKU, Delta: result.Delta, Available: result.Available, Elsewhere: result.Elsewhere, UserErrors: userErrors}
	if result.ProductID != "" {
		out.ProductID = &result.ProductID
	}
	if result.Err == nil {
		outcome := model.ImportOutcome(strings.ToUpper(string(result.Outcome)))
		out.Outcome = &outcome
	}
	return out
}

// toUserError chooses the type by the details of a failure. A failure may lack the details of its
// code: a repeated answer about an order that failed before does. Such a failure keeps its code and
// becomes an InputError.
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
			ProductID: d.ProductID, VariantID: d.VariantID, Requested: d.Requested, Available: d.Available,
		}
	case commerce.PurchaseLimitDetails:
		return &model.PurchaseLimitError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			ProductID: d.ProductID, VariantID: d.VariantID, Requested: d.Requested, Available: d.Available,
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
	case commerce.PriceChangedDetails:
		return &model.PriceChangedError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			Expected: money(d.Expected.Minor, d.Expected.Currency), Actual: money(d.Actual.Minor, d.Actual.Currency),
		}
	case commerce.MethodNotTakenDetails:
		return &model.PaymentMethodError{
			Code: code, Message: e.Message, Field: e.Field, Retryable: e.Retryable, RetryAfterMs: retryAfter,
			Method: model.PaymentMethod(d.Method), Taken: toPaymentMethods(d.Taken),
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

// presentError returns an error as an entry of errors[].
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
	field := fieldOf(err)
	if field == nil && located != nil { // a value that its scalar does not take
		field = argumentPath(ctx, located.Path)
	}
	if field != nil && code == transport.CodeBadUserInput {
		out.Extensions["field"] = field
	}
	if code == transport.CodeInternal {
		out.Extensions["requestId"] = transport.RequestOf(ctx).ID
	}
	return out
}

// fieldOf returns the path of the argument at fault, as UserError.field has it, or nil if none is.
func fieldOf(err error) []string {
	if failures, ok := commerce.UserErrors(err); ok {
		return failures[0].Field
	}
	return nil
}

// explain returns the code and the message that the client is told of an error. It logs a defect.
func (r *Resolver) explain(ctx context.Context, err error, located *gqlerror.Error) (code, message string) {
	var badScalar *scalar.Error
	failures, isBusiness := commerce.UserErrors(err)
	switch {
	case errors.Is(err, commerce.ErrUnauthenticated):
		return transport.CodeUnauthenticated, "this needs an access token: Authorization: Bearer <token>"
	case errors.Is(err, commerce.ErrForbidden):
		return transport.CodeForbidden, "this is not allowed for your role"
	case errors.As(err, &badScalar):
		return transport.CodeBadUserInput, badScalar.Error()
	case isBusiness: // not in a mutation's payload, such as a page that is too large
		if failures[0].Code == commerce.Unavailable { // the client is not told the cause
			r.logger.WarnContext(ctx, "a store is unavailable", "request", transport.RequestOf(ctx).ID, "error", err)
		}
		return businessCode(failures), businessMessage(failures)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return transport.CodeTimeout, "the request was ended before it was done; repeat it, a mutation with the same idempotency key"
	}
	if located != nil {
		if code, ok := located.Extensions["code"].(string); ok && code != transport.CodeInternal {
			return code, r.withoutSuggestion(located.Message)
		}
		if len(located.Path) > len(graphql.GetPath(ctx)) { // a path below the field names an argument that gqlgen refused
			return transport.CodeBadUserInput, located.Message
		}
	}
	r.logger.ErrorContext(ctx, "internal error", "request", transport.RequestOf(ctx).ID, "path", graphql.GetPath(ctx).String(), "error", err)
	return transport.CodeInternal, transport.InternalMessage
}

// businessCode returns the code of business failures outside of a payload.
func businessCode(failures []*commerce.Error) string {
	if failures[0].Code == commerce.Unavailable {
		return transport.CodeUnavailable
	}
	return transport.CodeBadUserInput
}

// businessMessage joins the messages of business failures.
func businessMessage(failures []*commerce.Error) string {
	messages := make([]string, len(failures))
	for i, f := range failures {
		messages[i] = f.Message
	}
	return strings.Join(messages, "; ")
}

// withoutSuggestion removes gqlparser's suggestion of names, unless clients may read the schema.
func (r *Resolver) withoutSuggestion(message string) string {
	if r.introspection {
		return message
	}
	message, _, _ = strings.Cut(message, " Did you mean")
	return message
}

// shorten returns a message as valid UTF-8 of at most maxMessage characters.
func shorten(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if utf8.RuneCountInString(message) <= maxMessage {
		return message
	}
	return string([]rune(message)[:maxMessage-1]) + "…"
}
