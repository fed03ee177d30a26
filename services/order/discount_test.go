package order_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func TestDiscountedOrders(t *testing.T) {
	w := newWorld(t)
	orders, catalog := w.merchant("acme")
	other, _ := w.merchant("other")
	put, err := catalog.PutDiscount(t.Context(), &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{Code: "spring-10", Percent: 10}})
	if err != nil || put.GetCode() != "SPRING-10" {
		t.Fatal(put, err)
	}
	if got, err := catalog.GetDiscount(t.Context(), &orderv1.GetDiscountRequest{Code: "Spring-10"}); err != nil || got.GetPercent() != 10 {
		t.Fatal(got, err)
	}
	req := good("k")
	req.DiscountCode, req.Customer.Company, req.Customer.Address = "spring-10", "Acme & Söhne", "1 Main Street\nTown"
	req.Consent = &orderv1.Consent{TermsVersion: "7", Time: timestamppb.New(time.Unix(1000, 0))}
	priced, err := orders.PriceOrder(t.Context(), &orderv1.PriceOrderRequest{Order: &orderv1.CreateOrderRequest{
		Items: req.GetItems(), Currency: "EUR", DiscountCode: "SPRING-10",
	}})
	if err != nil || priced.GetTotal().GetMinor() != 1799 || priced.GetId() != "" {
		t.Fatal(priced, err)
	}
	if list, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}); err != nil || len(list.GetOrders()) != 0 {
		t.Fatal("pricing stores an order", list, err)
	}
	o, err := orders.CreateOrder(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	line := o.GetLines()[0]
	if o.GetTotal().GetMinor() != 1799 || o.GetDiscount().GetMinor() != 199 || o.GetDiscountCode() != "SPRING-10" ||
		line.GetAmount().GetMinor() != 1799 || line.GetDiscount().GetMinor() != 199 || line.GetUnitPrice().GetMinor() != 999 ||
		o.GetCustomer().GetCompany() != "Acme & Söhne" || o.GetConsent().GetTermsVersion() != "7" || o.GetConsent().GetTime().GetSeconds() != 1000 {
		t.Errorf("order %v", o)
	}
	for name, call := range map[string]func() error{
		"another merchant's": func() error {
			r := good("x")
			r.ReturnUrl, r.DiscountCode = "", "SPRING-10"
			_, err := other.CreateOrder(t.Context(), r)
			return err
		},
		"unknown": func() error {
			r := good("x")
			r.DiscountCode = "NONE"
			_, err := orders.CreateOrder(t.Context(), r)
			return err
		},
	} {
		if err := call(); !slices.Equal(fields(fault.FromStatus(err)), []string{"discount_code"}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The repeat of an order stays good when its discount is over.
	if _, err := catalog.PutDiscount(t.Context(), &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{Code: "SPRING-10", Percent: 10, Archived: true}}); err != nil {
		t.Fatal(err)
	}
	if again, err := orders.CreateOrder(t.Context(), req); err != nil || again.GetId() != o.GetId() {
		t.Errorf("repeated: %v, %v", again, err)
	}
}

// TestADiscountIsUsedAsOftenAsItMayBe: many orders at once, none too many, and
// repeats use nothing up.
func TestADiscountIsUsedAsOftenAsItMayBe(t *testing.T) {
	w := newWorld(t)
	orders, catalog := w.merchant("acme")
	const limit, tries = 8, 24
	if _, err := catalog.PutDiscount(t.Context(), &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{Code: "FEW", Percent: 50, MaxUses: limit}}); err != nil {
		t.Fatal(err)
	}
	var used atomic.Int64
	var wg sync.WaitGroup
	for i := range tries {
		wg.Go(func() {
			req := good(fmt.Sprint("k", i))
			req.DiscountCode = "FEW"
			_, err := orders.CreateOrder(t.Context(), req)
			if err == nil {
				used.Add(1)
				_, err = orders.CreateOrder(t.Context(), req)
			}
			if err != nil && !strings.Contains(err.Error(), "as often as it may be") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used.Load() != limit {
		t.Errorf("used %d times, may be used %d times", used.Load(), limit)
	}
}

func TestADiscountOncePerCustomer(t *testing.T) {
	w := newWorld(t)
	orders, catalog := w.merchant("acme")
	if _, err := catalog.PutDiscount(t.Context(), &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{
		Code: "HELLO", Amounts: []*orderv1.Money{{Minor: 500, Currency: "EUR"}}, OncePerCustomer: true,
	}}); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		email string
		good  bool
	}{{"ada@example.com", true}, {"Ada@Example.com", false}, {"bob@example.com", true}} {
		req := good(fmt.Sprint("k", i))
		req.DiscountCode, req.Customer.Email = "hello", tt.email
		if _, err := orders.CreateOrder(t.Context(), req); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.email, err)
		}
	}
}

func TestP10BadDiscountsAndStorefrontsNameTheField(t *testing.T) {
	w := newWorld(t)
	_, catalog := w.merchant("acme")
	for field, d := range map[string]*orderv1.Discount{
		"discount.code":                {Code: "a b", Percent: 1},
		"discount.percent":             {Code: "A"},
		"discount.amounts[0].minor":    {Code: "A", Amounts: []*orderv1.Money{{Currency: "EUR"}}},
		"discount.amounts[0].currency": {Code: "A", Amounts: []*orderv1.Money{{Minor: 1, Currency: "eur"}}},
		"discount.max_uses":            {Code: "A", Percent: 1, MaxUses: 1001},
		"discount.product_ids[0]":      {Code: "A", Percent: 1, ProductIds: []string{"A B"}},
	} {
		if _, err := catalog.PutDiscount(t.Context(), &orderv1.PutDiscountRequest{Discount: d}); !slices.Contains(fields(fault.FromStatus(err)), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for field, s := range map[string]*orderv1.Storefront{
		"merchant.storefront.color":         {Color: "red; } body { display: none"},
		"merchant.storefront.logo":          {Logo: []byte("<svg onload=alert(1)>")},
		"merchant.storefront.seller":        {Seller: strings.Repeat("x\n", 20)},
		"merchant.storefront.terms_url":     {TermsUrl: "javascript:alert(1)"},
		"merchant.storefront.privacy_url":   {PrivacyUrl: "/privacy"},
		"merchant.storefront.terms_version": {TermsVersion: strings.Repeat("v", 41)},
		"merchant.storefront.support_email": {SupportEmail: "help"},
	} {
		_, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
			Id: "acme", Name: "acme", MailFrom: "shop@acme.example", Storefront: s,
		}})
		if !slices.Contains(fields(fault.FromStatus(err)), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
