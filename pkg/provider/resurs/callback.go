package resurs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
)

// claims of the words of both callback types; other words mean that something has happened.
var claims = map[string]provider.Claim{"CAPTURED": provider.ClaimPaid, "CAPTURE": provider.ClaimPaid, "REFUND": provider.ClaimRefunded}

// notice is a callback's body: authorization callbacks have a status, management callbacks an action with an id of its own.
type notice struct {
	PaymentID string `json:"paymentId"`
	Status    string `json:"status"`
	Action    string `json:"action"`
	ActionID  string `json:"actionId"`
	// Created comes in several forms, so that it is compared as it is and read by nobody.
	Created json.RawMessage `json:"created"`
}

// ParseCallback reads an authorization or management callback. It names the payment by the vendor's id only and has no
// signature; created tells repeats from a callback that somebody made up in advance.
func (*Provider) ParseCallback(acc provider.Account, req provider.Request) (provider.Callback, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Callback{}, err
	}
	if req.Method != http.MethodPost {
		return provider.Callback{}, fmt.Errorf("callback: method %.10q, want POST", req.Method)
	}
	if len(s.callers) > 0 && !setting.Within(s.callers, req.Remote) {
		return provider.Callback{}, fmt.Errorf("callback: %w: it comes from %.45q, none of callback_cidrs", provider.ErrUnauthentic, req.Remote)
	}
	var n notice
	if err := json.Unmarshal(req.Body, &n); err != nil {
		return provider.Callback{}, errors.New("callback: the body is not the JSON that was expected")
	}
	word := n.Status
	if word == "" {
		word = n.Action
	}
	switch {
	case !uuid.MatchString(n.PaymentID):
		return provider.Callback{}, errors.New("callback: paymentId is no UUID")
	case (n.Status == "") == (n.Action == ""):
		return provider.Callback{}, errors.New("callback: want either status or action")
	}
	claim, ok := claims[word]
	if !ok {
		claim = provider.ClaimOther
	}
	payment := strings.ToLower(n.PaymentID)
	return provider.Callback{
		TransactionID: payment, Claim: claim, DedupeKey: id.Derived(Name, payment, n.Status, n.Action, n.ActionID, string(n.Created)),
	}, nil
}

// Acknowledge words the answer as the vendor's own plugins do.
func (*Provider) Acknowledge(answer provider.Answer, refusal error) provider.Response {
	switch {
	case answer == provider.Recorded:
		return provider.Response{Status: http.StatusAccepted}
	case answer == provider.Refused && errors.Is(refusal, provider.ErrUnauthentic):
		return provider.Response{Status: http.StatusForbidden}
	case answer == provider.Refused:
		return provider.Response{Status: http.StatusUnsupportedMediaType}
	default:
		return provider.Response{Status: http.StatusServiceUnavailable}
	}
}
