package verification

import orderv1 "quittance/proto/gen/go/quittance/order/v1"

// Payer is who paid, as the provider tells: personal data. It is told with the
// facts and is none of them: a change of it alone is not news.
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

// Erase drops who paid, but for the country, on which taxes depend, what they left
// for later purchases, and what was said about refunds. From then on nothing of it
// is kept. It reports whether that changed anything.
func (v *Verification) Erase() bool {
	changed := !v.Erased || v.Payer != v.Payer.erased() || v.OneClick != ""
	v.Erased, v.Payer, v.OneClick = true, v.Payer.erased(), ""
	for i := range v.Operations {
		if op := &v.Operations[i]; op.Next.IsZero() && op.Detail != "" {
			op.Detail, changed = "", true
		}
	}
	return changed
}

func (p Payer) erased() Payer { return Payer{Country: p.Country} }

func (p Payer) view() *orderv1.Payer {
	if p == (Payer{}) {
		return nil
	}
	return &orderv1.Payer{
		Name: p.Name, Company: p.Company, Email: p.Email, AddressLine1: p.AddressLine1, AddressLine2: p.AddressLine2,
		PostalCode: p.PostalCode, City: p.City, Region: p.Region, Country: p.Country,
	}
}
