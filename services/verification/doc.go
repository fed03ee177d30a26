// Package verification is the verification service: the one that asks. It owns
// what providers said of each payment attempt.
//
// It takes payment.started, and payment.returned, payment.confirmed and
// callback.received as hints; it asks the provider's status API, compares
// reference, amount and currency, and gives payment.verified to the order until
// the order acknowledges it.
package verification
