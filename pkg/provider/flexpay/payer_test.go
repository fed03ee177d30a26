package flexpay

import "testing"

func TestPayer(t *testing.T) {
	s, err := settingsOf(account())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.report(map[string]string{
		"response": "FOUND", "saleResult": "APPROVED", "saleID": "1", "referenceID": "pay_1", "priceAmount": "9.99", "priceCurrency": "EUR",
		"billingAddr_fullName": "Ada\nL", "billingAddr_addressLine1": "Way 1", "billingAddr_zip": "0123", "billingAddr_city": "Oslo",
		"billingAddr_country": "NO", "email": "ada@example.org",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Payer
	if p.Name != "Ada L" || p.AddressLine1 != "Way 1" || p.PostalCode != "0123" || p.City != "Oslo" || p.CountryISO != "NO" || p.Email != "ada@example.org" || p.Region != "" {
		t.Errorf("%+v", p)
	}
}
