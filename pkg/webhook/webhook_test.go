package webhook_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"

	"quittance/pkg/webhook"
)

// The vector of the reference libraries (webhook_test.go, TestWebhookSign).
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 0)

func secretOf(size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, size))
}

func TestOfficialVector(t *testing.T) {
	got, err := webhook.Sign(vectorSecret, vectorID, vectorTime, []byte(vectorBody))
	if err != nil || got != vectorSignature {
		t.Errorf("Sign = %q, %v; want %q", got, err, vectorSignature)
	}
	headers, err := webhook.Headers([]string{vectorSecret}, vectorID, vectorTime.Add(time.Second-1), []byte(vectorBody))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"webhook-id": vectorID, "webhook-timestamp": "1614265330", "webhook-signature": vectorSignature,
	}
	for name, value := range want {
		if got := headers.Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
	if len(headers) != len(want) {
		t.Errorf("Headers gives %v", headers)
	}
}

func TestSecretFormat(t *testing.T) {
	tests := map[string]struct {
		secret string
		ok     bool
	}{
		"fresh":      {webhook.NewSecret(), true},
		"shortest":   {secretOf(24), true},
		"longest":    {secretOf(64), true},
		"too short":  {secretOf(23), false},
		"too long":   {secretOf(65), false},
		"no prefix":  {strings.TrimPrefix(vectorSecret, "whsec_"), false},
		"asymmetric": {"whsk_" + strings.TrimPrefix(secretOf(32), "whsec_"), false},
		"no padding": {strings.TrimRight(secretOf(32), "="), false},
		"line break": {secretOf(24) + "\n", false},
		"not base64": {"whsec_!!!!", false},
		"empty":      {"", false},
	}
	for name, tt := range tests {
		err := webhook.CheckSecret(tt.secret)
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, webhook.ErrSecret)) {
			t.Errorf("%s: CheckSecret = %v, want ok %t", name, err, tt.ok)
		}
		if _, err := webhook.Sign(tt.secret, "msg_1", vectorTime, nil); (err == nil) != tt.ok {
			t.Errorf("%s: Sign = %v, want ok %t", name, err, tt.ok)
		}
	}
	if webhook.NewSecret() == webhook.NewSecret() {
		t.Error("NewSecret repeated itself")
	}
}

func TestSignRefuses(t *testing.T) {
	tests := map[string]struct {
		id string
		ts time.Time
	}{
		"empty id":        {"", vectorTime},
		"id with dot":     {"msg.1", vectorTime},
		"id with space":   {"msg 1", vectorTime},
		"id with newline": {"msg\r\nX-Evil: 1", vectorTime},
		"id not ASCII":    {"msg_ü", vectorTime},
		"long id":         {strings.Repeat("x", 257), vectorTime},
		"forgotten time":  {"msg_1", time.Time{}},
	}
	for name, tt := range tests {
		if _, err := webhook.Headers([]string{vectorSecret}, tt.id, tt.ts, nil); !errors.Is(err, webhook.ErrHeaders) {
			t.Errorf("%s: %v, want ErrHeaders", name, err)
		}
	}
	if _, err := webhook.Headers(nil, "msg_1", vectorTime, nil); !errors.Is(err, webhook.ErrSecret) {
		t.Errorf("no secret: %v, want ErrSecret", err)
	}
}

func TestVerify(t *testing.T) {
	ours, other := vectorSecret, webhook.NewSecret()
	both := []string{other, ours}
	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	tests := map[string]struct {
		secrets []string
		change  func(http.Header)
		body    string
		skew    time.Duration
		want    error
	}{
		"genuine":                {},
		"either secret":          {secrets: both},
		"another secret":         {secrets: []string{other}, want: webhook.ErrSignature},
		"no secret":              {secrets: []string{}, want: webhook.ErrSecret},
		"one secret unusable":    {secrets: []string{ours, "whsec_"}, want: webhook.ErrSecret},
		"another body":           {body: vectorBody + " ", want: webhook.ErrSignature},
		"another id":             {change: set("webhook-id", "msg_2"), want: webhook.ErrSignature},
		"another time":           {change: set("webhook-timestamp", "1614265331"), want: webhook.ErrSignature},
		"oldest":                 {skew: 5 * time.Minute},
		"too old":                {skew: 5*time.Minute + 1, want: webhook.ErrTimestamp},
		"newest":                 {skew: -5 * time.Minute},
		"too new":                {skew: -5*time.Minute - 1, want: webhook.ErrTimestamp},
		"no id":                  {change: set("webhook-id", ""), want: webhook.ErrHeaders},
		"id with dot":            {change: set("webhook-id", "a.b"), want: webhook.ErrHeaders},
		"no timestamp":           {change: set("webhook-timestamp", ""), want: webhook.ErrHeaders},
		"no signature":           {change: set("webhook-signature", ""), want: webhook.ErrHeaders},
		"timestamp in words":     {change: set("webhook-timestamp", "now"), want: webhook.ErrHeaders},
		"timestamp with plus":    {change: set("webhook-timestamp", "+1614265330"), want: webhook.ErrHeaders},
		"timestamp with zero":    {change: set("webhook-timestamp", "01614265330"), want: webhook.ErrHeaders},
		"timestamp below zero":   {change: set("webhook-timestamp", "-1"), want: webhook.ErrHeaders},
		"timestamp at the limit": {change: set("webhook-timestamp", "9223372036854775807"), want: webhook.ErrTimestamp},
		"repeated header":        {change: func(h http.Header) { h.Add("webhook-id", vectorID) }, want: webhook.ErrHeaders},
		"among others": {change: set("webhook-signature",
			"v2,"+vectorSignature[3:]+" v1,AAAA "+vectorSignature+" v1a,BBBB")},
		"other version only":  {change: set("webhook-signature", "v1a,"+vectorSignature[3:]), want: webhook.ErrSignature},
		"no version":          {change: set("webhook-signature", vectorSignature[3:]), want: webhook.ErrSignature},
		"empty signature":     {change: set("webhook-signature", "v1,"), want: webhook.ErrSignature},
		"truncated signature": {change: set("webhook-signature", vectorSignature[:20]), want: webhook.ErrSignature},
		"unpadded signature": {change: set("webhook-signature", strings.TrimRight(vectorSignature, "=")),
			want: webhook.ErrSignature},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			headers, err := webhook.Headers([]string{ours}, vectorID, vectorTime, []byte(vectorBody))
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(headers)
			}
			secrets, body := tt.secrets, tt.body
			if secrets == nil {
				secrets = []string{ours}
			}
			if body == "" {
				body = vectorBody
			}
			err = webhook.Verify(secrets, headers, []byte(body), vectorTime.Add(tt.skew))
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestRotation (P7): while a secret is being replaced, receivers with either one accept every message.
func TestRotation(t *testing.T) {
	old, fresh := webhook.NewSecret(), webhook.NewSecret()
	headers, err := webhook.Headers([]string{fresh, old}, "msg_1", vectorTime, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"old": old, "fresh": fresh} {
		if err := webhook.Verify([]string{secret}, headers, nil, vectorTime); err != nil {
			t.Errorf("the receiver with the %s secret: %v", name, err)
		}
	}
}

// TestAgreesWithReferenceLibrary: each side accepts what the other signs.
func TestAgreesWithReferenceLibrary(t *testing.T) {
	now := time.Now() // the reference library reads the clock
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64).Draw(t, "key")
		secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
		id := rapid.StringMatching(`[!-\-/-~]{1,40}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		theirs, err := oracle.NewWebhook(secret)
		if err != nil {
			t.Fatalf("the reference library refuses our secret: %v", err)
		}

		headers, err := webhook.Headers([]string{webhook.NewSecret(), secret}, id, now, body)
		if err != nil {
			t.Fatalf("Headers: %v", err)
		}
		if err := theirs.Verify(body, headers); err != nil {
			t.Fatalf("the reference library refuses our signature: %v", err)
		}

		signature, err := theirs.Sign(id, now, body)
		if err != nil {
			t.Fatalf("the reference library does not sign: %v", err)
		}
		headers.Set(oracle.HeaderWebhookSignature, signature)
		if err := webhook.Verify([]string{secret}, headers, body, now); err != nil {
			t.Fatalf("we refuse the reference library's signature: %v", err)
		}
	})
}

// FuzzVerify: without the secret no header makes a message genuine, and nothing panics. What is accepted, the reference
// library accepts as well.
func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorSignature, []byte(vectorBody))
	f.Add(vectorID, "1614265330", "v1,AAAA v1a,", []byte(vectorBody))
	f.Add("", "", "", []byte(nil))
	f.Add("a.b", "-1", " , ,", []byte("x"))
	theirs, err := oracle.NewWebhook(vectorSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		headers := http.Header{}
		headers.Set("webhook-id", id)
		headers.Set("webhook-timestamp", timestamp)
		headers.Set("webhook-signature", signature)
		if err := webhook.Verify([]string{vectorSecret}, headers, body, vectorTime); err != nil {
			return
		}
		if id != vectorID || timestamp != "1614265330" || string(body) != vectorBody {
			t.Fatal("a forged message was accepted")
		}
		if err := theirs.VerifyIgnoringTimestamp(body, headers); err != nil {
			t.Fatalf("accepted here, refused by the reference library: %v", err)
		}
	})
}
