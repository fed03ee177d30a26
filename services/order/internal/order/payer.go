package order

import (
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Payer is who paid, as the provider of the payment that counts tells.
type Payer struct {
	Name         string `json:"name,omitempty"`
	Company      string `json:"company,omitempty"`
	Email        string `json:"email,omitempty"`
	AddressLine1 string `json:"address_line1,omitempty"`
	AddressLine2 string `json:"address_line2,omitempty"`
	PostalCode   string `json:"postal_code,omitempty"`
	City         string `json:"city,omitempty"`
	Region       string `json:"region,omitempty"`
	Country      string `json:"country,omitempty"`
}

// PaidFrom takes over who paid from a fact about the attempt whose money counts,
// unless the customer was erased.
func (o *Order) PaidFrom(f *eventv1.PaymentVerified) {
	p := f.GetPayer()
	if p == nil || o.Erased() || o.PaidBy == "" || o.PaidBy != f.GetAttemptId() {
		return
	}
	o.Payer = &Payer{
		Name: p.GetName(), Company: p.GetCompany(), Email: p.GetEmail(), AddressLine1: p.GetAddressLine1(), AddressLine2: p.GetAddressLine2(),
		PostalCode: p.GetPostalCode(), City: p.GetCity(), Region: p.GetRegion(), Country: p.GetCountry(),
	}
}

func (p *Payer) view() *orderv1.Payer {
	if p == nil {
		return nil
	}
	return &orderv1.Payer{
		Name: p.Name, Company: p.Company, Email: p.Email, AddressLine1: p.AddressLine1, AddressLine2: p.AddressLine2,
		PostalCode: p.PostalCode, City: p.City, Region: p.Region, Country: p.Country,
	}
}
