package mail

import (
	"bytes"
	"errors"
	"maps"
	"mime"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
)

// FuzzRender: whatever a message is made of, it is refused by field, or becomes one well-formed message with exactly
// the headers asked for. It is tested from inside, because a server round trip per input would be slow.
func FuzzRender(f *testing.F) {
	f.Add("id-1", "Shop <a@shop.example>", "jane@example.com", "Hello", "X-Id", "1", "Dear Jane", "<p>Dear Jane")
	f.Add("id-1", "a@shop.example", "Jäne <jane@example.com>", "Grüße "+strings.Repeat("ü", 90), "X-Id", "ü", "", "x")
	f.Add("i", "a@b.c", "a@b.c", strings.Repeat("x", 100)+strings.Repeat(" ", 200)+"y", "X", strings.Repeat("x ", 300), "x", "")
	f.Add("i", "a@b.c", "a@b.c", "a\r\nBcc: b@c.d", "X\r\nBcc", "b@c.d\r\n", ".\r\n.\r\nMAIL FROM:<a@b.c>", "\r\n.\r\n")
	f.Add("i", "\"a\r\nb\" <a@b.c>", "a@b.c\nBcc: x", " ", "Bcc", " ", "\x00\xff", "\r")
	f.Fuzz(func(t *testing.T, id, from, to, subject, name, value, text, html string) {
		env, err := render(Message{
			ID: id, From: from, To: to, Subject: subject, Headers: map[string]string{name: value}, Text: text, HTML: html,
		})
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) {
				t.Fatalf("render failed without naming a field: %v", err)
			}
			return
		}
		for line := range bytes.SplitSeq(env.data, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("a line of %d bytes or with CR, LF or NUL in it: %q", len(line), line)
			}
		}
		got, err := netmail.ReadMessage(bytes.NewReader(env.data))
		if err != nil {
			t.Fatalf("unreadable: %v\n%q", err, env.data)
		}
		want := []string{"Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
		if text == "" || html == "" {
			want = append(want, "Content-Transfer-Encoding") // of the one body; with two, each part has its own
		}
		want = slices.Sorted(slices.Values(append(want, canonicalKey(name))))
		if names := slices.Sorted(maps.Keys(got.Header)); !slices.Equal(names, want) {
			t.Fatalf("headers %q, want %q\n%q", names, want, env.data)
		}
		for header, values := range got.Header {
			if len(values) != 1 {
				t.Fatalf("%s is there %d times", header, len(values))
			}
		}
		if strings.Contains(subject, "=?") {
			return // an encoded word in the input is decoded by readers; that is no injection
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
		if wanted, _ := headerValue("", subject); err != nil || decoded != wanted {
			t.Fatalf("the subject %q reads as %q, %v", wanted, decoded, err)
		}
	})
}

// canonicalKey is how net/mail files a header away.
func canonicalKey(name string) string {
	header := netmail.Header{}
	message, err := netmail.ReadMessage(strings.NewReader(name + ": x\r\n\r\n"))
	if err == nil {
		header = message.Header
	}
	for key := range header {
		return key
	}
	return name
}

// TestPictures: a picture is a part beside the HTML that names it.
func TestPictures(t *testing.T) {
	env, err := render(Message{
		ID: "id-1", From: "a@shop.example", To: "b@c.example", Subject: "x", Text: "x", HTML: `<img src="cid:logo">`,
		Pictures: []Picture{{ID: "logo", Type: "image/png", Data: []byte("\x89PNG")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"multipart/related", "Content-Id: <logo>", "Content-Type: image/png", "iVBORw=="} {
		if !strings.Contains(string(env.data), want) {
			t.Errorf("no %q in\n%s", want, env.data)
		}
	}
}
