package resurs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
	"quittance/pkg/seal"
)

// api makes one call with a token, and once more with a fresh one if it was refused.
func (p *Provider) api(ctx context.Context, s settings, account, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return errors.New("request cannot be made")
		}
	}
	key := id.Derived("token", account, s.base, s.clientID, s.scope, s.ClientSecret.Reveal())
	return p.tokens.With(ctx, key, func(ctx context.Context) (call.Token, error) { return p.issue(ctx, s) },
		func(token seal.Secret) (refused bool, err error) {
			req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
			if err != nil {
				return false, errors.New("request cannot be made")
			}
			req.Header.Set("Authorization", "Bearer "+token.Reveal())
			req.Header.Set("Accept", "application/json")
			if in != nil {
				req.Header.Set("Content-Type", "application/json")
			}
			err = p.client.JSON(req, out)
			return errors.Is(err, call.StatusError(http.StatusUnauthorized)), err
		})
}

// issue gets a token by client credentials, form-encoded. Its life is what expires_in says; the documents name different ones.
func (p *Provider) issue(ctx context.Context, s settings) (call.Token, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {s.scope}, "client_id": {s.clientID}, "client_secret": {s.ClientSecret.Reveal()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+TokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return call.Token{}, errors.New("get token: request cannot be made")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken seal.Secret `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	begun := time.Now()
	if err := p.client.JSON(req, &answer); err != nil {
		return call.Token{}, fmt.Errorf("get token: %w", err)
	}
	if answer.AccessToken == "" || strings.ContainsFunc(answer.AccessToken.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return call.Token{}, errors.New("get token: the answer has no usable token")
	}
	seconds, err := answer.ExpiresIn.Int64()
	const most = 30 * 24 * 60 * 60
	if err != nil || seconds < 0 { // then it serves for this one call
		seconds = 0
	}
	return call.Token{Value: answer.AccessToken, Until: begun.Add(time.Duration(min(seconds, most)) * time.Second)}, nil
}

// refusal turns the statuses that say no for good into ErrDeclined. The vendor's error bodies are not public; a status that
// may be about us, about time or about the vendor itself is no answer.
func refusal(err error) error {
	var status call.StatusError
	if !errors.As(err, &status) {
		return err
	}
	switch status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return err
	}
	if status >= 400 && status <= 499 {
		return fmt.Errorf("%w: %w", provider.ErrDeclined, err)
	}
	return err
}
