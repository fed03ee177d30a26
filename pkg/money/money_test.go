package money_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"quittance/pkg/money"
)

func TestExponent(t *testing.T) {
	tests := map[string]struct {
		exponent int
		known    bool
	}{
		"EUR": {2, true}, "USD": {2, true}, "SEK": {2, true}, "XCG": {2, true}, "ZWG": {2, true},
		"JPY": {0, true}, "KRW": {0, true}, "XOF": {0, true}, "UYI": {0, true},
		"BHD": {3, true}, "KWD": {3, true}, "TND": {3, true},
		"CLF": {4, true}, "UYW": {4, true},
		"XAU": {}, "XTS": {}, "XXX": {}, "XDR": {}, "BGN": {}, "HRK": {}, "eur": {}, "EURO": {}, "": {},
	}
	for currency, want := range tests {
		exponent, known := money.Exponent(currency)
		if exponent != want.exponent || known != want.known {
			t.Errorf("Exponent(%q) = %d, %t; want %d, %t", currency, exponent, known, want.exponent, want.known)
		}
	}
}

func TestNew(t *testing.T) {
	got, err := money.New(999, "EUR")
	if err != nil || got != (money.Amount{Minor: 999, Currency: "EUR"}) {
		t.Errorf("New = %v, %v", got, err)
	}
	if _, err := money.New(1, "eur"); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("New in lower case: %v, want ErrUnknownCurrency", err)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		currency, decimal string
		minor             int64
		err               error
	}{
		{"EUR", "9.99", 999, nil},
		{"EUR", "9.9", 990, nil},
		{"EUR", "9", 900, nil},
		{"EUR", "0", 0, nil},
		{"EUR", "0.05", 5, nil},
		{"EUR", "009.99", 999, nil},
		{"JPY", "1000", 1000, nil},
		{"KWD", "1.234", 1234, nil},
		{"CLF", "1.2345", 12345, nil},
		{"EUR", "92233720368547758.07", math.MaxInt64, nil},
		{"EUR", "92233720368547758.08", 0, money.ErrOverflow},
		{"JPY", "9223372036854775808", 0, money.ErrOverflow},
		{"EUR", "99999999999999999999999999", 0, money.ErrOverflow},
		{"EUR", "9.999", 0, money.ErrSyntax},
		{"EUR", "9.990", 0, money.ErrSyntax},
		{"JPY", "9.0", 0, money.ErrSyntax},
		{"EUR", "", 0, money.ErrSyntax},
		{"EUR", ".", 0, money.ErrSyntax},
		{"EUR", "9.", 0, money.ErrSyntax},
		{"EUR", ".99", 0, money.ErrSyntax},
		{"JPY", "9.", 0, money.ErrSyntax},
		{"EUR", "9.9.9", 0, money.ErrSyntax},
		{"EUR", "9,99", 0, money.ErrSyntax},
		{"EUR", "1,000.00", 0, money.ErrSyntax},
		{"EUR", "+9.99", 0, money.ErrSyntax},
		{"EUR", "-9.99", 0, money.ErrSyntax},
		{"EUR", " 9.99", 0, money.ErrSyntax},
		{"EUR", "9.99\n", 0, money.ErrSyntax},
		{"EUR", "1e2", 0, money.ErrSyntax},
		{"EUR", "0x10", 0, money.ErrSyntax},
		{"EUR", "1_0", 0, money.ErrSyntax},
		{"EUR", "９.99", 0, money.ErrSyntax},
		{"EUR", "NaN", 0, money.ErrSyntax},
		{"XAU", "1", 0, money.ErrUnknownCurrency},
		{"", "1", 0, money.ErrUnknownCurrency},
	}
	for _, tt := range tests {
		got, err := money.Parse(tt.currency, tt.decimal)
		if !errors.Is(err, tt.err) || (tt.err == nil && got != (money.Amount{Minor: tt.minor, Currency: tt.currency})) {
			t.Errorf("Parse(%q, %q) = %v, %v; want %d, %v", tt.currency, tt.decimal, got, err, tt.minor, tt.err)
		}
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		amount  money.Amount
		decimal string
		text    string
	}{
		{money.Amount{Minor: 999, Currency: "EUR"}, "9.99", "9.99 EUR"},
		{money.Amount{Minor: 5, Currency: "EUR"}, "0.05", "0.05 EUR"},
		{money.Amount{Minor: 0, Currency: "EUR"}, "0.00", "0.00 EUR"},
		{money.Amount{Minor: -5, Currency: "EUR"}, "-0.05", "-0.05 EUR"},
		{money.Amount{Minor: -12345, Currency: "EUR"}, "-123.45", "-123.45 EUR"},
		{money.Amount{Minor: 1000, Currency: "JPY"}, "1000", "1000 JPY"},
		{money.Amount{Minor: 1, Currency: "KWD"}, "0.001", "0.001 KWD"},
		{money.Amount{Minor: 12345, Currency: "UYW"}, "1.2345", "1.2345 UYW"},
		{money.Amount{Minor: math.MaxInt64, Currency: "EUR"}, "92233720368547758.07", "92233720368547758.07 EUR"},
		{money.Amount{Minor: math.MinInt64, Currency: "EUR"}, "-92233720368547758.08", "-92233720368547758.08 EUR"},
		{money.Amount{Minor: 7, Currency: "XXX"}, "7", "7 XXX"},
	}
	for _, tt := range tests {
		if got := tt.amount.Decimal(); got != tt.decimal {
			t.Errorf("%#v.Decimal() = %q, want %q", tt.amount, got, tt.decimal)
		}
		if got := tt.amount.String(); got != tt.text {
			t.Errorf("%#v.String() = %q, want %q", tt.amount, got, tt.text)
		}
	}
}

func TestMixedOrMissingCurrency(t *testing.T) {
	euro, yen := money.Amount{Minor: 1, Currency: "EUR"}, money.Amount{Minor: 1, Currency: "JPY"}
	operations := map[string]func(a, b money.Amount) error{
		"Add": func(a, b money.Amount) error { _, err := a.Add(b); return err },
		"Sub": func(a, b money.Amount) error { _, err := a.Sub(b); return err },
		"Cmp": func(a, b money.Amount) error { _, err := a.Cmp(b); return err },
	}
	for name, operation := range operations {
		if err := operation(euro, yen); !errors.Is(err, money.ErrCurrencyMismatch) {
			t.Errorf("%s of euro and yen: %v, want ErrCurrencyMismatch", name, err)
		}
		if err := operation(money.Amount{}, euro); !errors.Is(err, money.ErrCurrencyMismatch) {
			t.Errorf("%s of nothing and euro: %v, want ErrCurrencyMismatch", name, err)
		}
		if err := operation(money.Amount{}, money.Amount{}); !errors.Is(err, money.ErrUnknownCurrency) {
			t.Errorf("%s of zero values: %v, want ErrUnknownCurrency", name, err)
		}
	}
	if _, err := (money.Amount{Minor: 1}).Mul(2); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("Mul without currency: %v, want ErrUnknownCurrency", err)
	}
	if (money.Amount{Currency: "EUR"}).Equal(money.Amount{Currency: "JPY"}) {
		t.Error("zero euros equal zero yen")
	}
}

func TestJSON(t *testing.T) {
	in := money.Amount{Minor: 9007199254740993, Currency: "EUR"} // 2^53+1: a float64 would lose it
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"minor":9007199254740993,"currency":"EUR"}`; string(text) != want {
		t.Errorf("Marshal = %s, want %s", text, want)
	}
	var out money.Amount
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("Unmarshal = %v, %v; want %v", out, err, in)
	}
}

// edgy draws int64s of which many sit near the limits, where overflow lives.
func edgy() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(math.MinInt64, math.MinInt64+3),
		rapid.Int64Range(math.MaxInt64-3, math.MaxInt64), rapid.Int64Range(-3, 3),
		rapid.Int64Range(math.MaxInt32-3, math.MaxInt32+3))
}

func currencies() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"EUR", "USD", "JPY", "KWD", "CLF"})
}

// TestArithmeticIsExact (P9): a result equals the one of unbounded integers, or there is an overflow error.
func TestArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := currencies().Draw(t, "currency")
		x, y := edgy().Draw(t, "x"), edgy().Draw(t, "y")
		a, b := money.Amount{Minor: x, Currency: currency}, money.Amount{Minor: y, Currency: currency}

		sum, err := a.Add(b)
		exact(t, "Add", sum, err, new(big.Int).Add(big.NewInt(x), big.NewInt(y)))
		diff, err := a.Sub(b)
		exact(t, "Sub", diff, err, new(big.Int).Sub(big.NewInt(x), big.NewInt(y)))
		product, err := a.Mul(y)
		exact(t, "Mul", product, err, new(big.Int).Mul(big.NewInt(x), big.NewInt(y)))

		order, err := a.Cmp(b)
		if err != nil || order != big.NewInt(x).Cmp(big.NewInt(y)) {
			t.Fatalf("Cmp(%v, %v) = %d, %v", a, b, order, err)
		}
		if a.Equal(b) != (order == 0) || a.IsZero() != (x == 0) || a.IsNegative() != (x < 0) {
			t.Fatalf("Equal, IsZero or IsNegative disagree with Cmp for %v, %v", a, b)
		}
	})
}

func exact(t *rapid.T, operation string, got money.Amount, err error, want *big.Int) {
	t.Helper()
	if !want.IsInt64() {
		if !errors.Is(err, money.ErrOverflow) {
			t.Fatalf("%s = %v, %v; want ErrOverflow for %v", operation, got, err, want)
		}
		return
	}
	if err != nil || got.Minor != want.Int64() {
		t.Fatalf("%s = %v, %v; want %v", operation, got, err, want)
	}
}

func TestDecimalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := money.Amount{
			Minor:    rapid.Int64Range(0, math.MaxInt64).Draw(t, "minor"),
			Currency: currencies().Draw(t, "currency"),
		}
		got, err := money.Parse(want.Currency, want.Decimal())
		if err != nil || got != want {
			t.Fatalf("Parse(%q) = %v, %v; want %v", want.Decimal(), got, err, want)
		}
	})
}

// FuzzParse: providers send these strings. What is accepted is the exact rational value of the text.
func FuzzParse(f *testing.F) {
	for _, decimal := range []string{"9.99", "0", "9.", ".9", "1e5", "-1", "92233720368547758.08", "1.2345"} {
		f.Add("EUR", decimal)
		f.Add("CLF", decimal)
	}
	f.Fuzz(func(t *testing.T, currency, decimal string) {
		got, err := money.Parse(currency, decimal)
		if err != nil {
			return
		}
		exponent, _ := money.Exponent(currency)
		want, ok := new(big.Rat).SetString(decimal)
		if !ok {
			t.Fatalf("Parse accepted %q, which is no number", decimal)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)
		if new(big.Rat).SetFrac(big.NewInt(got.Minor), scale).Cmp(want) != 0 {
			t.Fatalf("Parse(%q, %q) = %d minor units", currency, decimal, got.Minor)
		}
	})
}
