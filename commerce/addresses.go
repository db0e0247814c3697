package commerce

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/customeraddress"
	"holdfast/ent/schema"
	"holdfast/ent/user"
)

// Address is where something is sent. No event has it, nor any log that formats it or the request.
type Address = schema.Address

// Contact is how somebody can be reached. No event has it, nor any log that formats it or the request.
type Contact = schema.Contact

// CreateAddress adds an address to the address book of the viewer.
type CreateAddress struct {
	Key     uuid.UUID // the nil UUID for none: then each call adds an address
	Address Address
	Default bool // the first one is the default in any case
}

// CreateAddress adds an address to the address book of the viewer, who has at most
// shop.maxAddresses. A repeat with the same key returns the first one. Errors: INVALID_INPUT,
// INVALID_STATE if there are as many as a customer may have, IDEMPOTENCY_MISMATCH,
// IDEMPOTENCY_EXPIRED.
func (s *Customers) CreateAddress(ctx context.Context, v Viewer, in CreateAddress) (*ent.CustomerAddress, error) {
	if err := s.ensure(ctx, v); err != nil {
		return nil, err
	}
	address, errs := tidyAddress(in.Address, "address")
	if errs != nil {
		return nil, errs
	}
	op := newOperation(v, "customerAddressCreate", in.Key, in)
	id := op.objectID(prefixAddress)
	return changeOnce(ctx, s.core, op, id, s.ownAddress(v), func(tx *ent.Tx) (*ent.CustomerAddress, error) {
		if err := s.lockCustomer(ctx, tx, v.UserID); err != nil {
			return nil, err
		}
		if op.keyed() { // a full book does not hide that the address is there
			if added, err := tx.CustomerAddress.Query().Where(customeraddress.ID(id)).Exist(ctx); err != nil || added {
				return nil, cmp.Or[error](err, keyExpired())
			}
		}
		n, err := tx.CustomerAddress.Query().Where(customeraddress.UserID(v.UserID)).Count(ctx)
		if err != nil {
			return nil, err
		}
		if n >= s.Shop.MaxAddresses {
			return nil, &Error{
				Code: InvalidState, Field: input("address"),
				Message: fmt.Sprintf("a customer has at most %d addresses, and has as many already; delete or change one", s.Shop.MaxAddresses),
			}
		}
		if in.Default && n > 0 {
			if err := noDefault(ctx, tx, v.UserID); err != nil {
				return nil, err
			}
		}
		return tx.CustomerAddress.Create().SetID(id).SetUserID(v.UserID).SetAddress(address).SetIsDefault(in.Default || n == 0).
			SetCreatedAt(s.now()).SetUpdatedAt(s.now()).Save(ctx)
	})
}

// UpdateAddress replaces an address of the viewer.
type UpdateAddress struct {
	Key     uuid.UUID // the nil UUID for none
	ID      string
	Address Address
}

// UpdateAddress replaces an address of the viewer. Orders keep the copy that they were placed with.
// Errors: INVALID_INPUT, NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Customers) UpdateAddress(ctx context.Context, v Viewer, in UpdateAddress) (*ent.CustomerAddress, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	address, errs := tidyAddress(in.Address, "address")
	if errs != nil {
		return nil, errs
	}
	op := newOperation(v, "customerAddressUpdate", in.Key, in)
	return changeOnce(ctx, s.core, op, in.ID, s.ownAddress(v), func(tx *ent.Tx) (*ent.CustomerAddress, error) {
		err := tx.CustomerAddress.Update().Where(customeraddress.ID(in.ID), customeraddress.UserID(v.UserID)).
			SetAddress(address).SetUpdatedAt(s.now()).Exec(ctx)
		if err != nil {
			return nil, err
		}
		return ownAddress(ctx, tx.CustomerAddress, v, in.ID)
	})
}

// ChooseAddress names an address of the viewer.
type ChooseAddress struct {
	Key uuid.UUID // the nil UUID for none
	ID  string
}

// SetDefaultAddress makes an address of the viewer the default one. Errors: NOT_FOUND,
// IDEMPOTENCY_MISMATCH.
func (s *Customers) SetDefaultAddress(ctx context.Context, v Viewer, in ChooseAddress) (*ent.CustomerAddress, error) {
	if err := s.ensure(ctx, v); err != nil {
		return nil, err
	}
	op := newOperation(v, "customerDefaultAddressUpdate", in.Key, in)
	return changeOnce(ctx, s.core, op, in.ID, s.ownAddress(v), func(tx *ent.Tx) (*ent.CustomerAddress, error) {
		if err := s.lockCustomer(ctx, tx, v.UserID); err != nil {
			return nil, err
		}
		row, err := ownAddress(ctx, tx.CustomerAddress, v, in.ID)
		if err != nil {
			return nil, err
		}
		if err := noDefault(ctx, tx, v.UserID); err != nil {
			return nil, err
		}
		return tx.CustomerAddress.UpdateOne(row).SetIsDefault(true).SetUpdatedAt(s.now()).Save(ctx)
	})
}

// DeleteAddress deletes an address of the viewer. If it was the default one, the oldest of the
// others is. Orders keep their copies. A repeat with the same key does nothing. Errors: NOT_FOUND,
// IDEMPOTENCY_MISMATCH.
func (s *Customers) DeleteAddress(ctx context.Context, v Viewer, in ChooseAddress) error {
	if err := s.ensure(ctx, v); err != nil {
		return err
	}
	_, err := s.once(ctx, newOperation(v, "customerAddressDelete", in.Key, in), func(tx *ent.Tx) error {
		if err := s.lockCustomer(ctx, tx, v.UserID); err != nil {
			return err
		}
		row, err := ownAddress(ctx, tx.CustomerAddress, v, in.ID)
		if err != nil {
			return err
		}
		if err := tx.CustomerAddress.DeleteOne(row).Exec(ctx); err != nil || !row.IsDefault {
			return err
		}
		next, err := orNil(tx.CustomerAddress.Query().Where(customeraddress.UserID(v.UserID)).
			Order(customeraddress.ByCreatedAt(), customeraddress.ByID()).First(ctx))
		if err != nil || next == nil {
			return err
		}
		return tx.CustomerAddress.UpdateOne(next).SetIsDefault(true).Exec(ctx)
	})
	return err
}

// noDefault leaves a customer without a default address, within a transaction that makes another
// one the default.
func noDefault(ctx context.Context, tx *ent.Tx, userID string) error {
	return tx.CustomerAddress.Update().Where(customeraddress.UserID(userID), customeraddress.IsDefault(true)).SetIsDefault(false).Exec(ctx)
}

// ownAddress reads an address of the viewer outside of a transaction.
func (s *Customers) ownAddress(v Viewer) func(ctx context.Context, id string) (*ent.CustomerAddress, error) {
	return func(ctx context.Context, id string) (*ent.CustomerAddress, error) {
		return ownAddress(ctx, s.Client.CustomerAddress, v, id)
	}
}

// ownAddress returns an address of the viewer, or NOT_FOUND.
func ownAddress(ctx context.Context, client *ent.CustomerAddressClient, v Viewer, id string) (*ent.CustomerAddress, error) {
	row, err := client.Query().Where(customeraddress.ID(id), customeraddress.UserID(v.UserID)).Only(ctx)
	return existing(row, err, "address", id)
}

// lockCustomer locks the customer's row, so that of several transactions that count what a customer
// has none comes to one too many.
func (c *core) lockCustomer(ctx context.Context, tx *ent.Tx, userID string) error {
	owner := tx.User.Query().Where(user.ID(userID))
	if c.Ledger.Dialect() != dialect.SQLite { // SQLite has no row locks: it admits one writer at a time
		owner.ForUpdate()
	}
	_, err := owner.Only(ctx)
	return err
}

// AddressesOf returns the address books of customers whom the viewer may see, each the oldest
// address first.
func (s *Customers) AddressesOf(ctx context.Context, v Viewer, customers []string) (map[string][]*ent.CustomerAddress, error) {
	shown := slices.DeleteFunc(slices.Clone(customers), func(id string) bool { return id == "" || !v.may(id) })
	if len(shown) == 0 {
		return nil, nil
	}
	rows, err := s.Client.CustomerAddress.Query().Where(customeraddress.UserIDIn(shown...)).
		Order(customeraddress.ByCreatedAt(), customeraddress.ByID()).All(ctx)
	books := make(map[string][]*ent.CustomerAddress, len(shown))
	for _, row := range rows {
		books[row.UserID] = append(books[row.UserID], row)
	}
	return books, err
}

// UpdateCustomer changes what a customer says about themselves.
type UpdateCustomer struct {
	Key     uuid.UUID // the nil UUID for none
	Contact NewContact
}

// NewContact is how the customer can be reached from now on.
type NewContact struct {
	Given   bool     // else it stays
	Contact *Contact // nil for not at all
}

// Update sets how the viewer can be reached. Orders keep the copy that they were placed with.
// Errors: INVALID_INPUT, IDEMPOTENCY_MISMATCH.
func (s *Customers) Update(ctx context.Context, v Viewer, in UpdateCustomer) (*ent.User, error) {
	if err := s.ensure(ctx, v); err != nil {
		return nil, err
	}
	contact, errs := tidyContact(in.Contact.Contact, "contact")
	if errs != nil {
		return nil, errs
	}
	op := newOperation(v, "customerUpdate", in.Key, in)
	return changeOnce(ctx, s.core, op, v.UserID, s.Client.User.Get, func(tx *ent.Tx) (*ent.User, error) {
		switch {
		case !in.Contact.Given:
			return tx.User.Get(ctx, v.UserID)
		case contact == nil:
			return tx.User.UpdateOneID(v.UserID).ClearContact().Save(ctx)
		}
		return tx.User.UpdateOneID(v.UserID).SetContact(contact).Save(ctx)
	})
}

// phonePattern is what people write telephone numbers as. Extensions are letters.
var phonePattern = regexp.MustCompile(`^[+(0-9][0-9A-Za-z ()./+-]*$`)

// tidyAddress returns an address without blanks around its parts, or what is wrong with it. The
// errors name the parts, and never repeat them.
func tidyAddress(a Address, field string) (*Address, Errors) {
	a.Name, a.City, a.Region = strings.TrimSpace(a.Name), strings.TrimSpace(a.City), strings.TrimSpace(a.Region)
	a.Phone, a.PostalCode, a.Country = strings.TrimSpace(a.Phone), strings.TrimSpace(a.PostalCode), strings.TrimSpace(a.Country)
	a.Lines = slices.Clone(a.Lines)
	var errs Errors
	errs = append(errs, checkPart(field, "name", a.Name, 1, schema.MaxName)...)
	errs = append(errs, checkPhone(field, a.Phone)...)
	if n := len(a.Lines); n < 1 || n > schema.MaxAddressLines {
		errs = append(errs, invalid(input(field, "lines"), "lines must be 1 to %d, not %d", schema.MaxAddressLines, n))
	} else {
		for i := range a.Lines {
			a.Lines[i] = strings.TrimSpace(a.Lines[i])
			for _, e := range checkPart(field, "lines", a.Lines[i], 1, schema.MaxAddressLine) {
				e.Field = append(e.Field, strconv.Itoa(i))
				errs = append(errs, e)
			}
		}
	}
	errs = append(errs, checkPart(field, "city", a.City, 1, schema.MaxCity)...)
	errs = append(errs, checkPart(field, "region", a.Region, 0, schema.MaxRegion)...)
	errs = append(errs, checkPart(field, "postalCode", a.PostalCode, 0, schema.MaxPostalCode)...)
	if !isCountry(a.Country) {
		errs = append(errs, invalid(input(field, "countryCode"),
			"countryCode must be two upper-case letters of ISO 3166-1 that are assigned now, or XK; such as DE, JP or US"))
	}
	if errs != nil {
		return nil, errs
	}
	return &a, nil
}

// tidyContact returns a contact without blanks around its parts, or what is wrong with it. No
// contact is nil.
func tidyContact(given *Contact, field string) (*Contact, Errors) {
	if given == nil {
		return nil, nil
	}
	c := Contact{Name: strings.TrimSpace(given.Name), Email: strings.TrimSpace(given.Email), Phone: strings.TrimSpace(given.Phone)}
	var errs Errors
	errs = append(errs, checkPart(field, "name", c.Name, 0, schema.MaxName)...)
	errs = append(errs, checkPhone(field, c.Phone)...)
	if e := checkPart(field, "email", c.Email, 0, schema.MaxEmail); e != nil {
		errs = append(errs, e...)
	} else if parsed, err := mail.ParseAddress(c.Email); c.Email != "" && (err != nil || parsed.Address != c.Email) {
		errs = append(errs, invalid(input(field, "email"), "email must be an e-mail address, such as ann@example.com"))
	}
	if c.Email == "" && c.Phone == "" {
		errs = append(errs, invalid(input(field), "a contact needs an email or a phone"))
	}
	if errs != nil {
		return nil, errs
	}
	return &c, nil
}

// checkPart refuses a part of an address or a contact that has too few characters or too many, or
// some that cannot be printed on a label.
func checkPart(field, part, text string, atLeast, atMost int) Errors {
	errs := checkText(part, text, atLeast, atMost)
	if errs == nil && strings.ContainsFunc(text, unicode.IsControl) {
		errs = Errors{invalid(nil, "%s must have no line breaks or other control characters", part)}
	}
	for _, e := range errs {
		e.Field = input(field, part)
	}
	return errs
}

func checkPhone(field, phone string) Errors {
	errs := checkPart(field, "phone", phone, 0, schema.MaxPhone)
	if errs == nil && phone != "" && !phonePattern.MatchString(phone) {
		errs = Errors{invalid(input(field, "phone"), "phone must be a telephone number, such as +49 30 1234567")}
	}
	return errs
}

// countries are the codes of ISO 3166-1 alpha-2 that are assigned now, and XK, by which post goes
// to Kosovo. What golang.org/x/text takes for the code of a country has those of countries that are
// no more, such as YU, too.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK"

var countrySet = func() map[string]bool {
	codes := map[string]bool{}
	for code := range strings.FieldsSeq(countries) {
		codes[code] = true
	}
	return codes
}()

func isCountry(code string) bool { return countrySet[code] }

// What requests have of addresses, contacts and secrets shows in no log: a handler that writes JSON
// asks only the value that it is given.

// LogValue hides what the request has.
func (PlaceOrder) LogValue() slog.Value { return slog.StringValue("order to place") }

// LogValue hides what the request has.
func (CheckoutCart) LogValue() slog.Value { return slog.StringValue("cart to check out") }

// LogValue hides the address.
func (CreateAddress) LogValue() slog.Value { return slog.StringValue("address to add") }

// LogValue hides the address.
func (UpdateAddress) LogValue() slog.Value { return slog.StringValue("address to change") }

// LogValue hides the contact.
func (UpdateCustomer) LogValue() slog.Value { return slog.StringValue("customer to change") }
