package graph

import (
	"context"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
)

func toAddress(a *commerce.Address) *model.Address {
	if a == nil {
		return nil
	}
	return &model.Address{
		Name: a.Name, Phone: orNull(a.Phone), Lines: append([]string{}, a.Lines...), City: a.City, Region: orNull(a.Region),
		PostalCode: orNull(a.PostalCode), CountryCode: a.Country,
	}
}

func toContact(c *commerce.Contact) *model.Contact {
	if c == nil {
		return nil
	}
	return &model.Contact{Name: orNull(c.Name), Email: orNull(c.Email), Phone: orNull(c.Phone)}
}

func toCustomerAddress(a *ent.CustomerAddress) *model.CustomerAddress {
	if a == nil {
		return nil
	}
	return &model.CustomerAddress{
		ID: a.ID, Address: toAddress(a.Address), IsDefault: a.IsDefault, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

func fromAddress(in *model.AddressInput) *commerce.Address {
	if in == nil {
		return nil
	}
	return &commerce.Address{
		Name: in.Name, Phone: orZero(in.Phone), Lines: in.Lines, City: in.City, Region: orZero(in.Region),
		PostalCode: orZero(in.PostalCode), Country: in.CountryCode,
	}
}

func fromContact(in *model.ContactInput) *commerce.Contact {
	if in == nil {
		return nil
	}
	return &commerce.Contact{Name: orZero(in.Name), Email: orZero(in.Email), Phone: orZero(in.Phone)}
}

// addressPayload answers a mutation of an address of the viewer.
func (r *Resolver) addressPayload(ctx context.Context, row *ent.CustomerAddress, err error) (*model.CustomerAddressPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	customer, err := r.services.Customers.Get(ctx, auth.Viewer(ctx))
	return &model.CustomerAddressPayload{Address: toCustomerAddress(row), Customer: toCustomer(customer), UserErrors: userErrors}, err
}
