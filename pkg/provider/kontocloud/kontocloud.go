// Package kontocloud owns what is particular to the KontoCloud e-wallet.
//
// It takes a merchant's account and a payment attempt and gives the form that leads the browser to the e-wallet, the meaning of
// what the browser brings back, and the transaction's state from the authenticated status API. The facts and their sources
// are in docs/providers.md; what the vendor's public documentation does not say is a setting here, or marked as our choice.
//
// The status API knows a transaction by the vendor's reference alone, which only the browser brings back (or a
// notification, if it names it): until then nobody can be asked (provider.ErrReferenceMissing).
//
// Settings of an account:
//
//	portal_url         base URL of the e-wallet portal; the form goes to its path /Payment; required
//	base_url           base URL of the API; required. Both https, except for a loopback host
//	merchant_accno     the merchant's account number at the vendor; required
//	user_id            the API user; required
//	payment_type       Standard (default) or BlockAmount: the amount is reserved and captured later
//	number_locale      locale in whose way numbers are written, such as de-DE; default: that of the customer's browser, else
//	                   that of the order, else en-US. The vendor reads numbers in the way of the browser's locale
//	token_header       X-Auth-Token (default) or Authorization, then as a bearer token: where the API wants its token
//	token_life         how long a token is used if its validUntil can't be read; default 5m
//	account_field      accno or initiatorAccno: that field of a status must name merchant_accno; default: not compared,
//	                   because which of them is the merchant's is not public
//	status.<state>     comma-separated words of statusCode that mean <state>: pending, on_hold, authorized, paid, failed,
//	                   canceled, expired, refunded, charged_back. Built in: CAPTURED is paid and, for BlockAmount,
//	                   AUTHORIZED is authorized. All other words mean pending
//	notification_auth  none, basic or bearer: how notifications prove where they come from; default: all are refused
//	callback_cidrs     comma-separated IP addresses or networks of the vendor; required for notification_auth none
//	notification_user  the user of notification_auth basic
//	notification_reference, notification_transaction
//	                   names of the fields of a notification that hold our reference and the vendor's; default
//	                   merchantTransactionId and uniqueReference. The bodies are not public
//	first, then, life, timeout
//	                   durations like "90s" of the Schedule; then is a comma-separated list
//
// Secrets: password (of the API user); notification_password for basic, notification_token for bearer.
package kontocloud

import (
	"net/http"
	"time"

	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/provider/setting"
)

// Name of this provider in accounts and callback URLs.
const Name = "kontocloud"

// PaymentPath is where the form goes, below the portal's base URL.
const PaymentPath = "/Payment"

// tokenMargin is how long before validUntil a token is replaced; "shortly before" is the vendor's advice, the figure ours.
const tokenMargin = 30 * time.Second

var (
	_ provider.Provider         = (*Provider)(nil)
	_ provider.Redirector       = (*Provider)(nil)
	_ provider.MethodLister     = (*Provider)(nil)
	_ provider.Returner         = (*Provider)(nil)
	_ provider.CallbackReceiver = (*Provider)(nil)
	_ provider.Statuser         = (*Provider)(nil)
	_ provider.Scheduler        = (*Provider)(nil)
)

// Provider plays the roles of a redirect provider. It keeps API tokens between calls and is safe for concurrent use.
type Provider struct {
	client *call.Client
	tokens *call.Tokens
}

// New returns a Provider that asks the API with client (not nil).
func New(client *http.Client) *Provider {
	return &Provider{client: call.New(client), tokens: call.NewTokens(tokenMargin)}
}

// Name returns "kontocloud".
func (*Provider) Name() string { return Name }

// CheckAccount refuses settings and secrets that the other methods could not work with, naming the setting.
func (*Provider) CheckAccount(acc provider.Account) error {
	_, err := settingsOf(acc)
	return err
}

// Methods says that there is one way, the wallet.
func (*Provider) Methods(provider.Account) []provider.Method {
	return []provider.Method{{Icon: "wallet"}}
}

// Schedule returns the account's schedule; a setting that CheckAccount would refuse counts as absent.
func (*Provider) Schedule(acc provider.Account) provider.Schedule {
	schedule, _ := setting.Schedule(acc.Settings, defaultSchedule)
	return schedule
}
