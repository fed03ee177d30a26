// Package edge is callback-ingest's HTTP and gRPC: providers' callbacks come
// in here, are recorded and acknowledged, and merchants look at them.
package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"

	"quittance/pkg/fault"
	"quittance/pkg/provider"
	"quittance/pkg/provider/registry"
	"quittance/pkg/web"
	"quittance/services/callback-ingest/internal/callback"
	"quittance/services/callback-ingest/internal/callbacks"
)

// busWait is how long the bus may take to rescue a callback.
const busWait = 2 * time.Second

// maxText bounds what is taken over of a callback's content, and of a refusal.
const maxText = 200

// result is what became of a callback, for logs and metrics.
type result string

const (
	recorded   result = "recorded"
	repeated   result = "repeated"
	rescued    result = "rescued"
	refused    result = "refused"
	dropped    result = "refused_unrecorded"
	unknown    result = "unknown_account"
	notDurable result = "not_durable"
	limited    result = "limited"
)

// Receiver takes providers' callbacks.
type Receiver struct {
	callbacks *callbacks.Callbacks
	accounts  *Accounts
	providers *registry.Registry
	refusals  *limits
	rate      *limits
	config    Config
	log       *slog.Logger
	count     metric.Int64Counter
}

// Config is how a receiver behaves.
type Config struct {
	// StoreWait is how long the store may take to record a callback before the
	// bus is asked instead.
	StoreWait time.Duration
	// PerSecond is how many callbacks of one account are taken from one address
	// (IPv6: one /64); twice as many may come at once. The others are told to
	// come again.
	PerSecond int
	// RefusalTime is how long every refusal takes, so that its time does not
	// tell an unknown account from a wrong signature.
	RefusalTime time.Duration
}

// NewReceiver returns a receiver.
func NewReceiver(cs *callbacks.Callbacks, accounts *Accounts, providers *registry.Registry, config Config,
	log *slog.Logger, meter metric.MeterProvider,
) (*Receiver, error) {
	count, err := meter.Meter("quittance/callback").Int64Counter("quittance.callbacks",
		metric.WithDescription("Callbacks of payment providers, by what became of them"), metric.WithUnit("{callback}"))
	if err != nil {
		return nil, fmt.Errorf("create counter: %w", err)
	}
	return &Receiver{
		callbacks: cs, accounts: accounts, providers: providers, config: config,
		refusals: newLimits(rate.Every(refusalsEvery), refusalsAtOnce),
		rate:     newLimits(rate.Limit(config.PerSecond), 2*config.PerSecond), log: log, count: count,
	}, nil
}

// Routes adds the receiver's paths. They need no cookie and know no browser.
func (rc *Receiver) Routes(mux *http.ServeMux) {
	mux.Handle("GET /callbacks/{provider}/{account}", rc)
	mux.Handle("POST /callbacks/{provider}/{account}", rc)
}

// ServeHTTP implements http.Handler.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := rc.providers.CallbackReceiver(r.PathValue("provider"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	req, err := read(w, r)
	if err != nil {
		var u unfit
		errors.As(err, &u)
		http.Error(w, u.Error(), u.status)
		return
	}
	start := rc.callbacks.Now()
	in := &incoming{provider: r.PathValue("provider"), receiver: p, account: r.PathValue("account"), request: req, header: r.Header}
	answer, refusal := rc.receive(r.Context(), in)
	if refusal != nil {
		web.Expected(r.Context()) // providers prescribe a 500 for what anybody can send
		rc.linger(r.Context(), start)
	}
	respond(w, p.Acknowledge(answer, refusal))

	in.problem = errors.Join(in.problem, refusal)
	rc.note(r.Context(), in, rc.callbacks.Now().Sub(start))
}

// linger lets a refusal take as long as every other.
func (rc *Receiver) linger(ctx context.Context, start time.Time) {
	rest := rc.config.RefusalTime - rc.callbacks.Now().Sub(start)
	if rest <= 0 {
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// note counts the callback and writes its one log line.
func (rc *Receiver) note(ctx context.Context, in *incoming, took time.Duration) {
	counted := []attribute.KeyValue{attribute.String("provider", in.provider), attribute.String("result", string(in.result))}
	if in.reason != "" {
		counted = append(counted, attribute.String("reason", in.reason))
	}
	rc.count.Add(ctx, 1, metric.WithAttributes(counted...))
	attrs := []slog.Attr{
		slog.String("provider", in.provider), slog.String("account", in.account), slog.String("result", string(in.result)),
		slog.String("callback", in.id), slog.String("reference", in.reference), slog.String("remote", in.request.Remote),
		slog.Duration("took", took),
	}
	if in.problem != nil {
		attrs = append(attrs, slog.Any("error", in.problem))
	}
	rc.log.LogAttrs(ctx, in.level(), "callback", attrs...)
}

// incoming is one callback on its way, and what is logged of it.
type incoming struct {
	provider, account string
	receiver          provider.CallbackReceiver
	request           callback.Request
	// header has the credentials that the request, which is kept, lacks.
	header http.Header

	result result
	// reason of a refusal: "unauthentic" (a bad signature, say) or "unreadable".
	reason        string
	id, reference string
	problem       error
}

func (in *incoming) level() slog.Level {
	switch in.result {
	case recorded, repeated:
		return slog.LevelInfo
	case rescued, refused, dropped, unknown, limited:
		return slog.LevelWarn
	case notDurable:
	}
	return slog.LevelError
}

// receive records a callback and says how it is answered. What it writes
// survives a provider that hangs up.
func (rc *Receiver) receive(ctx context.Context, in *incoming) (provider.Answer, error) {
	if !rc.rate.allow(in.account+" "+sender(in.request.Remote), rc.callbacks.Now()) {
		in.result = limited
		return provider.NotDurable, nil
	}
	ctx = context.WithoutCancel(ctx)
	storeCtx, cancel := context.WithTimeout(ctx, rc.config.StoreWait)
	defer cancel()

	acc, err := rc.accounts.Find(storeCtx, in.account)
	switch {
	case fault.KindOf(err) == fault.KindNotFound, err == nil && acc.Provider != in.provider:
		in.result = unknown
		return provider.Refused, fmt.Errorf("%w: unknown account", provider.ErrUnauthentic)
	case err != nil:
		in.result, in.problem = notDurable, fmt.Errorf("find account: %w", err)
		return provider.NotDurable, nil
	}

	now := rc.callbacks.Now()
	content, dedupeKey, err := understand(in, acc, rc.callbacks)
	if err != nil {
		in.reason = "unreadable"
		if errors.Is(err, provider.ErrUnauthentic) {
			in.reason = "unauthentic"
		}
		rc.refuse(storeCtx, in, callback.RefusedFor(short(err.Error()), acc.Merchant, acc.ID, acc.Provider, in.request, now))
		return provider.Refused, err
	}
	c := callback.Accepted(acc.Merchant, acc.ID, acc.Provider, dedupeKey, in.request, content, now)
	in.id, in.reference = c.ID, content.Reference

	repeat, err := rc.callbacks.Record(storeCtx, c)
	switch {
	case err == nil && repeat:
		in.result = repeated
		return provider.Recorded, nil
	case err == nil:
		in.result = recorded
		return provider.Recorded, nil
	}
	in.problem = fmt.Errorf("record callback: %w", err)
	return rc.rescue(ctx, in, c), nil
}

// rescue puts a callback on the bus that the store did not take.
func (rc *Receiver) rescue(ctx context.Context, in *incoming, c *callback.Callback) provider.Answer {
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	if err := rc.callbacks.Rescue(ctx, c); err != nil {
		in.result, in.problem = notDurable, errors.Join(in.problem, err)
		return provider.NotDurable
	}
	in.result = rescued
	return provider.Recorded
}

// refuse records a refused callback, if there are not too many of them. That it
// could not be recorded changes nothing for the provider.
func (rc *Receiver) refuse(ctx context.Context, in *incoming, c *callback.Callback) {
	in.result, in.id = refused, c.ID
	if !rc.refusals.allow(c.Account, c.Received) {
		in.result = dropped
		return
	}
	if _, err := rc.callbacks.Record(ctx, c); err != nil {
		in.result, in.problem = dropped, fmt.Errorf("record refused callback: %w", err)
	}
}

// understand has the provider read the request.
func understand(in *incoming, acc provider.Account, cs *callbacks.Callbacks) (callback.Understood, string, error) {
	req := provider.Request{
		Method: in.request.Method, Query: values(in.request.Query), Header: in.header,
		Body: in.request.Body, Remote: in.request.Remote,
	}
	cb, err := in.receiver.ParseCallback(acc, req)
	if was, ok := acc.Previous(); ok && errors.Is(err, provider.ErrUnauthentic) {
		cb, err = in.receiver.ParseCallback(was, req)
	}
	if err != nil {
		return callback.Understood{}, "", err
	}
	for name, text := range map[string]string{
		"reference": cb.Reference, "transaction id": cb.TransactionID, "currency": cb.Refunded.Currency,
	} {
		if !plain(text) {
			return callback.Understood{}, "", fmt.Errorf("the %s is not a line of text of at most %d bytes", name, maxText)
		}
	}
	return callback.Understood{
		Reference: cb.Reference, Transaction: cb.TransactionID, Claim: string(cb.Claim),
		Signed: cb.Signed, Refunded: cb.Refunded, OneClick: cs.SealToken(acc.ID, cb),
	}, cb.DedupeKey, nil
}

func plain(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// short makes a text fit to be stored and shown.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if runes := []rune(s); len(runes) > maxText {
		return string(runes[:maxText])
	}
	return s
}

// respond writes a provider's exact answer.
func respond(w http.ResponseWriter, resp provider.Response) {
	if resp.ContentType != "" {
		w.Header().Set("Content-Type", resp.ContentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(resp.Body)))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(resp.Status)
	_, _ = io.WriteString(w, resp.Body) // a provider that hung up comes again
}
