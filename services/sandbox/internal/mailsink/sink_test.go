package mailsink

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/mail"
)

type world struct {
	t      *testing.T
	dir    string
	addr   *net.TCPAddr
	server *httptest.Server
	stop   func()
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	sink, err := New(Config{Dir: w.dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr, _ = listener.Addr().(*net.TCPAddr)
	mux := http.NewServeMux()
	sink.Routes(mux)
	w.server = httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- sink.Serve(ctx, listener) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Serve: %v", err)
		}
		w.server.Close()
		if err := sink.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
}

// send hands a mail over as the system does.
func (w *world) send(m mail.Message) error {
	w.t.Helper()
	sender, err := mail.NewSMTP(mail.Config{Host: "127.0.0.1", Port: w.addr.Port, TLS: mail.TLSNone, HELO: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return sender.Send(w.t.Context(), m)
}

func (w *world) get(path string) string {
	w.t.Helper()
	resp, err := http.Get(w.server.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, text, err)
	}
	return string(text)
}

func (w *world) mails(to string) []Mail {
	w.t.Helper()
	var mails []Mail
	if err := json.Unmarshal([]byte(w.get("/control/mails?to="+to)), &mails); err != nil {
		w.t.Fatal(err)
	}
	return mails
}

func TestMails(t *testing.T) {
	w := newWorld(t)
	text := "Key: ÄBC-123\n\n<script>alert(1)</script>\n.\nline after a dot\n" + strings.Repeat("long ", 300)
	message := mail.Message{ID: "mail_1", From: "Shöp <shop@example.com>", To: "jo@example.org",
		Subject: "Your licence – Größe", Text: text, HTML: "<p>Key: ÄBC-123</p>"}
	if err := w.send(message); err != nil {
		t.Fatal(err)
	}
	plain := message
	plain.ID, plain.HTML, plain.Text = "mail_2", "", "plain ascii"
	if err := w.send(plain); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start() // what came survives

	mails := w.mails("jo@example.org")
	if len(mails) != 2 || len(w.mails("other@example.org")) != 0 || len(w.mails("")) != 2 {
		t.Fatalf("mails %+v", mails)
	}
	got := mails[0]
	if got.Number != 1 || got.MessageID != "mail_1@example.com" || got.Subject != message.Subject || got.To != "<jo@example.org>" ||
		!strings.Contains(got.From, "Shöp") || strings.TrimRight(got.Text, " \n") != strings.TrimRight(text, " \n") ||
		strings.TrimSpace(got.HTML) != message.HTML || got.Problem != "" {
		t.Errorf("mail %+v", got)
	}
	if strings.TrimSpace(mails[1].Text) != "plain ascii" {
		t.Errorf("plain mail %+v", mails[1])
	}
	if page := w.get("/mails"); !strings.Contains(page, `href="/mails/1"`) || !strings.Contains(page, "jo@example.org") {
		t.Errorf("list:\n%s", page)
	}
	if page := w.get("/mails/1"); strings.Contains(page, "<script>") || !strings.Contains(page, "ÄBC-123") {
		t.Errorf("page:\n%s", page)
	}
	for _, path := range []string{"/mails/0", "/mails/3", "/mails/x"} {
		resp, err := http.Get(w.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// TestHTMLIsShown with its pictures, where it can do no harm.
func TestHTMLIsShown(t *testing.T) {
	w := newWorld(t)
	if err := w.send(mail.Message{ID: "m", From: "shop@example.com", To: "jo@example.org", Subject: "s", Text: "t",
		HTML:     `<p>Hi <img src="cid:logo"></p><script>alert(1)</script>`,
		Pictures: []mail.Picture{{ID: "logo", Type: "image/png", Data: []byte("\x89PNG")}},
	}); err != nil {
		t.Fatal(err)
	}
	if page := w.get("/mails/1"); !strings.Contains(page, `src="/mails/1/html"`) {
		t.Errorf("page:\n%s", page)
	}
	resp, err := http.Get(w.server.URL + "/mails/1/html")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if p := resp.Header.Get("Content-Security-Policy"); !strings.Contains(p, "sandbox") || strings.Contains(p, "script") {
		t.Errorf("policy %q", p)
	}
	if page := w.get("/mails/1/html"); !strings.Contains(page, `<img src="data:image/png;base64,iVBORw==">`) {
		t.Errorf("page:\n%s", page)
	}
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	put := func(body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.server.URL+"/control/mails/answers", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	message := mail.Message{ID: "m", From: "shop@example.com", To: "jo@example.org", Subject: "s", Text: "t"}
	for _, code := range []struct {
		json      string
		permanent bool
	}{{`{"code":451,"times":1}`, false}, {`{"code":550,"times":1}`, true}} {
		if status := put(code.json); status != http.StatusNoContent {
			t.Fatalf("%s: %d", code.json, status)
		}
		if err := w.send(message); err == nil || mail.IsPermanent(err) != code.permanent {
			t.Errorf("%s: %v", code.json, err)
		}
	}
	if err := w.send(message); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
	if mails := w.mails(""); len(mails) != 1 {
		t.Errorf("mails %+v", mails)
	}
	if put(`{"code":250,"times":1}`) != http.StatusBadRequest {
		t.Error("a code that refuses nothing passes")
	}
}

func TestUnreadableMail(t *testing.T) {
	w := newWorld(t)
	for _, raw := range []string{
		"no header at all",
		"Subject: =?utf-8?q?=zz?=\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
		"Content-Transfer-Encoding: base64\r\n\r\n!!!",
	} {
		if err := smtp.SendMail(w.addr.String(), nil, "a@example.com", []string{"b@example.com"}, []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	mails := w.mails("")
	if len(mails) != 3 {
		t.Fatalf("mails %+v", mails)
	}
	for _, m := range mails {
		if m.Problem == "" || m.Text == "" {
			t.Errorf("mail %+v", m)
		}
	}
}

func TestStopsWithOpenSession(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", w.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// The cleanup stops the sink, which must not wait for this session to end.
}

// FuzzParse: whatever the system or anybody else mails, the pages can show it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\ntext"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := json.Marshal(parse(Letter{Raw: raw})); err != nil {
			t.Fatal(err)
		}
	})
}
