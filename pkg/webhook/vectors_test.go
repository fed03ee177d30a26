package webhook_test

// vectors.json is published for receivers in any language. Here it is made,
// and everybody who can check it does: this package, the official Go library,
// and the npm packages standardwebhooks and svix where .ci/run (or make npm) has
// installed them.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"quittance/pkg/webhook"
)

var update = flag.Bool("update", false, "write testdata/vectors.json")

type vectors struct {
	Specification    string   `json:"specification"`
	About            []string `json:"about"`
	ToleranceSeconds int      `json:"tolerance_seconds"`
	Vectors          []vector `json:"vectors"`
}

type vector struct {
	Name string `json:"name"`
	// Valid: a receiver must accept it, else it must refuse it.
	Valid   bool              `json:"valid"`
	Secret  string            `json:"secret"`
	Now     int64             `json:"now"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

const (
	sentAt   = 1_700_000_000
	sentID   = "evt_018bcfe568007a3b8d21c1f0a2b4c6d8"
	sentBody = `{"type":"payment.succeeded","timestamp":"2023-11-14T22:13:20.000Z","data":{"event_id":"evt_018bcfe568007a3b8d21c1f0a2b4c6d8","sequence":2}}`
)

// fixedSecret is a secret whose key repeats a byte.
func fixedSecret(b byte, size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, size))
}

var (
	secretNow   = fixedSecret('q', 32)
	secretOld   = fixedSecret('o', 32)
	secretOther = fixedSecret('x', 32)
)

// signed is a vector signed with these secrets at a time.
func signed(t *testing.T, body string, at int64, secrets ...string) vector {
	t.Helper()
	headers, err := webhook.Headers(secrets, sentID, time.Unix(at, 0), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Secret: secretNow, Now: sentAt, Headers: map[string]string{}, Body: body}
	for name := range headers {
		v.Headers[strings.ToLower(name)] = headers.Get(name)
	}
	return v
}

func makeVectors(t *testing.T) vectors {
	t.Helper()
	out := vectors{
		Specification: "Standard Webhooks 1.0.0, symmetric signatures (v1, HMAC-SHA256)",
		About: []string{
			"For each vector: verify body and headers with secret, at the time now (seconds since 1970); the outcome must be valid.",
			"The body is the exact text of the request. Times more than tolerance_seconds away from now are refused.",
		},
		ToleranceSeconds: int(webhook.Tolerance.Seconds()),
	}
	add := func(name string, valid bool, v vector, change func(*vector)) {
		if change != nil {
			change(&v)
		}
		v.Name, v.Valid = name, valid
		out.Vectors = append(out.Vectors, v)
	}
	base := func() vector { return signed(t, sentBody, sentAt, secretNow) }
	signature := func(v *vector) string { return v.Headers["webhook-signature"] }
	set := func(name, value string) func(*vector) { return func(v *vector) { v.Headers[name] = value } }
	without := func(name string) func(*vector) { return func(v *vector) { delete(v.Headers, name) } }

	add("as sent", true, base(), nil)
	add("another body", true, signed(t, `{"type":"order.created","data":{}}`, sentAt, secretNow), nil)
	add("letters beyond ASCII", true, signed(t, `{"name":"Käse & <Brötchen> 日本語 🧀"}`, sentAt, secretNow), nil)
	add("white space counts", true, signed(t, "{\n  \"a\": 1\n}\n", sentAt, secretNow), nil)
	add("a large number", true, signed(t, `{"minor":9223372036854775807}`, sentAt, secretNow), nil)
	add("almost too old", true, signed(t, sentBody, sentAt-299, secretNow), nil)
	add("almost too early", true, signed(t, sentBody, sentAt+299, secretNow), nil)
	add("rotation: the receiver has the new secret", true, signed(t, sentBody, sentAt, secretNow, secretOld), nil)
	add("rotation: the receiver has the old secret", true, signed(t, sentBody, sentAt, secretOther, secretNow), nil)
	add("rotation: three secrets", true, signed(t, sentBody, sentAt, secretOther, secretNow, secretOld), nil)
	add("a signature of an unknown version beside", true, base(), func(v *vector) {
		v.Headers["webhook-signature"] = "v9,AAAA " + signature(v)
	})
	add("an asymmetric signature beside", true, base(), func(v *vector) {
		v.Headers["webhook-signature"] = signature(v) + " v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
	})
	short, long := fixedSecret('s', 24), fixedSecret('l', 64)
	add("the shortest key", true, signed(t, sentBody, sentAt, short), func(v *vector) { v.Secret = short })
	add("the longest key", true, signed(t, sentBody, sentAt, long), func(v *vector) { v.Secret = long })

	add("a changed body", false, base(), func(v *vector) { v.Body = strings.Replace(v.Body, "succeeded", "failed", 1) })
	add("a line break added to the body", false, base(), func(v *vector) { v.Body += "\n" })
	add("a body written anew", false, signed(t, `{"a": 1}`, sentAt, secretNow), func(v *vector) { v.Body = `{"a":1}` })
	add("another id", false, base(), set("webhook-id", "evt_018bcfe568007a3b8d21c1f0a2b4c6d9"))
	add("another time", false, base(), set("webhook-timestamp", strconv.Itoa(sentAt+1)))
	add("another secret", false, signed(t, sentBody, sentAt, secretOther), nil)
	add("rotation: none of the secrets", false, signed(t, sentBody, sentAt, secretOther, secretOld), nil)
	add("too old", false, signed(t, sentBody, sentAt-301, secretNow), nil)
	add("days old", false, signed(t, sentBody, sentAt-86_400*3, secretNow), nil)
	add("too early", false, signed(t, sentBody, sentAt+301, secretNow), nil)
	add("no id", false, base(), without("webhook-id"))
	add("no time", false, base(), without("webhook-timestamp"))
	add("no signature", false, base(), without("webhook-signature"))
	add("an empty signature", false, base(), set("webhook-signature", ""))
	add("a time that is none", false, base(), set("webhook-timestamp", "yesterday"))
	add("the version alone", false, base(), set("webhook-signature", "v1,"))
	add("a signature without its version", false, base(), func(v *vector) {
		v.Headers["webhook-signature"] = strings.TrimPrefix(signature(v), "v1,")
	})
	add("the signature under an unknown version", false, base(), func(v *vector) {
		v.Headers["webhook-signature"] = "v2," + strings.TrimPrefix(signature(v), "v1,")
	})
	add("the signature under the asymmetric version", false, base(), func(v *vector) {
		v.Headers["webhook-signature"] = "v1a," + strings.TrimPrefix(signature(v), "v1,")
	})
	add("a signature cut short", false, base(), func(v *vector) { v.Headers["webhook-signature"] = signature(v)[:20] })
	add("one bit of the signature", false, base(), func(v *vector) {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature(v), "v1,"))
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		v.Headers["webhook-signature"] = "v1," + base64.StdEncoding.EncodeToString(raw)
	})
	add("a signature of the body alone", false, base(), func(v *vector) {
		v.Headers["webhook-signature"] = "v1,Y2hlY2sgdGhlIGlkIGFuZCB0aGUgdGltZSB0b28hISE="
	})
	return out
}

func TestVectorsAreWhatIsPublished(t *testing.T) {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "vectors.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Error("testdata/vectors.json is stale: go test ./pkg/webhook -update")
	}
}

func published(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) < 30 {
		t.Fatalf("%d vectors", len(v.Vectors))
	}
	return v.Vectors
}

func (v vector) header() http.Header {
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	return h
}

func TestVectors(t *testing.T) {
	for _, v := range published(t) {
		if err := webhook.Verify([]string{v.Secret}, v.header(), []byte(v.Body), time.Unix(v.Now, 0)); (err == nil) != v.Valid {
			t.Errorf("%s: %v, want valid %t", v.Name, err, v.Valid)
		}
	}
}

// TestOfficialLibraryOnVectors: it reads the clock itself, so it gets a virtual one.
func TestOfficialLibraryOnVectors(t *testing.T) {
	all := published(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(sentAt, 0)))
		for _, v := range all {
			wh, err := standardwebhooks.NewWebhook(v.Secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := wh.Verify([]byte(v.Body), v.header()); (err == nil) != v.Valid {
				t.Errorf("%s: %v, want valid %t", v.Name, err, v.Valid)
			}
		}
	})
}

// verifyAll checks the vectors with one npm package.
const verifyAll = `
const {createRequire} = require("module");
const {readFileSync} = require("fs");
const [,, where, name, file] = process.argv;
const {Webhook} = createRequire(where + "/")(name);
const wrong = [];
const {vectors} = JSON.parse(readFileSync(file, "utf8"));
for (const v of vectors) {
  Date.now = () => v.now * 1000;
  let valid = true, why = "";
  try { new Webhook(v.secret).verify(v.body, v.headers); } catch (e) { valid = false; why = String(e); }
  if (valid !== v.valid) wrong.push(v.name + ": valid " + valid + " " + why);
}
console.log(vectors.length + " vectors");
for (const w of wrong) console.log("WRONG " + w);
`

// TestNpmPackagesOnVectors runs where node and the packages are (.ci/run gets them).
func TestNpmPackagesOnVectors(t *testing.T) {
	where, err := filepath.Abs("../../.cache/npm")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("NOT CHECKED by npm packages: node is not installed")
	}
	script := filepath.Join(t.TempDir(), "oracle.cjs")
	if err := os.WriteFile(script, []byte(verifyAll), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"standardwebhooks", "svix"} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(where, "node_modules", name)); err != nil {
				t.Skipf("NOT CHECKED by %s: it is not installed in .cache/npm; make npm, which needs the network, does", name)
			}
			out, err := exec.CommandContext(t.Context(), node, script, where, name, filepath.Join("testdata", "vectors.json")).CombinedOutput()
			if err != nil || !strings.Contains(string(out), " vectors") || strings.Contains(string(out), "WRONG") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
