package resurs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// reference is what the vendor takes as an order reference.
var reference = regexp.MustCompile(`^[\w-]{1,36}$`)

// maxDescription is ours; the vendor's limit of a line's description is not public.
const maxDescription = 50

// line is a line of an order; it stands for the whole order here, because only the total is exact after discounts.
type line struct {
	Description  string      `json:"description"`
	Quantity     int         `json:"quantity"`
	QuantityUnit string      `json:"quantityUnit"`
	Type         string      `json:"type"`
	VatRate      json.Number `json:"vatRate"`
	Total        json.Number `json:"totalAmountIncludingVat"`
}

type target struct {
	URL string `json:"url"`
}

// creation is the body of a new payment.
type creation struct {
	StoreID         string `json:"storeId"`
	PaymentMethodID string `json:"paymentMethodId"`
	Order           struct {
		OrderLines     []line `json:"orderLines"`
		OrderReference string `json:"orderReference"`
	} `json:"order"`
	Customer struct {
		CustomerType string `json:"customerType"`
		Email        string `json:"email,omitempty"`
	} `json:"customer"`
	Metadata *metadata `json:"metadata,omitempty"`
	Options  struct {
		InitiatedOnCustomersDevice bool `json:"initiatedOnCustomersDevice"`
		HandleFrozenPayments       bool `json:"handleFrozenPayments"`
		HandleManualInspection     bool `json:"handleManualInspection"`
		AutomaticCapture           bool `json:"automaticCapture"`
		Callbacks                  struct {
			Authorization target `json:"authorization"`
			Management    target `json:"management"`
		} `json:"callbacks"`
		RedirectionURLs struct {
			Customer struct {
				FailURL    string `json:"failUrl"`
				SuccessURL string `json:"successUrl"`
			} `json:"customer"`
		} `json:"redirectionUrls"`
		TimeToLiveInMinutes int `json:"timeToLiveInMinutes"`
	} `json:"options"`
}

type metadata struct {
	Creator string `json:"creator"`
}

// CheckAttempt refuses what Create would be refused for.
func (*Provider) CheckAttempt(acc provider.Account, attempt provider.Attempt) error {
	s, err := settingsOf(acc)
	if err != nil {
		return err
	}
	_, err = s.creation(attempt)
	return err
}

func (s settings) creation(attempt provider.Attempt) (creation, error) {
	var c creation
	method := orDefault(attempt.Method, s.methods[0].ID)
	switch {
	case !reference.MatchString(attempt.Reference):
		return c, fmt.Errorf("reference %.40q cannot be sent", attempt.Reference)
	case attempt.Amount.Minor <= 0:
		return c, fmt.Errorf("amount %s is not positive", attempt.Amount)
	case attempt.Amount.Currency != s.currency:
		return c, fmt.Errorf("currency %.10q is not the store's, which is %s", attempt.Amount.Currency, s.currency)
	case !slices.ContainsFunc(s.methods, func(m provider.Method) bool { return m.ID == method }):
		return c, fmt.Errorf("payment method %.40q is none of the account's", method)
	}
	c.StoreID, c.PaymentMethodID = s.storeID, method
	c.Order.OrderReference = attempt.Reference
	c.Order.OrderLines = []line{s.line(describe(attempt), attempt.Amount)}
	c.Customer.CustomerType, c.Customer.Email = s.customerType, attempt.Email
	if s.creator != "" {
		c.Metadata = &metadata{s.creator}
	}
	o := &c.Options
	o.InitiatedOnCustomersDevice, o.AutomaticCapture = true, s.automaticCapture
	o.HandleFrozenPayments, o.HandleManualInspection = s.handleFrozen, s.handleInspection
	o.Callbacks.Authorization.URL, o.Callbacks.Management.URL = attempt.CallbackURL, attempt.CallbackURL
	o.RedirectionURLs.Customer.SuccessURL, o.RedirectionURLs.Customer.FailURL = attempt.ReturnURL, orDefault(attempt.DeclineURL, attempt.ReturnURL)
	o.TimeToLiveInMinutes = s.minutesToLive
	return c, nil
}

// line is one that stands for an amount.
func (s settings) line(description string, amount money.Amount) line {
	return line{
		Description: description, Quantity: 1, QuantityUnit: s.quantityUnit, Type: "NORMAL",
		VatRate: json.Number(s.vatRate), Total: json.Number(amount.Decimal()),
	}
}

func describe(attempt provider.Attempt) string {
	description := []rune(strings.Join(strings.Fields(attempt.Description), " "))
	if len(description) == 0 {
		return attempt.Reference
	}
	return string(description[:min(len(description), maxDescription)])
}

// Create creates the payment and gives the way to the customer's tasks, or back to us if there are none.
func (p *Provider) Create(ctx context.Context, acc provider.Account, attempt provider.Attempt) (provider.Created, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Created{}, err
	}
	body, err := s.creation(attempt)
	if err != nil {
		return provider.Created{}, fmt.Errorf("create payment: %w: %w", provider.ErrDeclined, err)
	}
	var got payment
	if err := p.api(ctx, s, acc.ID, http.MethodPost, PaymentsPath, body, &got); err != nil {
		return provider.Created{}, fmt.Errorf("create payment: %w", refusal(err))
	}
	switch {
	case !uuid.MatchString(got.ID):
		return provider.Created{}, errors.New("create payment: the answer has no payment id")
	case got.Status == wordRejected:
		return provider.Created{}, fmt.Errorf("create payment: %w: %s", provider.ErrDeclined, got.reason())
	}
	created := provider.Created{ProviderReference: got.ID, Redirect: provider.Redirect{Method: http.MethodGet, URL: got.Tasks.CustomerURL}}
	switch {
	case got.Tasks.CustomerURL == "" && got.Status == wordRedirect:
		return provider.Created{}, errors.New("create payment: the answer has no way for the customer")
	case got.Tasks.CustomerURL == "":
		created.Redirect.URL = attempt.ReturnURL
	case !s.leads(got.Tasks.CustomerURL):
		return provider.Created{}, errors.New("create payment: the customer's way is no web address")
	}
	return created, nil
}

// leads says whether a browser can be sent to an address: https, or loopback like the API.
func (s settings) leads(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(s.base, "http://") && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
}
