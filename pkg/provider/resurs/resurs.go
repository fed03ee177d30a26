// Package resurs owns what is particular to Resurs Bank's Merchant API, version 2.
//
// It takes a merchant's account and a payment attempt, creates the payment at the vendor, and gives the way to its tasks, the
// meaning of callbacks, the payment's state, and the capture, cancellation and refund of its money. The facts and their
// sources are in docs/providers.md; what the vendor's public documentation does not say is a setting here, or marked as our
// choice.
//
// Callbacks carry no signature: they only make us ask. A payment is asked for by the vendor's id alone, which the answer to
// its creation gives; no way to look it up by our reference is public. A creation without an answer is therefore repeated:
// the customer's personal number and consent are asked for on the vendor's page only, nobody knows the way to the page of
// the lost payment, and it ends by itself after its time to live.
//
// Settings of an account:
//
//	environment       production or integration (default): the vendor's host
//	base_url          instead of environment; https, except for a loopback host
//	client_id         of the OAuth 2 client; required
//	scope             default merchant-api
//	store_id          the vendor's id of the store, a UUID; required
//	payment_methods   the vendor's ids of the payment methods offered, as id=name, comma-separated; the first is the default;
//	                  required
//	currency          of the store: amounts of the API name none; required
//	customer_type     NATURAL (default) or LEGAL
//	vat_rate          in percent, of the one order line; default 0
//	quantity_unit     of the order line; default pcs
//	time_to_live      until a payment that nobody finishes is rejected, 1m to 720h; default 2h, as the vendor's plugin
//	automatic_capture true: money is captured as soon as it is reserved; default false: reserved (deliver_on: authorized)
//	handle_frozen     true (default, but for automatic_capture, with which the vendor forbids it): payments may be frozen
//	handle_inspection true: payments may be inspected by hand; default false
//	creator           who is named as the creator of payments and operations; default none
//	status.<state>    comma-separated words of status that mean <state>, beside those that are built in
//	callback_cidrs    comma-separated IP addresses or networks of the vendor; default: any address
//	first, then, life, timeout
//	                  durations like "90s" of the Schedule; then is a comma-separated list
//
// Secrets: client_secret.
package resurs

import (
	"net/http"
	"net/url"
	"time"

	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/provider/setting"
)

// Name of this provider in accounts and callback URLs.
const Name = "resurs"

// Paths below an account's base URL.
const (
	TokenPath    = "/oauth2/token"
	PaymentsPath = "/v2/payments"
)

// tokenMargin is how long before its end a token is replaced; the figure is ours.
const tokenMargin = 30 * time.Second

var (
	_ provider.Provider         = (*Provider)(nil)
	_ provider.Creator          = (*Provider)(nil)
	_ provider.MethodLister     = (*Provider)(nil)
	_ provider.Returner         = (*Provider)(nil)
	_ provider.CallbackReceiver = (*Provider)(nil)
	_ provider.Statuser         = (*Provider)(nil)
	_ provider.Scheduler        = (*Provider)(nil)
	_ provider.Capturer         = (*Provider)(nil)
	_ provider.Canceler         = (*Provider)(nil)
	_ provider.Refunder         = (*Provider)(nil)
)

// Provider plays the roles of a provider where payments are created. It keeps API tokens between calls and is safe for
// concurrent use.
type Provider struct {
	client *call.Client
	tokens *call.Tokens
}

// New returns a Provider that asks the API with client (not nil).
func New(client *http.Client) *Provider {
	return &Provider{client: call.New(client), tokens: call.NewTokens(tokenMargin)}
}

// Name returns "resurs".
func (*Provider) Name() string { return Name }

// CheckAccount refuses settings and secrets that the other methods could not work with, naming the setting.
func (*Provider) CheckAccount(acc provider.Account) error {
	_, err := settingsOf(acc)
	return err
}

// Methods lists the payment methods of the account.
func (*Provider) Methods(acc provider.Account) []provider.Method {
	s, err := settingsOf(acc)
	if err != nil {
		return nil
	}
	return s.methods
}

// Schedule returns the account's schedule; a setting that CheckAccount would refuse counts as absent.
func (*Provider) Schedule(acc provider.Account) provider.Schedule {
	schedule, _ := setting.Schedule(acc.Settings, defaultSchedule)
	return schedule
}

// ParseReturn finds nothing: the vendor adds no parameters that are public. Which of our addresses the browser comes back to
// says what its page claims.
func (*Provider) ParseReturn(provider.Account, url.Values) (provider.Return, error) {
	return provider.Return{}, nil
}
