package mail_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quittance/pkg/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message(to string) mail.Message {
	return mail.Message{
		ID: "dlv_1-licence", From: "Käse & Söhne <licences@shop.example>", To: to, ReplyTo: "help@shop.example",
		Subject: "Ihr Lizenzschlüssel", Text: "Schlüssel: ABCD\n.\nDanke", HTML: "<p>Schlüssel: ABCD</p>",
		Headers: map[string]string{"Auto-Submitted": "auto-generated"},
	}
}

func TestSendArrives(t *testing.T) {
	tests := map[string][]serverOption{
		"plain":              nil,
		"plain with login":   {wantsLogin},
		"STARTTLS":           {offersStartTLS},
		"STARTTLS and login": {offersStartTLS, wantsLogin},
		"implicit TLS":       {speaksTLS},
		"TLS and login":      {speaksTLS, wantsLogin},
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, options...)
			if err := server.sender(t).Send(t.Context(), message("Jane <jane@käse.example>")); err != nil {
				t.Fatalf("Send: %v", err)
			}
			got := server.messages(t)
			if len(got) != 1 {
				t.Fatalf("the server has %d messages, want 1", len(got))
			}
			if server.from[0] != "licences@shop.example" || server.to[0] != "jane@xn--kse-qla.example" {
				t.Errorf("envelope from %q to %q", server.from[0], server.to[0])
			}
			want := map[string]string{
				"From":           "Käse & Söhne <licences@shop.example>",
				"To":             `"Jane" <jane@xn--kse-qla.example>`,
				"Reply-To":       "<help@shop.example>",
				"Subject":        "Ihr Lizenzschlüssel",
				"Message-Id":     "<dlv_1-licence@shop.example>",
				"Auto-Submitted": "auto-generated",
			}
			for header, value := range want {
				if decoded, err := new(mime.WordDecoder).DecodeHeader(got[0].Header.Get(header)); err != nil || decoded != value {
					t.Errorf("%s is %q (%v), want %q", header, decoded, err, value)
				}
			}
			if bodies := alternatives(t, got[0].Header.Get("Content-Type"), got[0].Body); bodies["text/plain"] !=
				"Schlüssel: ABCD\r\n.\r\nDanke" || bodies["text/html"] != "<p>Schlüssel: ABCD</p>" {
				t.Errorf("bodies %q", bodies)
			}
		})
	}
}

// alternatives decodes a multipart/alternative body into its parts by media type.
func alternatives(t *testing.T, contentType string, body io.Reader) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(map[string]string)
	for parts := multipart.NewReader(body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		mediaType, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		bodies[mediaType] = string(text)
	}
}

// TestRepeatedSendHasTheSameMessageID (P5): mail goes out at least once, with a stable id.
func TestRepeatedSendHasTheSameMessageID(t *testing.T) {
	server := startServer(t)
	for range 3 {
		// A sender each time: a restart in between changes nothing.
		if err := server.sender(t).Send(t.Context(), message("jane@example.com")); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range server.messages(t) {
		if id := got.Header.Get("Message-Id"); id != "<dlv_1-licence@shop.example>" {
			t.Errorf("Message-ID is %q", id)
		}
	}
}

func TestRepliesAreClassed(t *testing.T) {
	server := startServer(t)
	refusedFrom := message("jane@example.com")
	refusedFrom.From = "refused@shop.example"
	tests := map[string]struct {
		message   mail.Message
		step      string
		code      int
		permanent bool
	}{
		"recipient later":         {message("rcpt-451@example.com"), "RCPT TO", 451, false},
		"recipient unknown":       {message("rcpt-550@example.com"), "RCPT TO", 550, true},
		"server going down":       {message("rcpt-421@example.com"), "RCPT TO", 421, false},
		"login, not recipient":    {message("rcpt-535@example.com"), "RCPT TO", 535, false},
		"content later":           {message("data-451@example.com"), "message", 451, false},
		"content refused":         {message("data-550@example.com"), "message", 550, true},
		"sender address not ours": {refusedFrom, "MAIL FROM", 550, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := server.sender(t).Send(t.Context(), tt.message)
			var failure *mail.SendError
			if !errors.As(err, &failure) {
				t.Fatalf("Send = %v, want a SendError", err)
			}
			if failure.Step != tt.step || failure.Code != tt.code || mail.IsPermanent(err) != tt.permanent {
				t.Errorf("%v: step %q, code %d, permanent %t; want %q, %d, %t", err,
					failure.Step, failure.Code, mail.IsPermanent(err), tt.step, tt.code, tt.permanent)
			}
			if strings.Contains(err.Error(), "ABCD") {
				t.Errorf("the error repeats the message's text: %v", err)
			}
		})
	}
	if got := server.messages(t); len(got) != 0 {
		t.Errorf("%d refused messages were accepted", len(got))
	}
}

// TestFailuresBeforeTheMessageAreTemporary: they say nothing about the message, so it must not be given up.
func TestFailuresBeforeTheMessageAreTemporary(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := mail.Config{Host: "127.0.0.1", Port: closed.Addr().(*net.TCPAddr).Port, TLS: mail.TLSNone}
	_ = closed.Close()

	wrongPassword := startServer(t, wantsLogin).config
	wrongPassword.Password = "wrong"
	noLogin := startServer(t, wantsLogin).config
	noLogin.Username, noLogin.Password = "", ""
	noStartTLS := startServer(t).config
	noStartTLS.TLS = mail.TLSStartTLS
	untrusted := startServer(t, speaksTLS).config
	untrusted.RootCAs = ""
	untrustedStart := startServer(t, offersStartTLS).config
	untrustedStart.RootCAs = ""

	tests := map[string]mail.Config{
		"nobody listens":         nobody,
		"wrong password":         wrongPassword,
		"login needed":           noLogin,
		"no STARTTLS":            noStartTLS,
		"untrusted":              untrusted,
		"untrusted STARTTLS":     untrustedStart,
		"unwelcome":              scriptedServer(t, "554 go away", nil),
		"unwelcome after EHLO":   scriptedServer(t, "220 hi", map[string]string{"EHLO": "550 no", "HELO": "550 no"}),
		"not SMTP":               scriptedServer(t, "HTTP/1.1 400 Bad Request", nil),
		"gone after greeting":    scriptedServer(t, "220 hi", map[string]string{"EHLO": "", "HELO": ""}),
		"gone after MAIL":        scriptedServer(t, "220 hi", map[string]string{"MAIL": ""}),
		"gone before the answer": scriptedServer(t, "220 hi", map[string]string{".": ""}),
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			sender, err := mail.NewSMTP(cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = sender.Send(t.Context(), message("jane@example.com"))
			if err == nil || mail.IsPermanent(err) {
				t.Errorf("Send = %v, want a temporary error", err)
			}
			if err != nil && (strings.Contains(err.Error(), "wrong\"") || strings.Contains(err.Error(), password)) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestAcceptedIsAccepted: once the relay has said 250 to the message, a failing goodbye does not cause a second one.
func TestAcceptedIsAccepted(t *testing.T) {
	for _, farewell := range []string{"", "500 what", "421 bye"} {
		sender, err := mail.NewSMTP(scriptedServer(t, "220 hi", map[string]string{"QUIT": farewell}))
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(t.Context(), message("jane@example.com")); err != nil {
			t.Errorf("QUIT answered %q: Send = %v, want nil", farewell, err)
		}
	}
}

func TestContextEndsAHangingSend(t *testing.T) {
	for _, to := range []string{"rcpt-hangs@example.com", "data-hangs@example.com"} {
		t.Run("canceled "+to, func(t *testing.T) {
			server := startServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-server.hanging
				cancel()
			}()
			err := server.sender(t).Send(ctx, message(to))
			if !errors.Is(err, context.Canceled) || mail.IsPermanent(err) {
				t.Errorf("Send = %v, want a temporary error of the canceled context", err)
			}
		})
	}
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := startServer(t).sender(t).Send(ctx, message("data-hangs@example.com"))
		if !errors.Is(err, context.DeadlineExceeded) || mail.IsPermanent(err) {
			t.Errorf("Send = %v, want a temporary DeadlineExceeded", err)
		}
	})
	t.Run("own timeout", func(t *testing.T) {
		sender := startServer(t).sender(t, func(cfg *mail.Config) { cfg.Timeout = 50 * time.Millisecond })
		err := sender.Send(t.Context(), message("data-hangs@example.com"))
		if !errors.Is(err, context.DeadlineExceeded) || mail.IsPermanent(err) {
			t.Errorf("Send = %v, want a temporary DeadlineExceeded", err)
		}
	})
	t.Run("silent from the start", func(t *testing.T) {
		for _, mode := range []mail.TLSMode{mail.TLSNone, mail.TLSImplicit} {
			cfg := scriptedServer(t, "", nil)
			cfg.TLS, cfg.Timeout = mode, 50*time.Millisecond
			sender, err := mail.NewSMTP(cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = sender.Send(t.Context(), message("jane@example.com"))
			if !errors.Is(err, context.DeadlineExceeded) || mail.IsPermanent(err) {
				t.Errorf("%s: Send = %v, want a temporary DeadlineExceeded", mode, err)
			}
		}
	})
	t.Run("over before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := startServer(t).sender(t).Send(ctx, message("jane@example.com")); !errors.Is(err, context.Canceled) {
			t.Errorf("Send = %v, want context.Canceled", err)
		}
	})
}

// TestSenderHidesItsPassword (P10).
func TestSenderHidesItsPassword(t *testing.T) {
	server := startServer(t, wantsLogin)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, server.sender(t)); strings.Contains(text, password) {
			t.Errorf("Sprintf(%q) shows the password: %s", verb, text)
		}
	}
}
