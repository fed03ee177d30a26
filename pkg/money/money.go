// Package money owns the arithmetic of amounts of money.
//
// It takes integer minor units (cents, yen, fils) or strict decimal text together with an ISO 4217 currency code, and
// gives values that add, subtract, multiply and compare only when that is exact: every overflow and every mix of
// currencies is an error. No floating-point number and no rounding occurs anywhere in it.
package money

import (
	"errors"
	"fmt"
	"math"
)

// Errors of this package; match them with errors.Is.
var (
	// ErrOverflow: the exact result does not fit into an int64 of minor units.
	ErrOverflow = errors.New("money: amount out of range")
	// ErrCurrencyMismatch: the two amounts are in different currencies.
	ErrCurrencyMismatch = errors.New("money: currencies differ")
	// ErrUnknownCurrency: the code is not an active ISO 4217 currency (codes are upper case).
	ErrUnknownCurrency = errors.New("money: unknown currency")
	// ErrSyntax: the text is not a plain decimal of at most as many fraction digits as the currency has.
	ErrSyntax = errors.New("money: malformed decimal")
)

// Amount is a number of minor units of one currency: {999, "EUR"} is 9.99 EUR. It may be negative. The zero value has
// no currency, and arithmetic on it is an error; start sums from New(0, currency).
type Amount struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

// New returns the amount of minor units in currency, or ErrUnknownCurrency.
func New(minor int64, currency string) (Amount, error) {
	if _, ok := Exponent(currency); !ok {
		return Amount{}, fmt.Errorf("%w %.10q", ErrUnknownCurrency, currency)
	}
	return Amount{Minor: minor, Currency: currency}, nil
}

// Add returns a+b, or ErrCurrencyMismatch, ErrUnknownCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := sameCurrency(a, b); err != nil {
		return Amount{}, fmt.Errorf("add: %w", err)
	}
	sum := a.Minor + b.Minor
	if (b.Minor > 0 && sum < a.Minor) || (b.Minor < 0 && sum > a.Minor) {
		return Amount{}, fmt.Errorf("add %s and %s: %w", a, b, ErrOverflow)
	}
	return Amount{Minor: sum, Currency: a.Currency}, nil
}

// Sub returns a-b, or ErrCurrencyMismatch, ErrUnknownCurrency or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := sameCurrency(a, b); err != nil {
		return Amount{}, fmt.Errorf("subtract: %w", err)
	}
	diff := a.Minor - b.Minor
	if (b.Minor > 0 && diff > a.Minor) || (b.Minor < 0 && diff < a.Minor) {
		return Amount{}, fmt.Errorf("subtract %s from %s: %w", b, a, ErrOverflow)
	}
	return Amount{Minor: diff, Currency: a.Currency}, nil
}

// Mul returns a*n, such as the price of n units, or ErrUnknownCurrency or ErrOverflow.
func (a Amount) Mul(n int64) (Amount, error) {
	if err := sameCurrency(a, a); err != nil {
		return Amount{}, fmt.Errorf("multiply: %w", err)
	}
	product := a.Minor * n
	// The division check misses MinInt64 * -1, whose wrapped product divides back to the operand.
	if (n == -1 && a.Minor == math.MinInt64) || (n != 0 && product/n != a.Minor) {
		return Amount{}, fmt.Errorf("multiply %s by %d: %w", a, n, ErrOverflow)
	}
	return Amount{Minor: product, Currency: a.Currency}, nil
}

// Cmp returns -1, 0 or +1 as a is less than, equal to or greater than b, or ErrCurrencyMismatch or ErrUnknownCurrency.
func (a Amount) Cmp(b Amount) (int, error) {
	if err := sameCurrency(a, b); err != nil {
		return 0, fmt.Errorf("compare: %w", err)
	}
	switch {
	case a.Minor < b.Minor:
		return -1, nil
	case a.Minor > b.Minor:
		return 1, nil
	default:
		return 0, nil
	}
}

// Equal reports whether both the number and the currency are the same. Zero euros do not equal zero yen.
func (a Amount) Equal(b Amount) bool { return a == b }

// IsZero reports whether the number of minor units is 0, in whatever currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// IsNegative reports whether the number of minor units is below 0.
func (a Amount) IsNegative() bool { return a.Minor < 0 }

// sameCurrency checks that a and b are in one known currency.
func sameCurrency(a, b Amount) error {
	if a.Currency != b.Currency {
		return fmt.Errorf("%w: %.10q and %.10q", ErrCurrencyMismatch, a.Currency, b.Currency)
	}
	if _, ok := Exponent(a.Currency); !ok {
		return fmt.Errorf("%w %.10q", ErrUnknownCurrency, a.Currency)
	}
	return nil
}
