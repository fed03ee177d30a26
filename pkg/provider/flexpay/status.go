package flexpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/seal"
)

// maxAnswer bounds what is read of an answer; a sale's status is a few hundred bytes.
const maxAnswer = 64 << 10

// Words of the answer's response field. Neither is documented: FOUND is recollected, NOTFOUND a guess of what an order
// page that nobody has paid on yet is answered with. A word in neither place means pending.
const (
	found    = "FOUND"
	notFound = "NOTFOUND"
)

// Status asks for the sale of a reference, or of TransactionID (a saleID) if there is no reference. It does not compare the
// answer with what was expected: Reference and Amount are what the answer names.
func (p *Provider) Status(ctx context.Context, acc provider.Account, q provider.StatusQuery) (provider.Report, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Report{}, err
	}
	params := Params{"version": Version, "shopID": s.shopID}
	switch {
	case q.Reference != "":
		params["referenceID"] = q.Reference
	case q.TransactionID != "":
		params["saleID"] = q.TransactionID
	default:
		return provider.Report{}, errors.New("sale status: neither reference nor transaction id given")
	}
	answer, err := p.get(ctx, s.base+StatusPath+"?"+SignRequest(s.Key, params).Query())
	if err != nil {
		return provider.Report{}, fmt.Errorf("sale status: %w", err)
	}
	sale, err := parseSale(answer)
	if err != nil {
		return provider.Report{}, fmt.Errorf("sale status: %w", err)
	}
	if asked := params["saleID"]; asked != "" && sale["saleID"] != "" && sale["saleID"] != asked {
		return provider.Report{}, fmt.Errorf("sale status: answer is about sale %.20q, not %.20q", sale["saleID"], asked)
	}
	report, err := s.report(sale)
	if err != nil {
		return provider.Report{}, fmt.Errorf("sale status: %w", err)
	}
	return report, nil
}

// get fetches a small text. Its errors don't show the URL, which is signed.
func (p *Provider) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("request cannot be made")
	}
	status, body, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, call.StatusError(status)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	return body, nil
}

// report puts a sale's status into our words. An answer that claims money but doesn't name the sale and the exact
// amount is no evidence, and so an error.
func (s settings) report(sale map[string]string) (provider.Report, error) {
	method := sale["paymentMethod"]
	report := provider.Report{
		State:         provider.Pending,
		Reference:     sale["referenceID"],
		TransactionID: sale["saleID"],
		AckOrRefund:   method == "" || method == "CC",
		Detail:        printable(sale["error"]),
		Payer:         payerOf(sale),
		OneClickToken: oneClickToken(sale["oneClickToken"]),
	}
	switch response := sale["response"]; response {
	case found:
		word := sale["saleResult"]
		state, known := s.words[word]
		report.Raw, report.Unknown = printable(word), !known
		if known {
			report.State = state
		}
		if word == "" {
			report.Raw = found
		}
	case notFound:
		report.Raw = notFound
	default:
		report.Raw, report.Unknown = printable(response), true
	}
	amount, err := amountOf(sale)
	report.Amount = amount
	moved := []provider.State{provider.Authorized, provider.Paid, provider.Refunded, provider.ChargedBack}
	if !slices.Contains(moved, report.State) {
		return report, nil
	}
	if err != nil {
		return provider.Report{}, fmt.Errorf("%s, but %w", report.Raw, err)
	}
	if !identifier(report.TransactionID) {
		return provider.Report{}, fmt.Errorf("%s, but without a usable saleID", report.Raw)
	}
	return report, nil
}

// amountOf reads the price that the order asked for; amount and currency stand in where an answer has only those.
func amountOf(sale map[string]string) (money.Amount, error) {
	decimal, currency := sale["priceAmount"], sale["priceCurrency"]
	if decimal == "" && currency == "" {
		decimal, currency = sale["amount"], sale["currency"]
	}
	amount, err := money.Parse(currency, decimal)
	if err != nil {
		return money.Amount{}, fmt.Errorf("amount is unreadable: %w", err)
	}
	return amount, nil
}

// oneClickToken takes what can be sent back as a token; its form is not public.
func oneClickToken(text string) seal.Secret {
	const most = 255
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return seal.Secret(text)
}

// payerOf reads the billing address; its field names are third-party evidence.
func payerOf(sale map[string]string) provider.Payer {
	field := func(name string) string { return printable(sale["billingAddr_"+name]) }
	return provider.Payer{
		Name: field("fullName"), Company: field("company"), Email: printable(sale["email"]),
		AddressLine1: field("addressLine1"), AddressLine2: field("addressLine2"),
		PostalCode: field("zip"), City: field("city"), Region: field("state"), CountryISO: field("country"),
	}
}
