// Package client owns the remote control of a running sandbox, and a browser that needs no screen.
//
// It takes the sandbox's base URL and gives its control API as methods: the provider's book and faults, webhooks, mails.
// Browser and PayLikeABrowser do what a customer does: follow redirects, fill in forms, keep cookies.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"quittance/services/sandbox/internal/flexpay"
	"quittance/services/sandbox/internal/mailsink"
	"quittance/services/sandbox/internal/shop"
	"quittance/services/sandbox/internal/vendor"
	"quittance/services/sandbox/internal/webhooks"
)

// What the control API speaks of.
type (
	// Sale is a line of the provider's book, Book all of them with sums per currency.
	Sale = flexpay.Sale
	Book = flexpay.List
	// Shop is a website registered with the provider.
	Shop = flexpay.Shop
	// Faults are what goes wrong with a payment.
	Faults = vendor.Faults
	// StatusFault is a way in which a status API misbehaves.
	StatusFault = vendor.StatusFault
	// RefundOrder and PostbackOrder make the provider act; PostbackReport is the outcome.
	RefundOrder    = flexpay.RefundOrder
	PostbackOrder  = flexpay.PostbackOrder
	PostbackReport = flexpay.PostbackReport
	// Webhook is a request that a webhook receiver got.
	Webhook = webhooks.Delivery
	// Mail is a mail that the sink took.
	Mail = mailsink.Mail
	// ShopStatus is what the demo shop is set to.
	ShopStatus = shop.Status
)

// States of a sale.
const (
	Pending    = flexpay.Pending
	Approved   = flexpay.Approved
	Declined   = flexpay.Declined
	Refunded   = flexpay.Refunded
	ChargeBack = flexpay.ChargeBack
)

// Ways in which the status API misbehaves (Faults.Status).
const (
	StatusDown     = vendor.StatusDown
	StatusSlow     = vendor.StatusSlow
	StatusError    = vendor.StatusError
	StatusPending  = vendor.StatusPending
	StatusNotFound = vendor.StatusNotFound
	StatusAmount   = vendor.StatusAmount
	StatusCurrency = vendor.StatusCurrency
	StatusGarbage  = vendor.StatusGarbage
)

// ErrNoSale is returned by Sale for a reference that no customer has come with.
var ErrNoSale = errors.New("no such sale")

// Client calls the control API of one sandbox.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of the sandbox at base, its URL without a slash at the end.
func New(base string) *Client { return &Client{base: base, http: &http.Client{}} }

// Book returns all sales, newest first.
func (c *Client) Book(ctx context.Context) (Book, error) {
	return call[Book](ctx, c, http.MethodGet, "/flexpay/sales", nil)
}

// Sale returns the sale of a reference (the payment attempt's), or ErrNoSale.
func (c *Client) Sale(ctx context.Context, reference string) (Sale, error) {
	book, err := call[Book](ctx, c, http.MethodGet, "/flexpay/sales?"+url.Values{"reference": {reference}}.Encode(), nil)
	if err == nil && len(book.Sales) == 0 {
		err = ErrNoSale
	}
	if err != nil {
		return Sale{}, err
	}
	return book.Sales[0], nil
}

// PutShop registers a website with the provider, or changes its key or postback URL.
func (c *Client) PutShop(ctx context.Context, s Shop) error {
	return c.do(ctx, http.MethodPut, "/flexpay/shops/"+url.PathEscape(s.ID), s)
}

// SetFault sets what goes wrong with the payment of a reference, or with all that have no faults of their own if
// reference is empty. The payment need not exist yet.
func (c *Client) SetFault(ctx context.Context, reference string, faults Faults) error {
	path := "/flexpay/faults"
	if reference != "" {
		path += "/" + url.PathEscape(reference)
	}
	return c.do(ctx, http.MethodPut, path, faults)
}

// ClearFaults takes all faults back.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/flexpay/faults", nil)
}

// Refund gives money back, or has the customer's bank take it, and sends the postback about it once.
func (c *Client) Refund(ctx context.Context, order RefundOrder) (PostbackReport, error) {
	return call[PostbackReport](ctx, c, http.MethodPost, "/flexpay/refunds", order)
}

// Postback sends a postback again, or a forged one, any number of times at once.
func (c *Client) Postback(ctx context.Context, order PostbackOrder) (PostbackReport, error) {
	return call[PostbackReport](ctx, c, http.MethodPost, "/flexpay/postbacks", order)
}

// PutWebhook registers a receiver at <base>/webhooks/<name> that accepts any of these secrets.
func (c *Client) PutWebhook(ctx context.Context, name string, secrets ...string) error {
	return c.do(ctx, http.MethodPut, "/webhooks/"+url.PathEscape(name), webhooks.Receiver{Secrets: secrets})
}

// Webhooks returns what a receiver got, oldest first, refused ones included.
func (c *Client) Webhooks(ctx context.Context, name string) ([]Webhook, error) {
	return call[[]Webhook](ctx, c, http.MethodGet, "/webhooks/"+url.PathEscape(name), nil)
}

// AnswerWebhooks makes a receiver answer the next requests with a good signature with this status.
func (c *Client) AnswerWebhooks(ctx context.Context, name string, status, times int) error {
	return c.do(ctx, http.MethodPut, "/webhooks/"+url.PathEscape(name)+"/answers", webhooks.Answers{Status: status, Times: times})
}

// Mails returns the mails to an address, or to anybody if to is empty, oldest first.
func (c *Client) Mails(ctx context.Context, to string) ([]Mail, error) {
	return call[[]Mail](ctx, c, http.MethodGet, "/mails?"+url.Values{"to": {to}}.Encode(), nil)
}

// RefuseMails makes the sink refuse the next mails with this SMTP code.
func (c *Client) RefuseMails(ctx context.Context, code, times int) error {
	return c.do(ctx, http.MethodPut, "/mails/answers", mailsink.Answers{Code: code, Times: times})
}

// SetAPIKey gives the demo shop its API key.
func (c *Client) SetAPIKey(ctx context.Context, key string) error {
	return c.do(ctx, http.MethodPut, "/shop", shop.Setting{APIKey: key})
}

// ShopStatus says what the demo shop is set to.
func (c *Client) ShopStatus(ctx context.Context) (ShopStatus, error) {
	return call[ShopStatus](ctx, c, http.MethodGet, "/shop", nil)
}

// do is call for what has no answer.
func (c *Client) do(ctx context.Context, method, path string, in any) error {
	_, err := call[struct{}](ctx, c, method, path, in)
	return err
}

func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	err := c.exchange(ctx, method, path, in, &out)
	if err != nil {
		return out, fmt.Errorf("sandbox: %s %s: %w", method, path, err)
	}
	return out, nil
}

func (c *Client) exchange(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/control"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is written, so closing has nothing to say
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusOK:
		return json.Unmarshal(text, out)
	default:
		return fmt.Errorf("HTTP status %d: %s", resp.StatusCode, text)
	}
}
