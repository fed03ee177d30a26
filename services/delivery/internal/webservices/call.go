package webservices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/egress"
	"quittance/pkg/webhook"
	"quittance/services/delivery/internal/delivery"
)

const (
	userAgent = "Quittance-Delivery/1.0"
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 1 << 20
	// maxRetryAfter is how long a service may ask to be left alone.
	maxRetryAfter = 24 * time.Hour
)

// request is the body of a call. It is the same at every try.
type request struct {
	Type string `json:"type"`
	// Timestamp is when the order was paid.
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

type data struct {
	Key         string   `json:"idempotency_key"`
	Merchant    string   `json:"merchant_id"`
	Order       string   `json:"order_id"`
	Product     string   `json:"product_id"`
	ProductName string   `json:"product_name"`
	Line        int      `json:"line_number"`
	Units       []int    `json:"units"`
	Quantity    int      `json:"quantity"`
	Replacement int      `json:"replacement"`
	Customer    customer `json:"customer"`
}

type customer struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Ask calls the web service for the licences of a call: as many keys as it has
// units, in their order, or why there are none.
func (ws *WebServices) Ask(ctx context.Context, d *delivery.Delivery, c *delivery.Call) ([]string, *delivery.WebService, *delivery.Failure) {
	w, err := ws.Of(ctx, d.Merchant, c.Product)
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, &delivery.WebService{}, &delivery.Failure{
			Problem: fmt.Sprintf("product %q has no web service: the merchant must register it (PutWebService)", c.Product), Fatal: true,
		}
	}
	if err != nil {
		return nil, &delivery.WebService{}, &delivery.Failure{Problem: "the web service's settings can't be read now", Wait: true, After: 5 * time.Second}
	}
	docID := delivery.WebServiceID(d.Merchant, c.Product)
	if wait, ok := ws.fuses.enter(docID, ws.Now()); !ok {
		return nil, w, &delivery.Failure{Problem: fmt.Sprintf("the web service of product %q does not answer now; it is asked again by itself", c.Product), Wait: true, Down: wait > crowded, After: wait}
	}
	start := ws.Now()
	keys, status, failure := ws.call(ctx, d, c, w)
	ws.fuses.leave(docID, failure != nil && !failure.Fatal, ws.Now())
	level, problem := slog.LevelInfo, ""
	if failure != nil {
		level, problem = slog.LevelWarn, failure.Problem
	}
	ws.base.Log.Log(ctx, level, "licence web service", "merchant", d.Merchant, "product", c.Product, "order", d.Order, "line", c.Line,
		"call", c.Key, "units", len(c.Units), "status", status, "answered", failure == nil, "problem", problem, "took", ws.Now().Sub(start))
	return keys, w, failure
}

// Mend lets the next call of a product's web service through at once.
func (ws *WebServices) Mend(merchant, product string) {
	ws.fuses.mend(delivery.WebServiceID(merchant, product))
}

func (ws *WebServices) call(ctx context.Context, d *delivery.Delivery, c *delivery.Call, w *delivery.WebService) (keys []string, status int, failure *delivery.Failure) {
	timeout := w.CallTimeout()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := ws.request(ctx, d, c, w)
	if err != nil {
		return nil, 0, temporary(c, err.Error()+": the operator must look after it")
	}
	resp, err := ws.client.Do(req)
	if errors.Is(err, egress.ErrRefused) {
		return nil, 0, fatal(c, "can't be called: "+egress.Reason(err, timeout)+"; the merchant must correct its URL (PutWebService)")
	}
	if err != nil {
		return nil, 0, temporary(c, "does not answer ("+egress.Reason(err, timeout)+")")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	status = resp.StatusCode
	if err != nil {
		return nil, status, temporary(c, "broke off its answer ("+egress.Reason(err, timeout)+")")
	}
	switch w.Judge(status, body) {
	case delivery.AnswerTemporary:
		f := temporary(c, fmt.Sprintf("can't answer now (status %d)", status))
		f.After = min(egress.RetryAfter(resp.Header.Get("Retry-After"), ws.Now()), maxRetryAfter)
		return nil, status, f
	case delivery.AnswerFatal:
		return nil, status, fatal(c, fmt.Sprintf("refused (status %d): the merchant must look after it, then try again (RetryDelivery)", status))
	case delivery.AnswerGood:
	}
	keys, err = read(body, len(c.Units))
	if err != nil {
		return nil, status, temporary(c, "gave an answer that is of no use ("+err.Error()+"): the merchant must look after it")
	}
	return keys, status, nil
}

// request builds the signed request. Its errors name neither URL nor secret.
func (ws *WebServices) request(ctx context.Context, d *delivery.Delivery, c *delivery.Call, w *delivery.WebService) (*http.Request, error) {
	body, err := json.Marshal(request{
		Type: "license.requested", Timestamp: d.Created.UTC().Format(time.RFC3339),
		Data: data{
			Key: c.Key, Merchant: d.Merchant, Order: d.Order, Product: c.Product, ProductName: c.Name, Line: c.Line,
			Units: c.Units, Quantity: len(c.Units), Replacement: c.Again, Customer: customer{Email: d.Email, Name: d.Customer},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("the call can't be written")
	}
	var secrets []string
	for _, sealed := range w.Signing(ws.Now()) {
		secret, err := ws.keys.Open(sealed, delivery.WebServiceID(w.Merchant, w.Product))
		if err != nil {
			return nil, fmt.Errorf("the secret can't be read")
		}
		secrets = append(secrets, string(secret))
	}
	headers, err := webhook.Headers(secrets, c.Key, ws.Now(), body)
	if err != nil {
		return nil, fmt.Errorf("the call can't be signed")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the URL can't be called")
	}
	headers.Set("Content-Type", "application/json")
	headers.Set("Accept", "application/json")
	headers.Set("User-Agent", userAgent)
	headers.Set("Idempotency-Key", c.Key)
	req.Header = headers
	return req, nil
}

// read takes the keys out of an answer: {"licenses": ["…", …]}, as many as were
// asked for, all different. Its errors repeat nothing of the answer.
func read(body []byte, want int) ([]string, error) {
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	var answer struct {
		Licenses []string `json:"licenses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New(`no JSON object with an array "licenses" of texts`)
	}
	if len(answer.Licenses) != want {
		return nil, fmt.Errorf("%d licences, %d were asked for", len(answer.Licenses), want)
	}
	seen := map[string]int{}
	for i, key := range answer.Licenses {
		if err := delivery.CheckKey(key); err != nil {
			return nil, fmt.Errorf("licence %d %w", i+1, err)
		}
		if first := seen[key]; first > 0 {
			return nil, fmt.Errorf("licences %d and %d are the same", first, i+1)
		}
		seen[key] = i + 1
	}
	return answer.Licenses, nil
}

func temporary(c *delivery.Call, what string) *delivery.Failure {
	return &delivery.Failure{Problem: fmt.Sprintf("the web service of product %q %s; it is asked again by itself", c.Product, what)}
}

func fatal(c *delivery.Call, what string) *delivery.Failure {
	return &delivery.Failure{Problem: fmt.Sprintf("the web service of product %q %s", c.Product, what), Fatal: true}
}
