package call

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/seal"
)

func TestP9AmountsAreReadDigitByDigit(t *testing.T) {
	for _, c := range []struct {
		currency, number string
		minor            int64
	}{
		{"EUR", "80.00", 8000}, {"EUR", "80", 8000}, {"EUR", "80.5", 8050}, {"EUR", "80.5000", 8050}, {"JPY", "1000.00", 1000},
		{"KWD", "1.234", 1234}, {"EUR", "90071992547409.93", 9007199254740993}, {"EUR", "0.10", 10},
	} {
		got, err := Amount(c.currency, json.Number(c.number))
		if err != nil || got.Minor != c.minor || got.Currency != c.currency {
			t.Errorf("%s %s: %v, %v", c.number, c.currency, got, err)
		}
	}
	for _, c := range [][2]string{{"EUR", "80.001"}, {"EUR", "8e1"}, {"EUR", "-80.00"}, {"EUR", ""}, {"XXX", "80.00"}, {"JPY", "1000.50"}, {"EUR", "1E400"}} {
		if got, err := Amount(c[0], json.Number(c[1])); err == nil {
			t.Errorf("%s %s was read as %v", c[1], c[0], got)
		}
	}
}

func TestAnswersAreBoundedAndErrorsDiscreet(t *testing.T) {
	const secret = "a-password-in-the-query"
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, "/json", http.StatusFound)
		case "/long":
			_, _ = w.Write([]byte(strings.Repeat(" ", maxAnswer+1)))
		case "/html":
			_, _ = w.Write([]byte("<html>" + secret))
		case "/down":
			http.Error(w, secret, http.StatusInternalServerError)
		case "/hangup":
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write([]byte(`{"a":1}`))
		}
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	c := New(server.Client())
	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path+"?"+secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]int
		return c.JSON(req, &out)
	}
	if err := get("/json"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/elsewhere", "/long", "/html", "/down", "/hangup"} {
		err := get(path)
		if err == nil {
			t.Errorf("%s was an answer", path)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells too much: %v", path, err)
		}
	}
	if err := get("/down"); !errors.Is(err, StatusError(http.StatusInternalServerError)) {
		t.Errorf("the status is lost: %v", err)
	}
}

func TestTokensAreReusedUntilShortlyBeforeTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, fetched := NewTokens(30*time.Second), 0
		fetch := func(context.Context) (Token, error) {
			fetched++
			return Token{Value: seal.Secret("token " + string(rune('0'+fetched))), Until: time.Now().Add(5 * time.Minute)}, nil
		}
		get := func(key string, bad seal.Secret) seal.Secret {
			token, err := tokens.Get(t.Context(), key, bad, fetch)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		first := get("a", "")
		if get("a", "") != first || fetched != 1 {
			t.Fatalf("not reused: %d fetched", fetched)
		}
		if get("b", "") == first || fetched != 2 {
			t.Fatal("another account's token was given")
		}
		time.Sleep(4*time.Minute + 29*time.Second)
		if get("a", "") != first {
			t.Fatal("given up too early")
		}
		time.Sleep(time.Second)
		if get("a", "") == first {
			t.Fatal("used in the last seconds of its life")
		}
	})
}

func TestOneOfManyFetchesTheToken(t *testing.T) {
	tokens := NewTokens(time.Second)
	var fetched atomic.Int64
	fetch := func(context.Context) (Token, error) {
		n := fetched.Add(1)
		return Token{Value: seal.Secret(string(rune('0' + n))), Until: time.Now().Add(time.Hour)}, nil
	}
	// All of them have their first token refused at once: one more is fetched.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := tokens.With(t.Context(), "a", fetch, func(token seal.Secret) (bool, error) { return token == "1", nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fetched.Load() != 2 {
		t.Fatalf("%d tokens were fetched, want 2", fetched.Load())
	}
}

func TestARefusedTokenIsFetchedOnceMoreOnly(t *testing.T) {
	tokens, fetched, asked := NewTokens(time.Second), 0, 0
	fetch := func(context.Context) (Token, error) {
		fetched++
		return Token{Value: seal.Secret(string(rune('0' + fetched))), Until: time.Now().Add(time.Hour)}, nil
	}
	err := tokens.With(t.Context(), "a", fetch, func(seal.Secret) (bool, error) { asked++; return true, StatusError(http.StatusUnauthorized) })
	if !errors.Is(err, StatusError(http.StatusUnauthorized)) || fetched != 2 || asked != 2 {
		t.Fatalf("%v, %d fetched, %d asked", err, fetched, asked)
	}
	broken := errors.New("no token")
	err = tokens.With(t.Context(), "b", func(context.Context) (Token, error) { return Token{}, broken }, func(seal.Secret) (bool, error) {
		t.Error("asked without a token")
		return false, nil
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
}
