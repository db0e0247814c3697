package commerce

import (
	"time"

	"github.com/google/uuid"
)

// OperationID is the ID of the record of a mutation under a key.
func OperationID(v Viewer, name string, key uuid.UUID) uuid.UUID { return operationID(v, name, key) }

// AgeGaps has the gaps in the journal be seen earlier than they were, and all of them be asked for last at a time that is so long ago. No
// other search may run.
func (s *Catalog) AgeGaps(by, asked time.Duration) {
	journal := s.documents.journal
	for id, seen := range journal.gaps {
		journal.gaps[id] = seen.Add(-by)
	}
	journal.askedAt = time.Now().Add(-asked)
}

// SearchRefresh is how often all gaps are asked for.
const SearchRefresh = searchRefresh
