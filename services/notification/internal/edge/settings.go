package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/mail"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/sender"
)

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Bounds of an endpoint's settings.
const (
	maxProducts, maxMetadata          = 50, 10
	maxRetries                        = 20
	minRetry, maxRetry                = time.Second, 24 * time.Hour
	minTimeout                        = time.Second
	maxInFlight, maxPerSecond         = 256, 10_000
	maxHeaders, maxHeader, maxCredent = 20, 1000, 1000
)

// reserved are headers that the system, or the connection, sets.
var reserved = map[string]bool{
	"Host": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Transfer-Encoding": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Upgrade": true, "Expect": true, "User-Agent": true, "Idempotency-Key": true, "Accept-Encoding": true,
}

// types lists all that an endpoint may subscribe to.
func types() []string { return slices.Concat(event.Public, event.PublicMerchant) }

func settingsOf(e *notificationv1.Endpoint) endpoint.Settings {
	s := endpoint.Settings{
		URL: e.GetUrl(), Types: slices.Clone(e.GetEventTypes()), Disabled: e.GetDisabled(),
		Products: slices.Clone(e.GetProductIds()), Metadata: maps.Clone(e.GetMetadata()),
		InFlight: int(e.GetMaxInFlight()), PerSecond: int(e.GetMaxPerSecond()), Notify: e.GetNotifyEmail(),
	}
	if e.GetTimeout() != nil {
		s.Timeout = e.GetTimeout().AsDuration()
	}
	for _, d := range e.GetRetryDelays() {
		s.Retries = append(s.Retries, d.AsDuration())
	}
	return s
}

func (s *Server) validate(e *notificationv1.Endpoint, c *notificationv1.Credentials) error {
	var v fault.Validation
	v.Check(slug.MatchString(e.GetId()), "endpoint.id", "must be 1 to 40 of a-z, 0-9, '-'")
	if err := s.Egress.CheckURL(e.GetUrl()); err != nil {
		v.Check(false, "endpoint.url", "%v", err)
	}
	checkTypes(&v, "endpoint.event_types", e.GetEventTypes())
	v.Check(len(e.GetProductIds()) <= maxProducts, "endpoint.product_ids", "must have at most %d entries", maxProducts)
	for i, p := range e.GetProductIds()[:min(maxProducts, len(e.GetProductIds()))] {
		v.Check(p != "" && len(p) <= 64, fmt.Sprintf("endpoint.product_ids[%d]", i), "must have 1 to 64 characters")
	}
	v.Check(len(e.GetMetadata()) <= maxMetadata, "endpoint.metadata", "must have at most %d pairs", maxMetadata)
	for key, value := range e.GetMetadata() {
		v.Check(key != "" && len(key) <= 40 && len(value) <= 200, "endpoint.metadata", "must have keys of 1 to 40 and values of up to 200 characters")
	}
	if d := e.GetTimeout(); d != nil {
		v.Check(d.IsValid() && d.AsDuration() >= minTimeout && d.AsDuration() <= sender.MaxTimeout, "endpoint.timeout",
			"must be from %s to %s", minTimeout, sender.MaxTimeout)
	}
	v.Check(len(e.GetRetryDelays()) <= maxRetries, "endpoint.retry_delays", "must have at most %d entries", maxRetries)
	for i, d := range e.GetRetryDelays()[:min(maxRetries, len(e.GetRetryDelays()))] {
		v.Check(d.IsValid() && d.AsDuration() >= minRetry && d.AsDuration() <= maxRetry, fmt.Sprintf("endpoint.retry_delays[%d]", i),
			"must be from %s to %s", minRetry, maxRetry)
	}
	v.Check(e.GetMaxInFlight() >= 0 && e.GetMaxInFlight() <= maxInFlight, "endpoint.max_in_flight", "must be from 0 to %d", maxInFlight)
	v.Check(e.GetMaxPerSecond() >= 0 && e.GetMaxPerSecond() <= maxPerSecond, "endpoint.max_per_second", "must be from 0 to %d", maxPerSecond)
	if e.GetNotifyEmail() != "" {
		if err := mail.ValidAddress(e.GetNotifyEmail()); err != nil {
			v.Check(false, "endpoint.notify_email", "%v", err)
		}
	}
	checkCredentials(&v, c)
	return v.Err()
}

func checkTypes(v *fault.Validation, field string, given []string) {
	known := types()
	v.Check(len(given) <= len(known), field, "must have at most %d entries", len(known))
	for i, typ := range given[:min(len(given), len(known))] {
		at := fmt.Sprintf("%s[%d]", field, i)
		v.Check(slices.Contains(known, typ), at, "is not a type of public events")
		v.Check(!slices.Contains(given[:i], typ), at, "is there twice")
	}
}

// checkCredentials quotes no value.
func checkCredentials(v *fault.Validation, c *notificationv1.Credentials) {
	if c == nil {
		return
	}
	v.Check(len(c.GetHeaders()) <= maxHeaders, "credentials.headers", "must have at most %d entries", maxHeaders)
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.GetHeaders())) {
		canonical := http.CanonicalHeaderKey(name)
		v.Check(httpguts.ValidHeaderFieldName(name) && len(name) <= 100, "credentials.headers", "must have names of up to 100 letters, digits and '-'")
		v.Check(!reserved[canonical] && !strings.HasPrefix(canonical, "Webhook-"), "credentials.headers", "must not set %s: the system does", canonical)
		v.Check(!seen[canonical], "credentials.headers", "must not have %s twice", canonical)
		value := c.GetHeaders()[name]
		v.Check(httpguts.ValidHeaderFieldValue(value) && len(value) <= maxHeader, "credentials.headers", "must have values of up to %d characters in one line", maxHeader)
		seen[canonical] = true
	}
	basic := c.GetBasicUsername() != "" || c.GetBasicPassword() != ""
	v.Check(!basic || c.GetBasicUsername() != "", "credentials.basic_username", "must be set with a password")
	v.Check(!strings.Contains(c.GetBasicUsername(), ":"), "credentials.basic_username", "must not contain ':'")
	v.Check(len(c.GetBasicUsername()) <= maxCredent && len(c.GetBasicPassword()) <= maxCredent, "credentials.basic_password", "must have at most %d characters", maxCredent)
	v.Check(!basic || c.GetBearerToken() == "", "credentials.bearer_token", "must not be set with a username")
	v.Check(!seen["Authorization"] || !basic && c.GetBearerToken() == "", "credentials.headers", "must not have Authorization beside a token or username")
	v.Check(httpguts.ValidHeaderFieldValue(c.GetBearerToken()) && !strings.Contains(c.GetBearerToken(), " ") && len(c.GetBearerToken()) <= 4*maxCredent,
		"credentials.bearer_token", "must have at most %d characters without spaces", 4*maxCredent)
}

// seal puts credentials into settings.
func (s *Server) seal(settings *endpoint.Settings, docID string, c *notificationv1.Credentials) error {
	settings.HeaderNames = slices.Sorted(maps.Keys(c.GetHeaders()))
	switch {
	case c.GetBearerToken() != "":
		settings.Authorization = "bearer"
	case c.GetBasicUsername() != "":
		settings.Authorization = "basic"
	case len(c.GetHeaders()) == 0:
		return nil
	}
	raw, err := json.Marshal(endpoint.Credentials{
		Headers: c.GetHeaders(), Username: c.GetBasicUsername(), Password: c.GetBasicPassword(), Bearer: c.GetBearerToken(),
	})
	if err != nil {
		return fmt.Errorf("encode the endpoint's credentials: %w", err)
	}
	if settings.Credentials, err = s.Keyring.Seal(raw, docID); err != nil {
		return fmt.Errorf("seal the endpoint's credentials: %w", err)
	}
	return nil
}
