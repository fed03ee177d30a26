package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"quittance/pkg/webhook"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// merchantService is a merchant's web service, without a network: it checks the
// signature and answers a repeated key as before, unless it forgets.
type merchantService struct {
	shop *shop

	mu      sync.Mutex
	secrets []string
	calls   []call
	byKey   map[string][]string
	minted  int
	forgets bool
	mood    serviceMood
	trouble int // how many calls the mood lasts, -1: all
}

// call is what the service got.
type call struct {
	key  string
	body string
}

// serviceMood answers a call in place of the good answer, which it gets.
type serviceMood func(req *http.Request, good string) (*http.Response, error)

func (m *merchantService) set(mood serviceMood, times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood, m.trouble = mood, times
}

func (m *merchantService) called() []call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]call(nil), m.calls...)
}

// RoundTrip implements http.RoundTripper.
func (m *merchantService) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	mood := m.mood
	if m.trouble == 0 {
		mood = nil
	} else if m.trouble > 0 {
		m.trouble--
	}
	good, err := m.answer(req, body)
	m.mu.Unlock()
	switch {
	case err != nil:
		return respond(http.StatusUnauthorized, err.Error()), nil
	case mood != nil:
		return mood(req, good)
	}
	return respond(http.StatusOK, good), nil
}

func (m *merchantService) answer(req *http.Request, body []byte) (string, error) {
	if err := webhook.Verify(m.secrets, req.Header, body, time.Now()); err != nil {
		return "", err
	}
	var in struct {
		Data struct {
			Units []int `json:"units"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	key := req.Header.Get("Idempotency-Key")
	m.calls = append(m.calls, call{key, string(body)})
	if m.byKey[key] == nil || m.forgets {
		m.byKey[key] = nil
		for range in.Data.Units {
			m.minted++
			fresh := fmt.Sprintf("WS-%06d", m.minted)
			m.byKey[key] = append(m.byKey[key], fresh)
			m.shop.mu.Lock()
			m.shop.stock = append(m.shop.stock, fresh)
			m.shop.mu.Unlock()
		}
	}
	out, err := json.Marshal(map[string]any{"licenses": m.byKey[key], "ok": true})
	return string(out), err
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// says answers with a status and a text.
func says(status int, body string) serviceMood {
	return func(*http.Request, string) (*http.Response, error) { return respond(status, body), nil }
}

// unreachable: it has got the call, and the answer is lost.
func unreachable(*http.Request, string) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

// hanging: it says nothing.
func hanging(req *http.Request, _ string) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// register registers the web service for a product, by a replica.
func (m *merchantService) register(ctx context.Context, r *replica, w *deliveryv1.WebService) error {
	w.Url = "https://shop.example/licences"
	m.mu.Lock() // until the secret is known: what waited for the service calls it at once
	defer m.mu.Unlock()
	out, err := r.server.PutWebService(as(ctx, merchant), &deliveryv1.PutWebServiceRequest{WebService: w})
	if err != nil {
		return err
	}
	if out.GetSecret() != "" {
		m.secrets = append(m.secrets, out.GetSecret())
	}
	return nil
}
