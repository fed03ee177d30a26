// Package customer is the customer aggregate: a person with an account at one
// merchant's shop, known by an e-mail address or a phone number. It is pure.
package customer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/id"
	"quittance/pkg/mail"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Customer is the stored document.
type Customer struct {
	ID       string `json:"id"`
	Merchant string `json:"merchant"`
	// Email or Phone, in its normal form; the other is empty.
	Email       string    `json:"email,omitempty"`
	Phone       string    `json:"phone,omitempty"`
	PasswordSet bool      `json:"password_set,omitempty"`
	Created     time.Time `json:"created"`
	// Order is the one that the customer was made for.
	Order string `json:"order,omitempty"`
}

// Credential is what a customer is known by, in its normal form.
type Credential struct{ email, phone string }

// ByEmail is the credential of an address; letter case does not count.
func ByEmail(address string) (Credential, error) {
	if err := mail.ValidAddress(address); err != nil {
		return Credential{}, err
	}
	return Credential{email: strings.ToLower(address)}, nil
}

// ByPhone is the credential of an international number; it may be written with
// spaces and ()-./ and with 00 for the +.
func ByPhone(number string) (Credential, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()-./", r) {
			return -1
		}
		return r
	}, number)
	if rest, ok := strings.CutPrefix(digits, "00"); ok {
		digits = "+" + rest
	}
	plain, ok := strings.CutPrefix(digits, "+")
	// E.164: at most 15 digits, of which the country code has no leading 0.
	if !ok || len(plain) < 7 || len(plain) > 15 || plain[0] == '0' || strings.Trim(plain, "0123456789") != "" {
		return Credential{}, errors.New("must be an international number such as +47 12 34 56 78")
	}
	return Credential{phone: digits}, nil
}

// ID is the id of a merchant's customer with that credential: there is only one.
func (c Credential) ID(merchant string) string {
	if c.email != "" {
		return id.Derived("cus", merchant, "email", c.email)
	}
	return id.Derived("cus", merchant, "phone", c.phone)
}

// New is a merchant's customer with that credential, made for an order.
func (c Credential) New(merchant, order string, now time.Time) *Customer {
	return &Customer{ID: c.ID(merchant), Merchant: merchant, Email: c.email, Phone: c.phone, Created: now, Order: order}
}

// View is the customer as the merchant sees them.
func (c *Customer) View() *orderv1.CustomerAccount {
	return &orderv1.CustomerAccount{
		Id: c.ID, Email: c.Email, Phone: c.Phone, IsPasswordSet: c.PasswordSet, CreateTime: timestamppb.New(c.Created),
	}
}

// String keeps address and number out of logs.
func (c Credential) String() string {
	kind := "phone"
	if c.email != "" {
		kind = "email"
	}
	return fmt.Sprintf("credential(%s)", kind)
}
