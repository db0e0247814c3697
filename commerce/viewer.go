package commerce

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/ent"
	"holdfast/ent/schema"
	"holdfast/ent/user"
)

// Refusals of the caller, not of the request.
var (
	ErrUnauthenticated = errors.New("authentication required")
	ErrForbidden       = errors.New("not allowed for this role")
)

// Viewer is the user that a request comes from. The zero value is anonymous.
type Viewer struct {
	UserID string
	Name   string
	Admin  bool
}

// userIDPattern leaves out the colon, which separates the parts of balance and lock keys.
var userIDPattern = regexp.MustCompile(`^[A-Za-z0-9_.@|+-]{1,56}$`)

// NewViewer returns the viewer of an access token's subject, or an error if the subject cannot be a user ID.
func NewViewer(subject, name string, admin bool) (Viewer, error) {
	if !userIDPattern.MatchString(subject) {
		return Viewer{}, fmt.Errorf("subject %.80q is no user ID: 1 to 56 letters, digits or any of _.@|+-", subject)
	}
	if name == "" {
		name = subject
	}
	return Viewer{UserID: subject, Name: name, Admin: admin}, nil
}

// customer refuses anonymous callers.
func (v Viewer) customer() error {
	if v.UserID == "" {
		return ErrUnauthenticated
	}
	return nil
}

// admin refuses callers that are no administrators.
func (v Viewer) admin() error {
	if err := v.customer(); err != nil {
		return err
	}
	if !v.Admin {
		return ErrForbidden
	}
	return nil
}

func (v Viewer) isAdmin() bool { return v.admin() == nil }

// may tells whether the viewer may see what belongs to owner. Administrators see all, and spend nothing of others; see owns.
func (v Viewer) may(owner string) bool { return v.UserID == owner || v.Admin }

// owns tells whether the viewer may spend what belongs to owner.
func (v Viewer) owns(owner string) bool { return v.UserID == owner && owner != "" }

// mayAsk refuses viewers who may not see what belongs to owner.
func (v Viewer) mayAsk(owner string) error {
	if err := v.customer(); err != nil {
		return err
	}
	if !v.may(owner) {
		return ErrForbidden
	}
	return nil
}

// Customers keeps a row for each user that has done something.
type Customers struct {
	*core
	known *lru.Cache[string, struct{}]
}

// knownCustomers bounds the cache of users whose row is known to exist.
const knownCustomers = 10_000

func newCustomers(c *core) *Customers {
	known, err := lru.New[string, struct{}](knownCustomers)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Customers{core: c, known: known}
}

// Get returns the viewer's own row. A viewer who has not done anything has none in the database, and is as the token says:
// identities come from the token's issuer, and looking changes nothing.
func (s *Customers) Get(ctx context.Context, v Viewer) (*ent.User, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	row, err := orNil(s.Client.User.Get(ctx, v.UserID))
	if err == nil && row == nil {
		row = s.unknown(v)
	}
	return row, err
}

// unknown is a viewer who has not done anything.
func (s *Customers) unknown(v Viewer) *ent.User {
	return &ent.User{ID: v.UserID, Name: Truncate(v.Name, schema.MaxName), CreatedAt: s.now()}
}

// GetAll returns customers by their IDs: those that exist and that the viewer may see, which for all but administrators is the viewer.
// Of the viewer there is always a row, as of [Customers.Get].
func (s *Customers) GetAll(ctx context.Context, v Viewer, ids []string) (map[string]*ent.User, error) {
	byID := make(map[string]*ent.User, len(ids))
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" || !v.may(id) })
	if len(ids) == 0 {
		return byID, nil
	}
	rows, err := s.Client.User.Query().Where(user.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		byID[row.ID] = row
	}
	if slices.Contains(ids, v.UserID) && byID[v.UserID] == nil {
		byID[v.UserID] = s.unknown(v)
	}
	return byID, nil
}

// CustomerQuery asks for a list of customers.
type CustomerQuery struct {
	CreatedAt   Range
	OldestFirst bool
	Page        Page
}

// List is all customers, the newest first unless the query says otherwise, for administrators. Errors: INVALID_INPUT of the page and of
// the filter.
func (s *Customers) List(ctx context.Context, v Viewer, q CustomerQuery) (PageOf[*ent.User], error) {
	if err := v.admin(); err != nil {
		return PageOf[*ent.User]{}, err
	}
	if err := q.CreatedAt.check("filter", "createdAt"); err != nil {
		return PageOf[*ent.User]{}, err
	}
	listed := listing{"customers", timeAndID, user.FieldCreatedAt, !q.OldestFirst}
	if q.OldestFirst {
		listed.name += ":oldest"
	}
	asked, err := q.Page.of(filtered(listed, q.CreatedAt))
	if err != nil {
		return PageOf[*ent.User]{}, err
	}
	selected := func() *ent.UserQuery { return s.Client.User.Query().Where(q.CreatedAt.within(user.FieldCreatedAt)) }
	rows, err := selected().Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.User]{}, err
	}
	list := pageOf(rows, asked, func(u *ent.User) position { return position{Time: u.CreatedAt, ID: u.ID} })
	list.Count = counts(selected)
	return list, nil
}

// As is the viewer as whom the objects of a customer are listed: the customer, if the viewer may see what belongs to the customer. It is
// for reading only.
func (v Viewer) As(customer string) (Viewer, error) {
	if err := v.mayAsk(customer); err != nil || v.UserID == customer {
		return v, err
	}
	return Viewer{UserID: customer}, nil
}

// ensure makes sure that the viewer has a row for orders and accounts to refer to.
func (s *Customers) ensure(ctx context.Context, v Viewer) error {
	if err := v.customer(); err != nil {
		return err
	}
	if _, ok := s.known.Get(v.UserID); ok {
		return nil
	}
	if err := s.add(ctx, v.UserID, v.Name); err != nil {
		return err
	}
	s.known.Add(v.UserID, struct{}{})
	return nil
}

func (s *Customers) add(ctx context.Context, id, name string) error {
	exists, err := s.Client.User.Query().Where(user.ID(id)).Exist(ctx)
	if err != nil || exists {
		return err
	}
	err = s.Client.User.Create().SetID(id).SetName(Truncate(name, schema.MaxName)).Exec(ctx)
	if ent.IsConstraintError(err) { // somebody was faster
		return nil
	}
	return err
}
