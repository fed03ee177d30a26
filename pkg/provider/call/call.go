// Package call owns how providers are called, server to server: bounded answers, no redirects, errors that show neither
// addresses nor credentials, tokens that are reused, amounts that never become floats.
package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"quittance/pkg/money"
)

// maxAnswer bounds what is read of an answer; a payment's status is a few kilobytes.
const maxAnswer = 256 << 10

// Client makes calls. Redirects are never followed, because what a request proves must not be carried elsewhere.
type Client struct {
	http *http.Client
}

// New returns a Client that uses client's transport as it is.
func New(client *http.Client) *Client {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &own}
}

// Do makes one call. An error means that there was no answer, or none that could be read; it doesn't show the request.
func (c *Client) Do(req *http.Request) (status int, body []byte, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return 0, nil, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is written, so closing has nothing to say
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return 0, nil, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	return resp.StatusCode, body, nil
}

// StatusError is an answer with an HTTP status that is no success.
type StatusError int

// Error names the status.
func (e StatusError) Error() string { return fmt.Sprintf("answered with HTTP status %d", int(e)) }

// JSON makes one call and decodes a successful answer (2xx) into out, unless out is nil. Any other status is a StatusError.
// Errors quote nothing of the answer, which holds personal data.
func (c *Client) JSON(req *http.Request, out any) error {
	status, body, err := c.Do(req)
	switch {
	case err != nil:
		return err
	case status < 200 || status > 299:
		return StatusError(status)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("answer is not the JSON that was expected")
	}
	return nil
}

// Amount reads a JSON number as an amount, digit by digit. Zeros at the end beyond the currency's fraction digits say
// nothing and are taken; an exponent, a sign or any other digit there is an error.
func Amount(currency string, number json.Number) (money.Amount, error) {
	text := number.String()
	exponent, known := money.Exponent(currency)
	if whole, fraction, dotted := strings.Cut(text, "."); known && dotted && len(fraction) > exponent {
		fraction = fraction[:exponent] + strings.TrimRight(fraction[exponent:], "0")
		text = whole
		if fraction != "" {
			text += "." + fraction
		}
	}
	amount, err := money.Parse(currency, text)
	if err != nil {
		return money.Amount{}, fmt.Errorf("amount is unreadable: %w", err)
	}
	return amount, nil
}
