package kontocloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/seal"
)

// success is the one responseCode that is public.
const success = "0000"

// word is a text of an answer; a number stands for its digits, anything else for nothing.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(raw []byte) error {
	*w = word(text(raw))
	return nil
}

// transaction is the part of Get Payment Status that counts.
type transaction struct {
	UniqueReference      word        `json:"uniqueReference"`
	PartnerReference     word        `json:"partnerReference"`
	InitiatorAccno       word        `json:"initiatorAccno"`
	Accno                word        `json:"accno"`
	PresentationAmount   json.Number `json:"presentationAmount"`
	PresentationCurrCode word        `json:"presentationCurrCode"`
	StatusCode           word        `json:"statusCode"`
	StatusReason         word        `json:"statusReason"`
	ResponseCode         word        `json:"responseCode"`
	CustomerFullName     word        `json:"customerFullName"`
	Addr1                word        `json:"addr1"`
	HouseNumber          word        `json:"houseNumber"`
	City                 word        `json:"city"`
	State                word        `json:"state"`
	Country              word        `json:"country"`
	PostCode             word        `json:"postCode"`
}

// Status calls Get Payment Status for the vendor's reference. partnerReference is ours, so that an answer that names
// another one gives itself away; whether the vendor keeps it or echoes the question is not public.
func (p *Provider) Status(ctx context.Context, acc provider.Account, q provider.StatusQuery) (provider.Report, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Report{}, err
	}
	if q.ProviderReference == "" {
		return provider.Report{}, fmt.Errorf("payment status: %w: the uniqueReference, which the customer's browser brings back", provider.ErrReferenceMissing)
	}
	if !plain(q.ProviderReference) {
		return provider.Report{}, errors.New("payment status: the provider reference is unusable")
	}
	now := time.Now().UTC()
	address := s.base + "/payment/" + url.PathEscape(q.ProviderReference) + "/status?" + url.Values{
		"partnerReference": {q.Reference}, "localDate": {now.Format(time.DateOnly)}, "localTime": {now.Format("150405")},
	}.Encode()
	var got transaction
	err = p.tokens.With(ctx, s.tokenKey(acc.ID), func(ctx context.Context) (call.Token, error) { return p.issue(ctx, s) },
		func(token seal.Secret) (refused bool, err error) {
			req, err := request(ctx, http.MethodGet, address, nil)
			if err != nil {
				return false, err
			}
			if s.tokenHeader == "Authorization" {
				req.Header.Set("Authorization", "Bearer "+token.Reveal())
			} else {
				req.Header.Set(s.tokenHeader, token.Reveal())
			}
			err = p.client.JSON(req, &got)
			return errors.Is(err, call.StatusError(http.StatusUnauthorized)), err
		})
	if err != nil {
		return provider.Report{}, fmt.Errorf("payment status: %w", err)
	}
	report, err := s.report(got, q)
	if err != nil {
		return provider.Report{}, fmt.Errorf("payment status: %w", err)
	}
	return report, nil
}

// report puts a transaction into our words. An answer that is about another transaction, or claims money without an exact
// amount or without saying for which payment of ours, is no evidence, and so an error.
func (s settings) report(got transaction, q provider.StatusQuery) (provider.Report, error) {
	switch {
	case got.ResponseCode != "" && got.ResponseCode != success:
		return provider.Report{}, fmt.Errorf("answered with response code %.20q", got.ResponseCode)
	case string(got.UniqueReference) != q.ProviderReference:
		return provider.Report{}, errors.New("answer is about another transaction")
	}
	state, known := s.words[string(got.StatusCode)]
	if !known {
		state = provider.Pending
	}
	report := provider.Report{
		State: state, Reference: string(got.PartnerReference), TransactionID: string(got.UniqueReference),
		Raw: clip(got.StatusCode), Detail: clip(got.StatusReason), Unknown: !known,
		Payer: provider.Payer{
			Name: clip(got.CustomerFullName), AddressLine1: clip(got.Addr1 + " " + got.HouseNumber),
			PostalCode: clip(got.PostCode), City: clip(got.City), Region: clip(got.State),
		},
	}
	account := map[string]word{"accno": got.Accno, "initiatorAccno": got.InitiatorAccno}[s.accountField]
	if s.accountField != "" && string(account) != s.merchantAccno {
		report.Account = cmp.Or(clip(account), "none")
	}
	if len(got.Country) == 2 {
		report.Payer.CountryISO = strings.ToUpper(string(got.Country))
	}
	amount, err := call.Amount(string(got.PresentationCurrCode), got.PresentationAmount)
	moved := []provider.State{provider.Authorized, provider.Paid, provider.Refunded, provider.ChargedBack}
	switch {
	case !slices.Contains(moved, state):
	case report.Reference == "":
		return provider.Report{}, fmt.Errorf("%s, but the answer names no partnerReference", report.Raw)
	case err != nil:
		return provider.Report{}, fmt.Errorf("%s, but %w", report.Raw, err)
	}
	report.Amount = amount
	return report, nil
}

// clip makes foreign text one line of a bounded length.
func clip(text word) string {
	const most = 200
	runes := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "")), " "))
	return string(runes[:min(len(runes), most)])
}

// tokenKey names what a token depends on; the password only as a hash.
func (s settings) tokenKey(account string) string {
	return id.Derived("token", account, s.base, s.userID, s.Password.Reveal())
}

// issue gets a token (Issue Token). The request's body is the rest of the method's two parameters, of which the path has the
// other one; no example is public.
func (p *Provider) issue(ctx context.Context, s settings) (call.Token, error) {
	body, err := json.Marshal(map[string]string{"password": s.Password.Reveal()})
	if err != nil {
		return call.Token{}, errors.New("issue token: request cannot be made")
	}
	req, err := request(ctx, http.MethodPost, s.base+"/user/"+url.PathEscape(s.userID)+"/issue", body)
	if err != nil {
		return call.Token{}, fmt.Errorf("issue token: %w", err)
	}
	var answer struct {
		Token      seal.Secret     `json:"token"`
		ValidUntil json.RawMessage `json:"validUntil"`
	}
	if err := p.client.JSON(req, &answer); err != nil {
		return call.Token{}, fmt.Errorf("issue token: %w", err)
	}
	if answer.Token == "" || strings.ContainsFunc(answer.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return call.Token{}, errors.New("issue token: the answer has no usable token")
	}
	until, ok := instant(text(answer.ValidUntil))
	if !ok {
		until = time.Now().Add(s.tokenLife)
	}
	return call.Token{Value: answer.Token, Until: until}, nil
}

// instant reads validUntil, which is in UTC; how it is written is not public.
func instant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil { // fractions of a second are read without being asked for
			return at, true
		}
	}
	return time.Time{}, false
}

func request(ctx context.Context, method, address string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Language", "en-US")
	return req, nil
}
