package kontocloud

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/text/language"

	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
	"quittance/pkg/seal"
)

// Payment types that the vendor's documentation names.
const (
	standard    = "Standard"
	blockAmount = "BlockAmount"
)

// Ways in which notifications prove where they come from.
const (
	authOff    = "off"
	authNone   = "none"
	authBasic  = "basic"
	authBearer = "bearer"
)

// builtIn are the two attested words of statusCode. AUTHORIZED is a success of BlockAmount only; what it means for
// Standard is not said, so it is pending there.
var builtIn = map[string]map[string]provider.State{
	standard:    {"CAPTURED": provider.Paid, "AUTHORIZED": provider.Pending},
	blockAmount: {"CAPTURED": provider.Paid, "AUTHORIZED": provider.Authorized},
}

// defaultSchedule: the vendor recommends a client timeout of at least 90 s; the rest is our choice. Before the browser's
// return there is nothing to ask by.
var defaultSchedule = provider.Schedule{
	First: time.Minute,
	Then: []time.Duration{
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	},
	Life:    30 * 24 * time.Hour,
	Timeout: 90 * time.Second,
}

const defaultTokenLife = 5 * time.Minute

// settings are an account's, parsed.
type settings struct {
	portal, base  string // without a slash at the end
	merchantAccno string
	userID        string
	paymentType   string
	locale        string
	tokenHeader   string
	tokenLife     time.Duration
	accountField  string
	words         map[string]provider.State // of statusCode

	auth      string
	authUser  string
	callers   []netip.Prefix
	reference string // field names of notifications
	txn       string

	// Exported because fmt redacts a Secret only in exported fields.
	Password, AuthSecret seal.Secret
}

func settingsOf(acc provider.Account) (settings, error) {
	from, s := acc.Settings, settings{}
	var err error
	if s.portal, err = setting.BaseURL("portal_url", from["portal_url"]); err != nil {
		return settings{}, err
	}
	if s.base, err = setting.BaseURL("base_url", from["base_url"]); err != nil {
		return settings{}, err
	}
	for name, field := range map[string]*string{"merchant_accno": &s.merchantAccno, "user_id": &s.userID} {
		const most = 255 // the vendor's limit of userId
		if *field = from[name]; strings.TrimSpace(*field) == "" || len(*field) > most {
			return settings{}, fmt.Errorf("setting %s: must have 1 to %d characters", name, most)
		}
	}
	if s.paymentType, err = setting.OneOf("payment_type", from["payment_type"], standard, blockAmount); err != nil {
		return settings{}, err
	}
	if s.locale = from["number_locale"]; s.locale != "" {
		if _, err := language.Parse(s.locale); err != nil {
			return settings{}, fmt.Errorf("setting number_locale: %.20q is no locale such as de-DE", s.locale)
		}
	}
	if s.tokenHeader, err = setting.OneOf("token_header", from["token_header"], "X-Auth-Token", "Authorization"); err != nil {
		return settings{}, err
	}
	s.tokenLife = defaultTokenLife
	if text := from["token_life"]; text != "" {
		if s.tokenLife, err = setting.Duration(text); err != nil {
			return settings{}, fmt.Errorf("setting token_life: %w", err)
		}
	}
	if s.accountField = from["account_field"]; s.accountField != "" {
		if _, err = setting.OneOf("account_field", s.accountField, "accno", "initiatorAccno"); err != nil {
			return settings{}, err
		}
	}
	if s.words, err = setting.Words(from, builtIn[s.paymentType]); err != nil {
		return settings{}, err
	}
	if _, err = setting.Schedule(from, defaultSchedule); err != nil {
		return settings{}, err
	}
	const mostPassword = 128 // the vendor's
	if s.Password = acc.Secrets["password"]; s.Password == "" || len(s.Password) > mostPassword {
		return settings{}, fmt.Errorf("secret password: must have 1 to %d characters", mostPassword)
	}
	return s, s.notifications(acc)
}

// notifications reads how notifications are checked and read.
func (s *settings) notifications(acc provider.Account) (err error) {
	from := acc.Settings
	if s.auth, err = setting.OneOf("notification_auth", from["notification_auth"], authOff, authNone, authBasic, authBearer); err != nil {
		return err
	}
	if s.callers, err = setting.Networks("callback_cidrs", from["callback_cidrs"]); err != nil {
		return err
	}
	switch s.auth {
	case authNone:
		if len(s.callers) == 0 {
			return errors.New("setting callback_cidrs: required where notification_auth is none, because anybody could send them")
		}
	case authBasic:
		if s.authUser = from["notification_user"]; s.authUser == "" {
			return errors.New("setting notification_user: missing")
		}
		if s.AuthSecret = acc.Secrets["notification_password"]; s.AuthSecret == "" {
			return errors.New("secret notification_password: missing")
		}
	case authBearer:
		if s.AuthSecret = acc.Secrets["notification_token"]; s.AuthSecret == "" {
			return errors.New("secret notification_token: missing")
		}
	}
	s.reference, s.txn = "merchantTransactionId", "uniqueReference"
	if name := from["notification_reference"]; name != "" {
		s.reference = name
	}
	if name := from["notification_transaction"]; name != "" {
		s.txn = name
	}
	return nil
}
