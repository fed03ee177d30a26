package customer

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	same := map[string][]string{
		"ada@example.com": {"Ada@Example.COM", "ADA@EXAMPLE.COM", "ada@example.com"},
		"+4712345678":     {"+47 12 34 56 78", "004712345678", "+47 (12) 34-56.78", "+47/12345678"},
	}
	for want, spellings := range same {
		for _, s := range spellings {
			c, err := ByEmail(s)
			if strings.HasPrefix(want, "+") {
				c, err = ByPhone(s)
			}
			if err != nil || c.email+c.phone != want {
				t.Errorf("%q is %+v, %v, want %s", s, c.email+c.phone, err, want)
			}
			if strings.Contains(fmt.Sprint(c), want) {
				t.Errorf("printing shows %s", c)
			}
		}
	}
	for _, s := range []string{"", "12345678", "+", "+012345678", "+4712345x78", "+47123", "+471234567890123456", "٠٠٤٧١٢٣٤٥٦٧٨", "+47+12345678"} {
		if c, err := ByPhone(s); err == nil {
			t.Errorf("%q is a number: %v", s, c.phone)
		}
	}
	for _, s := range []string{"", "ada", "ada@", "a b@example.com"} {
		if c, err := ByEmail(s); err == nil {
			t.Errorf("%q is an address: %v", s, c.email)
		}
	}
}

func TestP8CustomersOfMerchantsAreOthers(t *testing.T) {
	mail, err := ByEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	phone, err := ByPhone("+4712345678")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{mail.ID("acme"): true, mail.ID("zeta"): true, phone.ID("acme"): true, phone.ID("zeta"): true}
	if len(ids) != 4 {
		t.Error("two customers with one id")
	}
	if c := mail.New("acme", "ord_1", time.Unix(0, 0)); c.ID != mail.ID("acme") || c.View().GetEmail() != "ada@example.com" || c.View().GetPhone() != "" {
		t.Errorf("%+v", c)
	}
}
