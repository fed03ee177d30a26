// Package flexpay owns what is particular to Verotel FlexPay, protocol version 4, purchases only.
//
// It takes a merchant's account and a payment attempt and gives the signed order page URL, the meaning of signed returns
// and postbacks, and the sale's state from the signed status API. The facts and their sources are in
// docs/providers.md; what the vendor's public documentation does not say is a setting here, or marked as our choice.
//
// The vendor refunds a card sale whose postback is not answered with OK (Report.AckOrRefund). How long it waits is not
// public: refund_window is ours.
//
// Settings of an account:
//
//	shop_id         the website's number at the vendor; required
//	merchant_id     the vendor's customer number; its first four digits name the brand and so the host
//	base_url        instead of merchant_id: scheme, host and path in front of /startorder and /salestatus;
//	                https, except for a loopback host
//	version         "4", the default and the only one
//	accept_sha1     "true": also accept signatures of the legacy kind on returns and postbacks; default "false"
//	payment_method  CC, DDEU, IDEAL or YOURSAFE_DIRECT; default: the customer chooses on the order page
//	payment_methods instead of payment_method: those that the customer chooses from before the order page,
//	                comma-separated
//	callback_cidrs  comma-separated IP addresses or networks of the vendor (it publishes those of its proxies): a postback
//	                from anywhere else is unauthentic; default: any address
//	status.<state>  comma-separated words of saleResult that mean <state>: pending, on_hold, authorized, paid, failed,
//	                canceled, expired, refunded, charged_back. Built in: APPROVED is paid. All other words are unknown
//	first, then, life, timeout, refund_window
//	                durations like "90s" of the Schedule; then is a comma-separated list
//
// Secrets: signature_key.
//
// A request of ours is signed like the vendor's data, and the customer holds it: data of a purchase that have no saleID or
// have a parameter of requests are unauthentic. The data of a real return a customer holds too, and can present as a
// postback; callback_cidrs is what prevents it.
//
// The vendor's words in a sale's status for given-back money are not public. Without status.refunded and
// status.charged_back, a refund is learned from the postback alone (event=credit, event=chargeback), and the status API
// cannot confirm it.
//
// The postback URL is no request parameter: the merchant enters it once per website in the vendor's control centre.
package flexpay

import (
	"net/http"

	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/provider/setting"
)

// Name of this provider in accounts and callback URLs.
const Name = "flexpay"

// Version is the protocol version that requests declare.
const Version = "4"

// Paths below an account's base URL, the same for all brands.
const (
	OrderPath  = "/startorder"
	StatusPath = "/salestatus"
)

var (
	_ provider.Provider         = (*Provider)(nil)
	_ provider.Redirector       = (*Provider)(nil)
	_ provider.Returner         = (*Provider)(nil)
	_ provider.CallbackReceiver = (*Provider)(nil)
	_ provider.Statuser         = (*Provider)(nil)
	_ provider.Scheduler        = (*Provider)(nil)
)

// Provider plays every role of a redirect provider. It holds no state between calls.
type Provider struct {
	client *call.Client
}

// New returns a Provider that asks the status API with client (not nil). The client's transport is used as it is; redirects are
// never followed, because a signed request must not be carried elsewhere.
func New(client *http.Client) *Provider {
	return &Provider{client: call.New(client)}
}

// Name returns "flexpay".
func (*Provider) Name() string { return Name }

// CheckAccount refuses settings and secrets that the other methods could not work with, naming the setting.
func (*Provider) CheckAccount(acc provider.Account) error {
	_, err := settingsOf(acc)
	return err
}

// Schedule returns the account's schedule; a setting that CheckAccount would refuse counts as absent.
func (*Provider) Schedule(acc provider.Account) provider.Schedule {
	schedule, _ := setting.Schedule(acc.Settings, defaultSchedule)
	return schedule
}
