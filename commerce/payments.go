package commerce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"holdfast/ent/payment"
	"holdfast/payments"
)

// The values of payment.gateway.
const (
	GatewayNone      = "none"
	GatewaySimulated = "simulated"
	GatewayStripe    = "stripe"
)

// PaymentMethods are payment methods as the configuration names them, separated by commas. Blanks around a name do not count.
type PaymentMethods string

// List returns the methods in the order of the configuration.
func (m PaymentMethods) List() []payment.Method {
	list := []payment.Method{}
	for name := range strings.SplitSeq(string(m), ",") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, payment.Method(name))
		}
	}
	return list
}

// Valid reports whether each name is that of a method, and none is there twice.
func (m PaymentMethods) Valid() bool {
	list := m.List()
	for i, method := range list {
		if payment.MethodValidator(method) != nil || slices.Contains(list[:i], method) {
			return false
		}
	}
	return true
}

// Payments are the ways in which customers may pay.
type Payments struct{ *core }

// Methods returns the payment methods that the shop takes.
func (s *Payments) Methods() []payment.Method { return s.Payment.Methods.List() }

// Simulated reports whether card payments are simulated, so that no money is taken.
func (s *Payments) Simulated() bool { return s.TakesNoMoney }

// GatewayName returns the name of the configured gateway, as the configuration has it.
func (s *Payments) GatewayName() string { return s.Payment.Gateway }

// PointsPrice returns what customers pay for 100 points.
func (s *Payments) PointsPrice() Money {
	return Money{Minor: s.Payment.PointsPrice, Currency: s.Shop.Currency}
}

// MethodNotTakenDetails tells which payment method the shop does not take, and which methods it takes.
type MethodNotTakenDetails struct {
	Method payment.Method
	Taken  []payment.Method
}

// checkTaken refuses a payment method that the shop does not take.
func (c *core) checkTaken(method payment.Method) error {
	taken := c.Payment.Methods.List()
	if slices.Contains(taken, method) {
		return nil
	}
	names := make([]string, len(taken))
	for i, m := range taken {
		names[i] = string(m)
	}
	message := fmt.Sprintf("the shop does not take %s; it takes %s", method, strings.Join(names, ", "))
	if len(taken) == 0 {
		message = fmt.Sprintf("the shop does not take %s, nor any other payment method", method)
	}
	return &Error{
		Code: InvalidInput, Field: input("payment", "method"), Message: message,
		Details: MethodNotTakenDetails{Method: method, Taken: taken},
	}
}

// noGateway stands for the gateway of a shop that has none. Payments that an earlier gateway has begun wait until it is back.
type noGateway struct{}

var errNoGateway = errors.New("no payment gateway is configured")

func (noGateway) Authorize(context.Context, payments.Authorization) (payments.Answer, error) {
	return payments.Answer{}, errNoGateway
}

func (noGateway) Capture(context.Context, payments.Ref, payments.Amount) (payments.Answer, error) {
	return payments.Answer{}, errNoGateway
}

func (noGateway) Void(context.Context, payments.Ref) (payments.Answer, error) {
	return payments.Answer{}, errNoGateway
}

func (noGateway) Refund(context.Context, payments.Ref, string, payments.Amount) (payments.Answer, error) {
	return payments.Answer{}, errNoGateway
}

func (noGateway) Lookup(context.Context, payments.Ref) (payments.Answer, error) {
	return payments.Answer{}, errNoGateway
}

func (noGateway) List(context.Context, time.Time, time.Time, string) (payments.Page, error) {
	return payments.Page{}, errNoGateway
}

func (noGateway) Movements(context.Context, payments.Ref) ([]payments.Movement, error) {
	return nil, errNoGateway
}

func (noGateway) ParseWebhook(http.Header, []byte, time.Time) ([]payments.Notification, error) {
	return nil, errNoGateway
}
