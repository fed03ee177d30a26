package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of a browser.
const (
	maxRedirects = 20
	maxPage      = 4 << 20
)

// Browser visits pages as a customer's does, without running scripts. It is for one customer at a time.
type Browser struct {
	http *http.Client
	// Visited are the URLs of all requests made, in order.
	Visited []string
}

// NewBrowser returns a browser without cookies.
func NewBrowser() (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make cookie jar: %w", err)
	}
	return &Browser{http: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Page is where a browser has arrived.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	Forms  []Form
	// Refresh is where the page asks to go on to, after RefreshAfter; nil: nowhere.
	Refresh      *url.URL
	RefreshAfter time.Duration
}

// Open visits an address, following redirects.
func (b *Browser) Open(ctx context.Context, address string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", address, err)
	}
	return b.follow(req)
}

// Submit sends a form by one of its buttons ("" name: none), following redirects.
func (b *Browser) Submit(ctx context.Context, form Form, button Button) (*Page, error) {
	fields := form.clone()
	if button.Name != "" {
		fields.Set(button.Name, button.Value)
	}
	target := *form.Action
	var body io.Reader
	if form.Method == http.MethodGet {
		target.RawQuery = fields.Encode()
	} else {
		body = strings.NewReader(fields.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, form.Method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("submit to %s: %w", form.Action, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.follow(req)
}

// follow makes a request and those that its answer redirects to.
func (b *Browser) follow(req *http.Request) (*Page, error) {
	for range maxRedirects {
		page, next, err := b.request(req)
		if err != nil || next == nil {
			return page, err
		}
		kept := page.Status == http.StatusTemporaryRedirect || page.Status == http.StatusPermanentRedirect
		if kept && req.Method != http.MethodGet {
			return nil, fmt.Errorf("%s: the form would be sent on to %s", req.URL, next)
		}
		if req, err = http.NewRequestWithContext(req.Context(), http.MethodGet, next.String(), nil); err != nil {
			return nil, fmt.Errorf("follow to %s: %w", next, err)
		}
	}
	return nil, fmt.Errorf("more than %d redirects, the last to %s", maxRedirects, req.URL)
}

// request makes one request; next is where its answer redirects to.
func (b *Browser) request(req *http.Request) (page *Page, next *url.URL, err error) {
	req.Header.Set("Accept", "text/html")
	b.Visited = append(b.Visited, req.URL.String())
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is written, so closing has nothing to say
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", req.URL, err)
	}
	page = &Page{URL: req.URL, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		next, err = resp.Location()
		return page, next, err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		if err := page.parse(); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", req.URL, err)
		}
		if content := resp.Header.Get("Refresh"); content != "" {
			if err := page.refresh(content); err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", req.URL, err)
			}
		}
	}
	return page, nil, nil
}

// Pay says how PayLikeABrowser behaves. The zero value pays.
type Pay struct {
	// Action is the order page's button: "pay" (also if empty), "decline" or "cancel".
	Action string
	// Fields are filled into the order page's form, such as "method": "IDEAL" or "fault.dropPostback": "on".
	Fields map[string]string
	// Method picks a payment method on a page before: a part of what is on or in one of its forms or buttons (an account's
	// id, a display name). Empty: the first.
	Method string
	// Until ends the visit at a page; nil: at one that the system has sent the customer back to with fulfillmentStatus.
	Until func(*Page) bool
	// Patience bounds how long pages that reload themselves are waited for; 0: 30 s.
	Patience time.Duration
}

// Visit is what PayLikeABrowser has seen.
type Visit struct {
	// URLs of all requests, in order, and the page where it ended.
	URLs []string
	Last *Page
	// Ordered: the provider's order page was reached and its button pressed.
	Ordered bool
}

// FulfillmentStatus is what the last URL says of the payment, "" if nothing.
func (v Visit) FulfillmentStatus() string {
	if v.Last == nil {
		return ""
	}
	return v.Last.URL.Query().Get("fulfillmentStatus")
}

// PayLikeABrowser opens a payment page and does as a customer: it chooses a method, presses the button on the provider's
// order page, and goes where it is sent until it is back at the shop or nothing moves any more. After an error the Visit
// says how far it came.
func PayLikeABrowser(ctx context.Context, payURL string, pay Pay) (Visit, error) {
	browser, err := NewBrowser()
	if err != nil {
		return Visit{}, err
	}
	return browser.Pay(ctx, payURL, pay)
}

// Pay is PayLikeABrowser with the cookies of this browser.
func (b *Browser) Pay(ctx context.Context, payURL string, pay Pay) (Visit, error) {
	if pay.Action == "" {
		pay.Action = "pay"
	}
	if pay.Patience == 0 {
		pay.Patience = 30 * time.Second
	}
	if pay.Until == nil {
		pay.Until = func(p *Page) bool { return p.URL.Query().Has("fulfillmentStatus") }
	}
	begun, from := time.Now(), len(b.Visited)
	visit := Visit{}
	page, err := b.Open(ctx, payURL)
	for err == nil {
		visit.Last = page
		if pay.Until(page) {
			break
		}
		form, button, order := pay.choose(page)
		switch onward := page.onward(); {
		case onward != nil:
			page, err = b.Submit(ctx, *onward, onward.Buttons[0])
		case !visit.Ordered && form != nil:
			visit.Ordered = order
			page, err = b.Submit(ctx, *form, button)
		case page.Refresh != nil && time.Since(begun) < pay.Patience:
			page, err = b.reload(ctx, page)
		default:
			visit.URLs = b.Visited[from:]
			return visit, nil
		}
	}
	visit.URLs = b.Visited[from:]
	return visit, err
}

// onward is the form that leads to another site, if that is all there is to do.
func (p *Page) onward() *Form {
	for _, f := range p.Forms {
		if f.onward(p.URL) {
			return &f
		}
	}
	return nil
}

// reload waits as the page asks, but no longer than a second.
func (b *Browser) reload(ctx context.Context, page *Page) (*Page, error) {
	timer := time.NewTimer(min(page.RefreshAfter, time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return b.Open(ctx, page.Refresh.String())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// choose finds what to press: the order page's button, else a payment method's.
func (p Pay) choose(page *Page) (form *Form, button Button, order bool) {
	for _, f := range page.Forms {
		if b, ok := f.button("action", p.Action); ok && f.Fields.Has("token") {
			for name, value := range p.Fields {
				f.Fields.Set(name, value)
			}
			return &f, b, true
		}
	}
	for _, f := range page.Forms {
		if b, ok := f.offers(p.Method); ok {
			return &f, b, false
		}
	}
	return nil, Button{}, false
}

var errRefresh = errors.New("refresh is unreadable")

// refresh reads the content of <meta http-equiv="refresh">: "3" or "3; url=/next".
func (p *Page) refresh(content string) error {
	seconds, rest, _ := strings.Cut(content, ";")
	n, err := strconv.Atoi(strings.TrimSpace(seconds))
	if err != nil || n < 0 {
		return errRefresh
	}
	target := p.URL
	if _, address, ok := strings.Cut(rest, "="); ok {
		if target, err = p.URL.Parse(strings.Trim(strings.TrimSpace(address), `"'`)); err != nil {
			return errRefresh
		}
	}
	p.Refresh, p.RefreshAfter = target, time.Duration(n)*time.Second
	return nil
}
