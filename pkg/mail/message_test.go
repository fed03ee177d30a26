package mail_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quittance/pkg/mail"
)

func TestMessageRefused(t *testing.T) {
	sender := startServer(t).sender(t)
	tests := map[string]struct {
		change func(*mail.Message)
		field  string
	}{
		"no id":               {func(m *mail.Message) { m.ID = "" }, "ID"},
		"long id":             {func(m *mail.Message) { m.ID = strings.Repeat("x", 129) }, "ID"},
		"id with CRLF":        {func(m *mail.Message) { m.ID = "a\r\nBcc: evil@example.com" }, "ID"},
		"id with domain":      {func(m *mail.Message) { m.ID = "a@b" }, "ID"},
		"id with dots":        {func(m *mail.Message) { m.ID = "a..b" }, "ID"},
		"no from":             {func(m *mail.Message) { m.From = "" }, "From"},
		"from with CR":        {func(m *mail.Message) { m.From = "a\r <a@example.com>" }, "From"},
		"from encoded CRLF":   {func(m *mail.Message) { m.From = "=?utf-8?q?a=0D=0ABcc:_x?= <a@example.com>" }, "From"},
		"no to":               {func(m *mail.Message) { m.To = "" }, "To"},
		"to with LF":          {func(m *mail.Message) { m.To = "jane@example.com\nBcc: evil@example.com" }, "To"},
		"to two people":       {func(m *mail.Message) { m.To = "a@example.com, b@example.com" }, "To"},
		"to without domain":   {func(m *mail.Message) { m.To = "jane" }, "To"},
		"to with parameters":  {func(m *mail.Message) { m.To = "<jane@example.com> NOTIFY=NEVER" }, "To"},
		"reply-to with CRLF":  {func(m *mail.Message) { m.ReplyTo = "a@example.com\r\n" }, "ReplyTo"},
		"subject with CRLF":   {func(m *mail.Message) { m.Subject = "Hi\r\nBcc: evil@example.com" }, "Subject"},
		"subject with LF":     {func(m *mail.Message) { m.Subject = "Hi\n\nbody" }, "Subject"},
		"subject with CR":     {func(m *mail.Message) { m.Subject = "Hi\rBcc: evil@example.com" }, "Subject"},
		"subject with NUL":    {func(m *mail.Message) { m.Subject = "Hi\x00" }, "Subject"},
		"subject not UTF-8":   {func(m *mail.Message) { m.Subject = "Hi\xff" }, "Subject"},
		"long subject":        {func(m *mail.Message) { m.Subject = strings.Repeat("x", 901) }, "Subject"},
		"no text":             {func(m *mail.Message) { m.Text, m.HTML = "", "" }, "Text"},
		"header value CRLF":   {header("X-Id", "1\r\nBcc: evil@example.com"), `Headers["X-Id"]`},
		"header name CRLF":    {header("X-Id: 1\r\nBcc", "evil@example.com"), `Headers["X-Id: 1\r\nBcc"]`},
		"header name colon":   {header("X:Id", "1"), `Headers["X:Id"]`},
		"header name space":   {header("X Id", "1"), `Headers["X Id"]`},
		"no header name":      {header("", "1"), `Headers[""]`},
		"header of our own":   {header("message-id", "<1@example.com>"), `Headers["message-id"]`},
		"blind copy":          {header("Bcc", "evil@example.com"), `Headers["Bcc"]`},
		"content header":      {header("Content-Type", "text/plain"), `Headers["Content-Type"]`},
		"two spellings":       {func(m *mail.Message) { m.Headers = map[string]string{"x-a": "1", "X-A": "2"} }, `Headers["x-a"]`},
		"picture with CRLF":   {picture("a\r\nBcc: b", "image/png"), "Pictures[0].ID"},
		"picture's type":      {picture("a", "text/html"), "Pictures[0].Type"},
		"picture's header":    {picture("a", "image/png\r\nX: y"), "Pictures[0].Type"},
		"recipient not ASCII": {func(m *mail.Message) { m.To = "jäne@example.com" }, "To"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := message("jane@example.com")
			tt.change(&m)
			err := sender.Send(t.Context(), m)
			var field *mail.FieldError
			if !errors.As(err, &field) || field.Field != tt.field || !mail.IsPermanent(err) {
				t.Errorf("Send = %v, want a permanent error that names %s", err, tt.field)
			}
			if err != nil && strings.Contains(err.Error(), "evil@example.com") {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

func picture(id, kind string) func(*mail.Message) {
	return func(m *mail.Message) { m.Pictures = []mail.Picture{{ID: id, Type: kind}} }
}

func header(name, value string) func(*mail.Message) {
	return func(m *mail.Message) { m.Headers = map[string]string{name: value} }
}

// TestMessageHidesItsText (P10): licence keys are in it.
func TestMessageHidesItsText(t *testing.T) {
	m := message("jane@example.com")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "message", m)
	text := fmt.Sprintf("%v %+v %#v %s %v", m, m, m, m, &m) + log.String()
	if strings.Contains(text, "ABCD") || strings.Contains(text, "jane") || !strings.Contains(text, "dlv_1-licence") {
		t.Errorf("printed as %s", text)
	}
}

func TestValidAddress(t *testing.T) {
	valid := []string{
		"jane@example.com", "jane.doe+licences@mail.example.co.uk", "o'hara@example.com", "x@localhost", "x@LOCALHOST",
		"Jane@Example.COM", "jane@käse.example", "jane@xn--kse-qla.example", "jane@例え.テスト", "1@2.example",
		strings.Repeat("x", 64) + "@example.com",
	}
	for _, s := range valid {
		if err := mail.ValidAddress(s); err != nil {
			t.Errorf("ValidAddress(%q) = %v", s, err)
		}
	}
	invalid := map[string]string{
		"":                                        "is empty",
		"jane":                                    "form name@domain",
		"@example.com":                            "form name@domain",
		"jane@":                                   "form name@domain",
		"jane@@example.com":                       "form name@domain",
		"jane doe@example.com":                    "form name@domain",
		"a@example.com,b@example.com":             "form name@domain",
		"jane@example.com\r\nBcc: e@x.com":        "form name@domain",
		"jane\x00@example.com":                    "form name@domain",
		".jane@example.com":                       "form name@domain",
		"ja..ne@example.com":                      "form name@domain",
		"Jane <jane@example.com>":                 "must be bare",
		"<jane@example.com>":                      "must be bare",
		" jane@example.com":                       "must be bare",
		"jane@example.com ":                       "must be bare",
		"jane@example.com (Jane)":                 "must be bare",
		`"jane doe"@example.com`:                  "must be bare",
		"jäne@example.com":                        "plain ASCII",
		"jane@example":                            "must have a dot",
		"jane@[127.0.0.1]":                        "not an IP address",
		"jane@127.0.0.1":                          "not an IP address",
		"jane@ex_ample.com":                       "not a valid host name",
		"jane@-example.com":                       "not a valid host name",
		"jane@example!.com":                       "not a valid host name",
		"jane@" + strings.Repeat("x", 64) + ".de": "not a valid host name",
		strings.Repeat("x", 65) + "@example.com":  "before the @ has 65 bytes",
		"x@" + strings.Repeat("x.", 125) + "com":  "255 bytes, more than the 254",
		strings.Repeat("x", 20) + "@" + strings.Repeat("ä.", 31) + "de": "longer than 254 bytes",
	}
	for s, want := range invalid {
		if err := mail.ValidAddress(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ValidAddress(%q) = %v, want %q in it", s, err, want)
		}
	}
}

// FuzzValidAddress: what is accepted is one bare address to everyone who parses it, and safe on a line of SMTP.
func FuzzValidAddress(f *testing.F) {
	for _, s := range []string{"jane@example.com", "Jane <a@b.c>", `"a b"@c.d`, "a@[1.2.3.4]", "a@b.c\r\n", "ä@ö.de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if mail.ValidAddress(s) != nil {
			return
		}
		if len(s) > 254 || strings.ContainsAny(s, " <>()[]\",;:\\\r\n\t\x00") || strings.Count(s, "@") != 1 {
			t.Fatalf("accepted %q", s)
		}
		list, err := netmail.ParseAddressList(s)
		if err != nil || len(list) != 1 || list[0].Address != s {
			t.Fatalf("accepted %q, which reads as %v, %v", s, list, err)
		}
	})
}

// TestAddressesOfCustomersPass: ordinary addresses are not refused.
func TestAddressesOfCustomersPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-zA-Z0-9]([a-zA-Z0-9_+-]{0,20}[a-zA-Z0-9])?(\.[a-z]{1,9}){0,2}`).Draw(t, "local") + "@" +
			rapid.StringMatching(`([a-z0-9]{1,20}\.){1,3}[a-z]{2,10}`).Draw(t, "domain")
		if err := mail.ValidAddress(s); err != nil {
			t.Fatalf("ValidAddress(%q) = %v", s, err)
		}
	})
}

// TestExplain: people are told what to put right, in none of the server's words.
func TestExplain(t *testing.T) {
	said := errors.New("550 jane@example.com: go away")
	for want, tt := range map[string]struct {
		err  error
		part mail.Part
	}{
		"does not take the mail now (connect, code 0)":   {&mail.SendError{Step: "connect", Err: said}, ""},
		"does not take the mail now (RCPT TO, code 450)": {&mail.SendError{Step: "RCPT TO", Code: 450, Err: said}, ""},
		"does not take the mail now (unknown, code 0)":   {said, ""},
		"the recipient's address was refused (code 550)": {fmt.Errorf("send: %w", &mail.SendError{Step: "RCPT TO", Code: 550, Permanent: true, Err: said}), mail.PartRecipient},
		"the recipient's address was refused (code 0)":   {&mail.FieldError{Field: "To", Reason: "x"}, mail.PartRecipient},
		"the sender's address was refused (code 553)":    {&mail.SendError{Step: "MAIL FROM", Code: 553, Permanent: true, Err: said}, mail.PartSender},
		"the mail was refused (message, code 554)":       {&mail.SendError{Step: "message", Code: 554, Permanent: true, Err: said}, mail.PartContent},
		"the mail was refused (Subject, code 0)":         {&mail.FieldError{Field: "Subject", Reason: "x"}, mail.PartContent},
	} {
		problem, part := mail.Explain(tt.err)
		if !strings.Contains(problem, want) || part != tt.part || strings.Contains(problem, "jane") {
			t.Errorf("%v: %q, %q", tt.err, problem, part)
		}
	}
}
