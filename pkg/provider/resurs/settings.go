package resurs

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
	"quittance/pkg/seal"
)

// hosts of the vendor's environments.
var hosts = map[string]string{
	"production":  "https://merchant-api.resurs.com",
	"integration": "https://merchant-api.integration.resurs.com",
}

// Words of a payment's status.
const (
	wordRedirect    = "TASK_REDIRECTION_REQUIRED"
	wordInspection  = "INSPECTION"
	wordSupplement  = "SUPPLEMENTING_REQUIRED"
	wordFrozen      = "FROZEN"
	wordAccepted    = "ACCEPTED"
	wordRejected    = "REJECTED"
	minutesAtMost   = 43200
	defaultLifetime = 2 * time.Hour
)

// builtIn is what the vendor's words mean; the reference plugin puts orders on hold for all but two. What ACCEPTED and
// REJECTED mean in the end depends on the amounts and on the tasks. FROZEN is said to be going away, but may still come.
var builtIn = map[string]provider.State{
	wordRedirect: provider.Pending, wordInspection: provider.OnHold, wordSupplement: provider.OnHold, wordFrozen: provider.OnHold,
	wordAccepted: provider.Authorized, wordRejected: provider.Failed,
}

// defaultSchedule is our choice. A frozen payment may take days, and a payment that nobody finishes is rejected after its time
// to live, so that every one comes to an end within its life.
var defaultSchedule = provider.Schedule{
	First: time.Minute,
	Then: []time.Duration{
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour,
	},
	Life:    90 * 24 * time.Hour,
	Timeout: 30 * time.Second,
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// vatRate is a percentage with at most two fraction digits.
var vatRate = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]{1,2})?$`)

// settings are an account's, parsed.
type settings struct {
	base, clientID, scope, storeID, currency string
	methods                                  []provider.Method
	customerType, vatRate, quantityUnit      string
	minutesToLive                            int
	automaticCapture                         bool
	handleFrozen, handleInspection           bool
	creator                                  string
	words                                    map[string]provider.State
	callers                                  []netip.Prefix
	// ClientSecret is exported because fmt redacts a Secret only in exported fields.
	ClientSecret seal.Secret
}

func settingsOf(acc provider.Account) (settings, error) {
	from, s := acc.Settings, settings{}
	environment, err := setting.OneOf("environment", from["environment"], "integration", "production")
	if err != nil {
		return settings{}, err
	}
	s.base = hosts[environment]
	if text := from["base_url"]; text != "" {
		if s.base, err = setting.BaseURL("base_url", text); err != nil {
			return settings{}, err
		}
	}
	if s.clientID = from["client_id"]; strings.TrimSpace(s.clientID) == "" {
		return settings{}, errors.New("setting client_id: missing")
	}
	s.scope = orDefault(from["scope"], "merchant-api")
	if s.storeID = from["store_id"]; !uuid.MatchString(s.storeID) {
		return settings{}, fmt.Errorf("setting store_id: %.40q is no UUID", s.storeID)
	}
	if s.methods, err = methodsOf(from["payment_methods"]); err != nil {
		return settings{}, err
	}
	s.currency = from["currency"]
	if _, known := money.Exponent(s.currency); !known {
		return settings{}, fmt.Errorf("setting currency: %.10q is no ISO 4217 code", s.currency)
	}
	if s.customerType, err = setting.OneOf("customer_type", from["customer_type"], "NATURAL", "LEGAL"); err != nil {
		return settings{}, err
	}
	if s.vatRate = orDefault(from["vat_rate"], "0"); !vatRate.MatchString(s.vatRate) {
		return settings{}, fmt.Errorf("setting vat_rate: %.10q is no percentage such as 25 or 12.5", s.vatRate)
	}
	s.quantityUnit, s.creator = orDefault(from["quantity_unit"], "pcs"), from["creator"]
	if s.words, err = setting.Words(from, builtIn); err != nil {
		return settings{}, err
	}
	if s.callers, err = setting.Networks("callback_cidrs", from["callback_cidrs"]); err != nil {
		return settings{}, err
	}
	if _, err = setting.Schedule(from, defaultSchedule); err != nil {
		return settings{}, err
	}
	if s.ClientSecret = acc.Secrets["client_secret"]; s.ClientSecret == "" {
		return settings{}, errors.New("secret client_secret: missing")
	}
	return s, s.options(from)
}

// options reads the options of payments.
func (s *settings) options(from map[string]string) (err error) {
	lifetime := defaultLifetime
	if text := from["time_to_live"]; text != "" {
		lifetime, err = setting.Duration(text)
		if err != nil || lifetime%time.Minute != 0 || lifetime > minutesAtMost*time.Minute {
			return errors.New("setting time_to_live: must be whole minutes from 1m to 720h")
		}
	}
	s.minutesToLive = int(lifetime / time.Minute)
	if s.automaticCapture, err = flag(from, "automatic_capture", false); err != nil {
		return err
	}
	if s.handleFrozen, err = flag(from, "handle_frozen", !s.automaticCapture); err != nil {
		return err
	}
	if s.handleInspection, err = flag(from, "handle_inspection", false); err != nil {
		return err
	}
	if s.automaticCapture && s.handleFrozen {
		return errors.New("setting handle_frozen: the vendor forbids it together with automatic_capture")
	}
	return nil
}

func methodsOf(list string) ([]provider.Method, error) {
	var methods []provider.Method
	for text := range strings.SplitSeq(list, ",") {
		id, name, _ := strings.Cut(strings.TrimSpace(text), "=")
		if !uuid.MatchString(id) {
			return nil, fmt.Errorf("setting payment_methods: %.40q is no UUID; want id=name, comma-separated", id)
		}
		methods = append(methods, provider.Method{ID: id, Name: strings.TrimSpace(name), Icon: "invoice"})
	}
	return methods, nil
}

func flag(from map[string]string, name string, otherwise bool) (bool, error) {
	text := from[name]
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("setting %s: %.10q is neither true nor false", name, text)
	}
	return value, nil
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
