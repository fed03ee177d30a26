package session

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func chosen() *Session {
	return &Session{
		Merchant: "acme", Items: []Item{{"notepad", 2}, {"backup", 1}}, Currency: "EUR", Discount: "BUNDLE",
		Reference: "cart-1", ReturnURL: "https://shop.example/", Locale: "de", Method: "acme-cards", Created: start,
		Customer: Customer{Email: "ada@example.org", Name: "Ada", Company: "Engines", VATID: "GB1", Address: "London"},
	}
}

// TestSessionsEnd: neither placing an order nor having one prolongs a session.
func TestSessionsEnd(t *testing.T) {
	s := chosen()
	for _, step := range []func(){func() {}, func() { s.Place("7", start.Add(time.Hour)) }, func() { s.Order = "ord_1" }} {
		step()
		if due := NextDue(s); !due.Equal(start.Add(24 * time.Hour)) {
			t.Errorf("due at %s", due)
		}
	}
}

func TestSet(t *testing.T) {
	for name, c := range map[string]struct {
		locked   bool
		product  string
		quantity int64
		want     []Item
	}{
		"more":                     {product: "notepad", quantity: 3, want: []Item{{"notepad", 3}, {"backup", 1}}},
		"none removes it":          {product: "notepad", quantity: 0, want: []Item{{"backup", 1}}},
		"less than none, too":      {product: "backup", quantity: -1, want: []Item{{"notepad", 2}}},
		"the limit":                {product: "backup", quantity: MaxQuantity, want: []Item{{"notepad", 2}, {"backup", MaxQuantity}}},
		"beyond the limit":         {product: "backup", quantity: MaxQuantity + 1, want: []Item{{"notepad", 2}, {"backup", MaxQuantity}}},
		"a product not there":      {product: "handbook", quantity: 1, want: chosen().Items},
		"a signed link's quantity": {locked: true, product: "notepad", quantity: 3, want: chosen().Items},
		"a signed link's product":  {locked: true, product: "notepad", quantity: 0, want: chosen().Items},
	} {
		t.Run(name, func(t *testing.T) {
			s := chosen()
			s.Locked = c.locked
			if s.Set(c.product, c.quantity); !slices.Equal(s.Items, c.want) {
				t.Errorf("%v, want %v", s.Items, c.want)
			}
		})
	}
}

// TestP10AddKeepsTheLimits: whatever is added, a session has each product once,
// in a quantity that was added and is allowed; and Add says what it left out.
func TestP10AddKeepsTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, sum := &Session{}, map[string]int64{}
		for range rapid.IntRange(0, 3*MaxItems).Draw(t, "times") {
			product := fmt.Sprintf("p%d", rapid.IntRange(0, MaxItems+5).Draw(t, "product"))
			quantity := rapid.Int64Range(1, MaxQuantity).Draw(t, "quantity")
			_, known := sum[product]
			room := known || len(sum) < MaxItems
			if got := s.Add(product, quantity); got != room {
				t.Fatalf("%s taken: %v, %d products before", product, got, len(sum))
			}
			if room {
				sum[product] = min(sum[product]+quantity, MaxQuantity)
			}
		}
		got := map[string]int64{}
		for _, it := range s.Items {
			if _, twice := got[it.Product]; twice {
				t.Fatalf("%s twice", it.Product)
			}
			got[it.Product] = it.Quantity
		}
		if !reflect.DeepEqual(got, sum) {
			t.Fatalf("%v, want %v", got, sum)
		}
	})
}

// TestPlacingTwiceIsPlacingOnce: the request that a double submit or a crash
// sends again is the first one to the byte, so that no second order comes of it.
func TestPlacingTwiceIsPlacingOnce(t *testing.T) {
	s := chosen()
	s.Place("7", start)
	first := s.Request("secret")
	s.Place("8", start.Add(time.Minute))
	if again := s.Request("secret"); !proto.Equal(first, again) {
		t.Errorf("%v, then %v", first, again)
	}
	if c := first.GetConsent(); c.GetTermsVersion() != "7" || !c.GetTime().AsTime().Equal(start) {
		t.Errorf("consent %v", c)
	}
	if first.GetIdempotencyKey() == s.Request("other").GetIdempotencyKey() {
		t.Error("two sessions share a key")
	}
}

// TestReopen: a refused order may be changed and agreed to anew; one that
// exists may not.
func TestReopen(t *testing.T) {
	s := chosen()
	s.Place("7", start)
	s.Reopen()
	if s.Placed != nil || s.Request("secret").GetConsent() != nil {
		t.Fatal("still placed")
	}
	s.Place("8", start.Add(time.Minute))
	s.Order = "ord_1"
	if s.Reopen(); s.Placed == nil || s.Placed.TermsVersion != "8" {
		t.Errorf("placed %v", s.Placed)
	}
}

// TestRequestSaysAllThatWasChosen: and the secret of the page is not in it.
func TestRequestSaysAllThatWasChosen(t *testing.T) {
	s := chosen()
	req := s.Request("secret")
	c := req.GetCustomer()
	got := Session{
		Merchant: s.Merchant, Currency: req.GetCurrency(), Discount: req.GetDiscountCode(), Reference: req.GetReference(),
		ReturnURL: req.GetReturnUrl(), Locale: c.GetLocale(), Method: s.Method, Created: s.Created,
		Customer: Customer{c.GetEmail(), c.GetName(), c.GetCompany(), c.GetVatId(), c.GetAddress()},
	}
	for _, it := range req.GetItems() {
		got.Items = append(got.Items, Item{it.GetProductId(), it.GetQuantity()})
	}
	if !reflect.DeepEqual(&got, s) {
		t.Errorf("%+v, want %+v", got, *s)
	}
	if key := req.GetIdempotencyKey(); key == "" || key == "secret" {
		t.Errorf("key %q", key)
	}
}
