package commerce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"

	"holdfast/commerce/textsearch"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/schema"
)

const (
	// maxNumbered is how many numbers are tried for the handle of a name that others have, too. After that, it gets a random one: names that
	// many products have shall not cost a query for each of them.
	maxNumbered = 9
	// handleRoom is how many characters of a handle are left for a hyphen and a number.
	handleRoom = 12
	// derivedHandle begins the handles of products that have none in their row, and not those that are made of names.
	derivedHandle = "prod-"
)

var validHandle = regexp.MustCompile(`^[a-z0-9-]*[a-z0-9][a-z0-9-]*$`)

// HandleOf returns the handle of a product. That of a product from before there were handles is made of its ID.
func HandleOf(row *ent.Product) string {
	if row.Handle != nil {
		return *row.Handle
	}
	return strings.ReplaceAll(row.ID, "_", "-")
}

// idOfDerived returns the ID of the product whose handle HandleOf makes of it.
func idOfDerived(handle string) (string, bool) {
	if !strings.HasPrefix(handle, derivedHandle) {
		return "", false
	}
	return strings.ReplaceAll(handle, "-", "_"), true
}

// ShowByHandle is Show for the product of a handle.
func (s *Catalog) ShowByHandle(ctx context.Context, v Viewer, handle string) (*ent.Product, error) {
	if padded(handle) {
		return nil, nil
	}
	row, err := orNil(s.Client.Product.Query().Where(product.Handle(handle)).Only(ctx))
	if id, is := idOfDerived(handle); is && err == nil && row == nil {
		row, err = orNil(s.Client.Product.Query().Where(product.ID(id), product.HandleIsNil()).Only(ctx))
	}
	if err != nil || row == nil || row.ArchivedAt != nil && !v.Admin {
		return nil, err
	}
	return row, nil
}

func checkHandle(handle string) Errors {
	errs := checkText("handle", handle, 1, schema.MaxHandle)
	if errs == nil && !validHandle.MatchString(handle) {
		errs = Errors{invalid(input("handle"), "handle must be lower-case letters a to z, digits and hyphens, such as %q; leave it out to have it made of the name",
			HandleFrom(handle, "linen-shirt"))}
	}
	return errs
}

func handleTaken(handle string) error {
	return invalid(input("handle"), "another product has the handle %.80q; choose another one, or leave it out to have it made of the name", handle)
}

// HandleFrom makes a handle of a text: its letters without accents, and its digits, with hyphens for all else. It is otherwise if nothing
// is left, as of a text in a script that has no Latin letters.
func HandleFrom(text, otherwise string) string {
	var handle strings.Builder
	for _, r := range textsearch.Fold(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			handle.WriteRune(r)
		case handle.Len() > 0 && !strings.HasSuffix(handle.String(), "-") && r != '\'' && r != '’':
			handle.WriteByte('-')
		}
		if handle.Len() >= schema.MaxHandle-handleRoom {
			break
		}
	}
	if made := strings.Trim(handle.String(), "-"); made != "" {
		return made
	}
	return otherwise
}

// numbered returns the handle that is tried in a round: the text itself, then with a number.
func numbered(base string, round int) string {
	switch {
	case round == 0:
		return base
	case round <= maxNumbered:
		return fmt.Sprintf("%s-%d", base, round)
	}
	return fmt.Sprintf("%s-%d", base, rand.IntN(1e9)+100)
}

// freeHandles returns handles that no product has, made of texts, each another one. Another transaction may take one before this one has
// ended: then this one fails by the index of handles, and is tried again. try counts from 1: from the third one on, the numbers are random,
// because many others try the same small ones.
func freeHandles(ctx context.Context, tx *ent.Tx, texts []string, try int) ([]string, error) {
	bases, handles := make([]string, len(texts)), make([]string, len(texts))
	var open []int
	for i, text := range texts {
		bases[i] = HandleFrom(text, "product")
		if _, derived := idOfDerived(bases[i]); derived {
			bases[i] = "product-" + bases[i]
		}
		open = append(open, i)
	}
	given := map[string]bool{}
	first := 0
	if try > 2 {
		first = maxNumbered + 1
	}
	for round := first; len(open) > 0; round++ {
		if round > maxNumbered+10 {
			return nil, fmt.Errorf("no free handle for %.80q", bases[open[0]])
		}
		var candidates []string
		for _, i := range open {
			handles[i] = numbered(bases[i], round)
			candidates = append(candidates, handles[i])
		}
		taken, err := takenHandles(ctx, tx, candidates)
		if err != nil {
			return nil, err
		}
		var again []int
		for _, i := range open {
			if taken[handles[i]] || given[handles[i]] {
				again = append(again, i)
				continue
			}
			given[handles[i]] = true
		}
		open = again
	}
	return handles, nil
}

// takenHandles returns those of some handles that products have, derived ones included.
func takenHandles(ctx context.Context, tx *ent.Tx, handles []string) (map[string]bool, error) {
	found, err := tx.Product.Query().Where(product.HandleIn(handles...)).Select(product.FieldHandle).Strings(ctx)
	if err != nil {
		return nil, err
	}
	taken := make(map[string]bool, len(found))
	for _, handle := range found {
		taken[handle] = true
	}
	var ids []string
	for _, handle := range handles {
		if id, derived := idOfDerived(handle); derived {
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return taken, nil
	}
	found, err = tx.Product.Query().Where(product.IDIn(ids...), product.HandleIsNil()).IDs(ctx)
	for _, id := range found {
		taken[strings.ReplaceAll(id, "_", "-")] = true
	}
	return taken, err
}

// chooseHandle chooses the handle of a new product: the one that was given, or one made of the name. try counts from 1.
func (in *CreateProduct) chooseHandle(ctx context.Context, tx *ent.Tx, try int) error {
	if in.Handle != nil {
		return in.checkDerived(ctx, tx, in.id)
	}
	made, err := freeHandles(ctx, tx, []string{in.Name}, try)
	if err != nil {
		return err
	}
	in.Handle = &made[0]
	return nil
}

// checkDerived refuses a given handle that another product has by its ID. No index does so.
func (a Attributes) checkDerived(ctx context.Context, tx *ent.Tx, productID string) error {
	if a.Handle == nil {
		return nil
	}
	id, derived := idOfDerived(*a.Handle)
	if !derived || id == productID {
		return nil
	}
	taken, err := tx.Product.Query().Where(product.ID(id), product.HandleIsNil()).Exist(ctx)
	if err == nil && taken {
		err = handleTaken(*a.Handle)
	}
	return err
}
