package kontocloud

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
)

// resultOK is the one word of paymentResult that is no error description.
const resultOK = "OK"

// maxReference bounds the vendor's reference; its length is not public.
const maxReference = 100

// spellings of the vendor's reference on the return: the documentation's prose has the first, its examples the second.
var spellings = []string{"uniqueReference", "unqiueReference"}

// ParseReturn reads what the browser brought, in the query or as a form. None of it is signed: a paymentResult that is not
// OK is the claim of a failure, OK is no claim at all, and the reference is something to ask about.
func (*Provider) ParseReturn(_ provider.Account, values url.Values) (provider.Return, error) {
	result, err := single(values, "paymentResult")
	if err != nil {
		return provider.Return{}, err
	}
	if result == "" {
		return provider.Return{}, errors.New("return: paymentResult is missing")
	}
	reference, err := single(values, spellings...)
	if err != nil {
		return provider.Return{}, err
	}
	if reference != "" && !plain(reference) {
		return provider.Return{}, errors.New("return: uniqueReference is unusable")
	}
	return provider.Return{Failed: result != resultOK, ProviderReference: reference}, nil
}

// single gives the one value that the names have; query and form may repeat it, but not contradict each other.
func single(values url.Values, names ...string) (string, error) {
	value := ""
	for _, name := range names {
		for _, text := range values[name] {
			text = strings.TrimSpace(text)
			if value != "" && text != "" && text != value {
				return "", fmt.Errorf("return: two different values of %s", names[0])
			}
			if text != "" {
				value = text
			}
		}
	}
	return value, nil
}

// plain accepts what can stand in a path as it is: it may come from anybody.
func plain(reference string) bool {
	if reference == "" || len(reference) > maxReference || strings.Trim(reference, ".") == "" {
		return false
	}
	return strings.IndexFunc(reference, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !('0' <= r && r <= '9') && !strings.ContainsRune("-._~", r)
	}) < 0
}

// ParseCallback reads a notification. What its body looks like is not public: from one JSON object, ours and the vendor's
// reference are taken wherever the top level has them. Either makes us ask; nothing else is believed.
func (*Provider) ParseCallback(acc provider.Account, req provider.Request) (provider.Callback, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Callback{}, err
	}
	if req.Method != http.MethodPost {
		return provider.Callback{}, fmt.Errorf("notification: method %.10q, want POST", req.Method)
	}
	if err := s.authentic(req); err != nil {
		return provider.Callback{}, fmt.Errorf("notification: %w: %w", provider.ErrUnauthentic, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(req.Body, &fields); err != nil || fields == nil {
		return provider.Callback{}, errors.New("notification: the body is no JSON object")
	}
	sum := sha256.Sum256(req.Body)
	callback := provider.Callback{
		Claim: provider.ClaimOther, DedupeKey: id.Derived(Name, string(sum[:])), Reference: text(fields[s.reference]), TransactionID: text(fields[s.txn]),
	}
	if callback.TransactionID == "" {
		callback.TransactionID = text(fields[spellings[1]])
	}
	if callback.TransactionID != "" && !plain(callback.TransactionID) {
		return provider.Callback{}, fmt.Errorf("notification: %s is unusable", s.txn)
	}
	return callback, nil
}

// text gives a JSON string's or number's text, else "".
func text(raw json.RawMessage) string {
	var value string
	if json.Unmarshal(raw, &value) == nil {
		return strings.TrimSpace(value)
	}
	var digits json.Number
	if json.Unmarshal(raw, &digits) == nil {
		return digits.String()
	}
	return ""
}

// authentic checks how a notification proves where it comes from.
func (s settings) authentic(req provider.Request) error {
	if len(s.callers) > 0 && !setting.Within(s.callers, req.Remote) {
		return fmt.Errorf("it comes from %.45q, none of callback_cidrs", req.Remote)
	}
	proof := http.Request{Header: http.Header{"Authorization": req.Header.Values("Authorization")}}
	switch s.auth {
	case authNone:
		return nil
	case authBasic:
		user, password, ok := proof.BasicAuth()
		if !ok || !same(user, s.authUser) || !same(password, s.AuthSecret.Reveal()) {
			return errors.New("user or password is wrong")
		}
		return nil
	case authBearer:
		scheme, token, _ := strings.Cut(proof.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !same(strings.TrimSpace(token), s.AuthSecret.Reveal()) {
			return errors.New("the bearer token is wrong")
		}
		return nil
	}
	return errors.New("the account takes no notifications (setting notification_auth)")
}

// same compares without telling by its time how much was right.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Acknowledge words the answer. The vendor expects 200 OK and tries again after anything else.
func (*Provider) Acknowledge(answer provider.Answer, refusal error) provider.Response {
	response := provider.Response{ContentType: "text/plain; charset=utf-8"}
	switch {
	case answer == provider.Recorded:
		response.Status, response.Body = http.StatusOK, "OK"
	case answer == provider.Refused && errors.Is(refusal, provider.ErrUnauthentic):
		response.Status, response.Body = http.StatusUnauthorized, "Unauthorized"
	case answer == provider.Refused:
		response.Status, response.Body = http.StatusBadRequest, "Bad Request"
	default:
		response.Status, response.Body = http.StatusServiceUnavailable, "Service Unavailable"
	}
	return response
}
