package flexpay

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
)

// claims of the events that move money; an absent event is the purchase itself.
var claims = map[string]provider.Claim{
	"credit":     provider.ClaimRefunded,
	"chargeback": provider.ClaimChargedBack,
}

// identities are the parameters that tell one postback from another, in the order in which they make the dedupe key.
// Two partial credits of one sale that are equal in all of these would count as one; the status API is asked either way.
var identities = []string{
	"type", "event", "saleID", "transactionID", "parentID", "referenceID",
	"priceAmount", "priceCurrency", "amount", "currency", "nextChargeOn",
}

// requestOnly are parameters of a purchase's request that the vendor's data never has; prefix subCreditor too. A request
// is signed like OK data and the customer holds it, so that without this, the order page's URL would pass for a payment.
var requestOnly = []string{
	"version", "description", "name", "successURL", "declineURL", "backURL", "period", "trialAmount", "trialPeriod",
	"cancelDiscountPercentage", "precedingSaleID", "upgradeOption", "mcc",
}

// ParseReturn reads what the browser brought. A return from the order page's success link is signed; the vendor
// documents none for the decline link, so an unsigned return is the claim of a failure.
func (*Provider) ParseReturn(acc provider.Account, values url.Values) (provider.Return, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Return{}, err
	}
	if !values.Has(signatureParam) {
		return provider.Return{Failed: true}, nil
	}
	if _, err := s.authentic(values); err != nil {
		return provider.Return{}, fmt.Errorf("return: %w", err)
	}
	return provider.Return{}, nil // the sale is asked for by our reference
}

// ParseCallback reads a postback. An authentic one that is no purchase of ours (a subscription's, say) is ClaimOther. A
// purchase without referenceID is an error: it was not made through an attempt, and nothing would ever come of it. With
// the setting callback_cidrs, a postback from any other address is unauthentic, whatever its signature.
func (*Provider) ParseCallback(acc provider.Account, req provider.Request) (provider.Callback, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Callback{}, err
	}
	if req.Method != http.MethodGet {
		return provider.Callback{}, fmt.Errorf("postback: method %.10q, want GET", req.Method)
	}
	if !s.sends(req.Remote) {
		return provider.Callback{}, fmt.Errorf("postback: %w: it comes from %.45q, none of callback_cidrs",
			provider.ErrUnauthentic, req.Remote)
	}
	params, err := s.authentic(req.Query)
	if err != nil {
		return provider.Callback{}, fmt.Errorf("postback: %w", err)
	}
	claim := claimOf(params)
	if claim == provider.ClaimPaid && params["referenceID"] == "" {
		return provider.Callback{}, errors.New("postback: referenceID is missing")
	}
	callback := provider.Callback{
		Reference:     params["referenceID"],
		TransactionID: transaction(params),
		Claim:         claim,
		Signed:        true,
		DedupeKey:     dedupeKey(params),
		OneClickToken: oneClickToken(params["oneClickToken"]),
	}
	if claim == provider.ClaimRefunded || claim == provider.ClaimChargedBack {
		// An amount that can't be read leaves the refund to the status API.
		if back, err := money.Parse(params["priceCurrency"], params["priceAmount"]); err == nil {
			callback.Refunded = back
		}
	}
	return callback, nil
}

// Acknowledge words the answer. The vendor takes the literal body OK for an acknowledgement and nothing else; which
// status codes it looks at is not public. Bad signatures get the answer of the vendor's own sample.
func (*Provider) Acknowledge(answer provider.Answer, refusal error) provider.Response {
	response := provider.Response{ContentType: "text/plain; charset=utf-8"}
	switch {
	case answer == provider.Recorded:
		response.Status, response.Body = http.StatusOK, "OK"
	case answer == provider.Refused && errors.Is(refusal, provider.ErrUnauthentic):
		response.Status, response.Body = http.StatusInternalServerError, "ERROR - Invalid signature!"
	case answer == provider.Refused:
		response.Status, response.Body = http.StatusBadRequest, "ERROR - Invalid request!"
	default:
		response.Status, response.Body = http.StatusServiceUnavailable, "ERROR - Not stored, send again!"
	}
	return response
}

// sends says whether the vendor may call from an address: from any, if the account names none.
func (s settings) sends(remote string) bool {
	return len(s.callers) == 0 || setting.Within(s.callers, remote)
}

// authentic gives the parameters of OK data if the signature is right, the shop is the account's and the data are no
// request of ours. Every other reading of them would rest on an unproven text, so that is all one error: ErrUnauthentic.
func (s settings) authentic(values url.Values) (Params, error) {
	params, err := ParamsOf(values)
	if err == nil {
		err = VerifyData(s.Key, s.shopID, params, s.acceptSHA1)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", provider.ErrUnauthentic, err)
	}
	if shop, ok := params["shopID"]; ok && shop != s.shopID {
		return nil, fmt.Errorf("%w: it is shop %.20q's", provider.ErrUnauthentic, shop)
	}
	for _, name := range identities {
		if value := params[name]; value != "" && !identifier(value) {
			return nil, fmt.Errorf("%w: parameter %s could be cut another way", provider.ErrUnauthentic, name)
		}
	}
	for name := range params {
		if !identifier(name) {
			return nil, fmt.Errorf("%w: a parameter's name could be cut another way", provider.ErrUnauthentic)
		}
	}
	if err := notOurs(params); err != nil {
		return nil, fmt.Errorf("%w: %w", provider.ErrUnauthentic, err)
	}
	return params, nil
}

// notOurs refuses data of a purchase that a request of ours could be. Only the vendor knows a sale's id; events about a
// sale, which no request of ours names, may have its parent's alone.
func notOurs(params Params) error {
	if !purchase(params) {
		return nil
	}
	for name := range params {
		if slices.Contains(requestOnly, name) || strings.HasPrefix(name, "subCreditor") {
			return fmt.Errorf("this is a request of ours, not the vendor's data: it has %.40q", name)
		}
	}
	if params["event"] == "" && params["saleID"] == "" {
		return errors.New("this is a request of ours, not the vendor's data: it has no saleID")
	}
	return nil
}

func purchase(params Params) bool { return params["type"] == "" || params["type"] == "purchase" }

func claimOf(params Params) provider.Claim {
	event := params["event"]
	if !purchase(params) {
		return provider.ClaimOther
	}
	if event == "" {
		return provider.ClaimPaid
	}
	if claim, ok := claims[event]; ok {
		return claim
	}
	return provider.ClaimOther
}

// transaction is the sale's id, the one name that the status API has too; the other two are for postbacks without it.
func transaction(params Params) string {
	for _, name := range []string{"saleID", "parentID", "transactionID"} {
		if params[name] != "" {
			return params[name]
		}
	}
	return ""
}

func dedupeKey(params Params) string {
	parts := make([]string, len(identities))
	for i, name := range identities {
		parts[i] = params[name]
	}
	return id.Derived(Name, parts...)
}
