package commerce

import (
	"context"

	"holdfast/payments"
)

// StepSearch sets how many postings or documents are few in the first step of a search, so that a search of a few products takes
// several steps.
func (s *Catalog) StepSearch(few int) { s.searchStep = few }

// Told moves a payment attempt as a message of the gateway does.
func (s *Attempts) Told(ctx context.Context, id string, answer payments.Answer) error {
	_, err := s.moveAttempt(ctx, id, answer, payments.Event(answer.State))
	return err
}
