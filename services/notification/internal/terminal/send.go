package terminal

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/id"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const (
	// forwardTimeout is how long a program under development may take: longer
	// than in earnest, it may stand in a debugger.
	forwardTimeout = time.Minute
	// replayPoll is the pause between looks at a replay.
	replayPoll = time.Second
)

// test sends an example.
func test(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	endpoint := flags.String("endpoint", "", "")
	typ := flags.String("type", "", "")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	h, err := c.hooks.SendTest(ctx, &notificationv1.SendTestRequest{EndpointId: *endpoint, EventType: *typ})
	if err != nil {
		return err
	}
	c.line("%s  %s  %s", h.GetEventType(), h.GetEventId(), outcome(h))
	c.attempts(h)
	c.line("%s", h.GetRequestBody())
	return nil
}

// replay sends webhooks again.
func replay(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	endpoint := flags.String("endpoint", "", "")
	order := flags.String("order", "", "")
	event := flags.String("event", "", "")
	since := flags.Duration("since", 0, "")
	typ := flags.String("type", "", "")
	failed := flags.Bool("failed", false, "")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *order != "" || *event != "" {
		resp, err := c.hooks.Replay(ctx, &notificationv1.ReplayRequest{EndpointId: *endpoint, OrderId: *order, EventId: *event})
		if err == nil {
			c.line("%d webhooks are sent again", resp.GetWebhooks())
		}
		return err
	}
	if *since <= 0 {
		return usage("replay wants -order, -event or -since")
	}
	req := &notificationv1.ReplayRangeRequest{
		IdempotencyKey: id.New("cli"), EndpointId: *endpoint, StartTime: timestamppb.New(time.Now().Add(-*since)), FailedOnly: *failed,
	}
	if *typ != "" {
		req.EventTypes = []string{*typ}
	}
	run, err := c.hooks.ReplayRange(ctx, req)
	for ; err == nil && !run.GetDone(); run, err = c.hooks.GetReplayRange(ctx, &notificationv1.GetReplayRangeRequest{Id: run.GetId()}) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(replayPoll):
		}
	}
	if err == nil {
		c.line("%d webhooks are sent again", run.GetWebhooks())
	}
	return err
}

// forward brings events to a program under development.
func forward(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	secret := flags.String("secret", "", "")
	typ := flags.String("type", "", "")
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	target, err := url.Parse(flags.Arg(0))
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return usage(fmt.Sprintf("%q is not a URL such as http://127.0.0.1:3000/webhooks", flags.Arg(0)))
	}
	if *secret == "" {
		*secret = webhook.NewSecret()
		c.line("signing with %s", *secret)
	}
	if err := webhook.CheckSecret(*secret); err != nil {
		return usage("-secret is not whsec_ and base64")
	}
	c.line("forwarding to %s, as events happen; ^C ends it", target.Redacted())
	hc := &http.Client{
		Timeout:       forwardTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.follow(ctx, time.Now(), true, func(e *orderv1.PublicEvent) error {
		if *typ != "" && *typ != e.GetType() {
			return nil
		}
		c.event(e)
		start := time.Now()
		result, err := send(ctx, hc, target.String(), *secret, e)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			result = "not delivered: " + err.Error()
		}
		c.line("    %s  %s", result, time.Since(start).Round(time.Millisecond))
		return nil
	})
}

// send makes one request as the system would, signed with the secret given.
func send(ctx context.Context, hc *http.Client, target, secret string, e *orderv1.PublicEvent) (string, error) {
	body, err := bodyOf(e)
	if err != nil {
		return "", err
	}
	header, err := webhook.Headers([]string{secret}, e.GetId(), time.Now(), body)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	header.Set("Content-Type", "application/json")
	req.Header = header
	resp, err := hc.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return "", err
	}
	return resp.Status, nil
}
