package money

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Parse reads a decimal in major units, "9.99" or "9", as an amount of currency. It accepts ASCII digits and one dot
// with digits on both sides, and no more fraction digits than the currency has; fewer are fine ("9.9" EUR is 990
// cents). Signs, exponents, spaces, commas and other locale habits are errors: a vendor that writes those needs an
// adapter that knows what it means by them. Errors: ErrUnknownCurrency, ErrSyntax, ErrOverflow.
func Parse(currency, decimal string) (Amount, error) {
	exponent, ok := Exponent(currency)
	if !ok {
		return Amount{}, fmt.Errorf("%w %.10q", ErrUnknownCurrency, currency)
	}
	whole, fraction, dotted := strings.Cut(decimal, ".")
	if whole == "" || (dotted && fraction == "") || !digits(whole) || !digits(fraction) {
		return Amount{}, fmt.Errorf("%w %.40q: want digits, optionally a dot and more digits", ErrSyntax, decimal)
	}
	if len(fraction) > exponent {
		return Amount{}, fmt.Errorf("%w %.40q: %s has %d fraction digits, not %d",
			ErrSyntax, decimal, currency, exponent, len(fraction))
	}

	var minor int64
	for _, digit := range whole + fraction + strings.Repeat("0", exponent-len(fraction)) {
		d := int64(digit - '0')
		if minor > (math.MaxInt64-d)/10 {
			return Amount{}, fmt.Errorf("parse %.40q %s: %w", decimal, currency, ErrOverflow)
		}
		minor = minor*10 + d
	}
	return Amount{Minor: minor, Currency: currency}, nil
}

// Decimal returns the amount in major units with exactly the currency's number of fraction digits: "9.99", "-0.05",
// "1000" for yen. An amount in an unknown currency is given as its bare minor units.
func (a Amount) Decimal() string {
	// Negating the unsigned value is exact for every int64, the smallest included.
	magnitude, sign := uint64(a.Minor), ""
	if a.Minor < 0 {
		magnitude, sign = -magnitude, "-"
	}
	text := strconv.FormatUint(magnitude, 10)
	exponent, _ := Exponent(a.Currency)
	if exponent == 0 {
		return sign + text
	}
	if missing := exponent + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	point := len(text) - exponent
	return sign + text[:point] + "." + text[point:]
}

// String returns the decimal and the currency: "9.99 EUR".
func (a Amount) String() string { return a.Decimal() + " " + a.Currency }

// digits reports whether s consists of ASCII digits only; the empty string does.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
