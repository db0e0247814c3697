package commerce

// StepSearch sets how many postings or documents are few in the first step of a search, so that a search of a few products takes
// several steps.
func (s *Catalog) StepSearch(few int) { s.searchStep = few }
