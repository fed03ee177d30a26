package returns

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"quittance/pkg/seal"
)

const key = seal.Secret("qtr_0123456789abcdef")

var now = time.Unix(1_790_000_000, 0)

func queryOf(t testing.TB, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// TestS6OnlyOurWordVerifies: nothing that a browser can change or make up
// passes for ours.
func TestS6OnlyOurWordVerifies(t *testing.T) {
	old := seal.Secret("qtr_old")
	word := Word{Order: "ord_1", Status: Cancel, Time: now}
	signed, err := Add("https://shop.example/back?a=1", word, []seal.Secret{key, old})
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []seal.Secret{key, old} {
		if got, err := Verify(queryOf(t, signed), []seal.Secret{"other", with}, now.Add(time.Minute), time.Hour); err != nil || got != word {
			t.Fatalf("%v, %v", got, err)
		}
	}
	for name, change := range map[string]struct {
		do   func(url.Values)
		want error
	}{
		"another status":      {func(q url.Values) { q.Set(StatusParam, Success) }, ErrForged},
		"another order":       {func(q url.Values) { q.Set(OrderParam, "ord_2") }, ErrForged},
		"a later time":        {func(q url.Values) { q.Set(TimeParam, "1790000001") }, ErrForged},
		"no signature":        {func(q url.Values) { q.Del(SignatureParam) }, ErrUnsigned},
		"an empty signature":  {func(q url.Values) { q.Set(SignatureParam, "") }, ErrUnsigned},
		"a typed signature":   {func(q url.Values) { q.Set(SignatureParam, strings.Repeat("0", 64)) }, ErrForged},
		"a status twice":      {func(q url.Values) { q.Add(StatusParam, Success) }, ErrUnsigned},
		"a moved line":        {func(q url.Values) { q.Set(OrderParam, "ord_1\ncancel"); q.Set(StatusParam, "1790000000") }, ErrForged},
		"a user's signature":  {func(q url.Values) { q.Set(SignatureParam, SignUser(key, "ord_1", Cancel)) }, ErrForged},
		"no time":             {func(q url.Values) { q.Set(TimeParam, "now") }, ErrUnsigned},
		"many signatures":     {func(q url.Values) { q.Set(SignatureParam, strings.Repeat("ab.", 100)+q.Get(SignatureParam)) }, ErrForged},
		"an upper-case order": {func(q url.Values) { q.Set(OrderParam, "ORD_1") }, ErrForged},
	} {
		q := queryOf(t, signed)
		change.do(q)
		if got, err := Verify(q, []seal.Secret{key}, now, time.Hour); !errors.Is(err, change.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, change.want)
		}
	}
	for _, at := range []time.Time{now.Add(time.Hour + time.Second), now.Add(-2 * time.Minute)} {
		if _, err := Verify(queryOf(t, signed), []seal.Secret{key}, at, time.Hour); !errors.Is(err, ErrStale) {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

// What the shop had on its URL stays, in order and with duplicates; what is
// named like ours is ours alone.
func TestQueryOfTheShopSurvives(t *testing.T) {
	for from, want := range map[string]string{
		"https://s.example/r":                                     "https://s.example/r?orderId=ord_1&fulfillmentStatus=success&fulfillmentTime=1790000000",
		"https://s.example/r?b=2&a=1&b=1&c":                       "https://s.example/r?b=2&a=1&b=1&c&orderId=ord_1&fulfillmentStatus=success&fulfillmentTime=1790000000",
		"https://s.example/r?x=%41%20+%2f&fulfillmentStatus=fake": "https://s.example/r?x=%41%20+%2f&orderId=ord_1&fulfillmentStatus=success&fulfillmentTime=1790000000",
		"https://s.example/r?%6frderId=x&accessToken=y&&z=":       "https://s.example/r?z=&orderId=ord_1&fulfillmentStatus=success&fulfillmentTime=1790000000",
	} {
		if got, err := Add(from, Word{Order: "ord_1", Status: Success, Time: now}, nil); err != nil || got != want {
			t.Errorf("%s\n got %s, %v\nwant %s", from, got, err, want)
		}
	}
}

func TestAccessEndsAndIsBoundToKeyAndOrder(t *testing.T) {
	token := NewAccess(key, "ord_1", now.Add(time.Minute))
	if order, end, err := CheckAccess(token, []seal.Secret{"new", key}, now); err != nil || order != "ord_1" || !end.Equal(now.Add(time.Minute)) {
		t.Fatal(order, end, err)
	}
	for name, c := range map[string]struct {
		token string
		key   seal.Secret
		at    time.Time
		want  error
	}{
		"over":          {token, key, now.Add(time.Minute), ErrStale},
		"another key":   {token, "other", now, ErrForged},
		"another order": {strings.Replace(token, "ord_1", "ord_2", 1), key, now, ErrForged},
		"a longer life": {strings.Replace(token, "1790000060", "1790000061", 1), key, now, ErrForged},
		"empty":         {"", key, now, ErrUnsigned},
		"a part more":   {token + ".x", key, now, ErrUnsigned},
	} {
		if _, _, err := CheckAccess(c.token, []seal.Secret{c.key}, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsers(t *testing.T) {
	s := SignUser(key, "ord_1", "u-7")
	if !VerifyUser(s, "ord_1", "u-7", []seal.Secret{key}) || VerifyUser(s, "ord_2", "u-7", []seal.Secret{key}) ||
		VerifyUser(s, "ord_1", "u-8", []seal.Secret{key}) || VerifyUser("", "ord_1", "u-7", []seal.Secret{key}) || VerifyUser(s, "ord_1", "u-7", nil) {
		t.Error("users are told apart wrongly")
	}
}

// TestVectors holds the file that merchants test their verifiers with against
// this package.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Key     seal.Secret
		Returns []struct {
			Order, Status, URL, SignedText, Signature, Back string
			Time                                            int64
		}
		Access []struct {
			Order, SignedText, Token string
			End                      int64
		}
		Users []struct{ Order, User, SignedText, Signature string }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Returns) == 0 || len(file.Access) == 0 || len(file.Users) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Returns {
		got, err := Add(v.URL, Word{Order: v.Order, Status: v.Status, Time: time.Unix(v.Time, 0)}, []seal.Secret{file.Key})
		if err != nil || got != v.Back || !strings.HasSuffix(got, "="+v.Signature) {
			t.Errorf("%s, %v", got, err)
		}
	}
	for _, v := range file.Access {
		if got := NewAccess(file.Key, v.Order, time.Unix(v.End, 0)); got != v.Token {
			t.Error(got)
		}
	}
	for _, v := range file.Users {
		if got := SignUser(file.Key, v.Order, v.User); got != v.Signature {
			t.Error(got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("orderId=ord_1&fulfillmentStatus=success&fulfillmentTime=1790000000&fulfillmentSignature=ab", "qta1.a.1.b")
	f.Fuzz(func(t *testing.T, query, token string) {
		q, _ := url.ParseQuery(query)
		if w, err := Verify(q, []seal.Secret{key}, now, time.Hour); err == nil {
			t.Errorf("%q verifies: %v", query, w)
		}
		if _, _, err := CheckAccess(token, []seal.Secret{key}, now); err == nil {
			t.Errorf("%q opens", token)
		}
	})
}
