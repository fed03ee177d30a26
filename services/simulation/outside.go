package simulation

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

	"quittance/pkg/mail"
	"quittance/pkg/webhook"
)

// mailbox is the mail system, with what it delivered.
type mailbox struct {
	w  *world
	mu sync.Mutex
	// refused are addresses it knows nothing of.
	refused map[string]bool
	got     []mail.Message
}

// mailer is a process's way to the mail system.
type mailer struct {
	box  *mailbox
	life *life
}

var _ mail.Sender = (*mailer)(nil)

// Send implements mail.Sender.
func (m *mailer) Send(ctx context.Context, msg mail.Message) error {
	w := m.box.w
	r := w.ask("mail " + msg.To)
	down := chance(r, w.storm(WindMail, ""))
	after, slow := chance(r, 0.3), chance(r, 0.1)
	took := between(r, time.Millisecond, 80*time.Millisecond)
	if slow && down {
		took = between(r, 10*time.Second, 2*time.Minute)
	}
	if err := wait(ctx, took); err != nil {
		return &mail.SendError{Step: "connect", Err: err}
	}
	return m.life.deed("mail", func() error {
		m.box.mu.Lock()
		defer m.box.mu.Unlock()
		switch {
		case m.box.refused[msg.To]:
			return &mail.SendError{Step: "RCPT TO", Code: 550, Permanent: true, Err: errors.New("no such user")}
		case down && !after:
			w.count("a mail is not accepted")
			return &mail.SendError{Step: "connect", Err: errFault}
		}
		m.box.got = append(m.box.got, msg)
		w.note("mail %q to %s", msg.Subject, msg.To)
		if down {
			w.count("a mail is accepted, and nobody hears of it")
			return &mail.SendError{Step: "DATA", Code: 451, Err: errFault}
		}
		return nil
	})
}

// wait lets time pass, or ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// receiver is the merchant's webhook endpoint, with what it accepted.
type receiver struct {
	w      *world
	secret string
	mu     sync.Mutex
	got    []hook
	forged int
}

// hook is an accepted webhook.
type hook struct {
	id, typ, order string
	sequence       int64
}

// postman is a process's way to the receiver.
type postman struct {
	receiver *receiver
	life     *life
}

var _ http.RoundTripper = (*postman)(nil)

// RoundTrip implements http.RoundTripper.
func (p *postman) RoundTrip(req *http.Request) (*http.Response, error) {
	w := p.receiver.w
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r := w.ask("webhook " + req.Header.Get(webhook.HeaderID))
	fails, how := chance(r, w.storm(WindWebhook, "")), r.IntN(4)
	took := between(r, time.Millisecond, 50*time.Millisecond)
	if fails {
		w.count("a webhook fails")
	}
	if fails && how == 0 {
		took = time.Minute // nobody answers in time
	}
	if err := wait(req.Context(), took); err != nil {
		return nil, err
	}
	var got reply
	err = p.life.deed("webhook", func() error {
		switch {
		case fails && how == 1:
			return errFault
		case fails && how == 2:
			got = reply{http.StatusServiceUnavailable, "text/plain", "down"}
			return nil
		}
		got = p.receiver.accept(req, body)
		if fails {
			return errFault
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(req, got), nil
}

func (rc *receiver) accept(req *http.Request, body []byte) reply {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if err := webhook.Verify([]string{rc.secret}, req.Header, body, time.Now()); err != nil {
		rc.forged++
		return reply{http.StatusUnauthorized, "text/plain", err.Error()}
	}
	var content struct {
		Type string `json:"type"`
		Data struct {
			Sequence int64 `json:"sequence"`
			Order    struct {
				ID string `json:"id"`
			} `json:"order"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		rc.forged++
		return reply{http.StatusBadRequest, "text/plain", err.Error()}
	}
	rc.got = append(rc.got, hook{
		id: req.Header.Get(webhook.HeaderID), typ: content.Type, order: content.Data.Order.ID, sequence: content.Data.Sequence,
	})
	rc.w.note("webhook %s, number %d of its order", content.Type, content.Data.Sequence)
	return reply{http.StatusNoContent, "text/plain", ""}
}

// reply is what somebody outside answers.
type reply struct {
	status            int
	contentType, body string
}

func answer(req *http.Request, r reply) *http.Response {
	return &http.Response{
		Status: fmt.Sprint(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {r.contentType}}, Body: io.NopCloser(strings.NewReader(r.body)),
		ContentLength: int64(len(r.body)),
	}
}
