// Package offline owns payments that no server can be asked about, such as bank transfers.
//
// It takes a payment attempt and gives the text that tells the customer what to transfer where. Whether the money came
// is the merchant's word (PaymentService.ConfirmOffline), so there is no Statuser here and no callback.
//
// Settings of an account:
//
//	bank_account  account to pay to, as the customer shall see it
//	beneficiary   its owner's name
//	text          what the customer reads, with {REFERENCE}, {AMOUNT}, {BANK_ACCOUNT} and {BENEFICIARY} replaced;
//	              default: a sentence with all four
//	life          how long an attempt is waited for, a duration like "720h"; default 90 days
//
// bank_account and beneficiary are required where the text mentions them. It has to mention {REFERENCE} and {AMOUNT}.
package offline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"quittance/pkg/provider"
)

// Name of this provider in accounts.
const Name = "offline"

const defaultText = "Please transfer {AMOUNT} to {BENEFICIARY}, account {BANK_ACCOUNT}, and state {REFERENCE} as the reference."

// defaultLife is how long orders stay open by default.
const defaultLife = 90 * 24 * time.Hour

var placeholder = regexp.MustCompile(`\{[A-Z_]*\}`)

var (
	_ provider.Provider   = Provider{}
	_ provider.Redirector = Provider{}
	_ provider.Scheduler  = Provider{}
)

// Provider gives instructions. It holds no state.
type Provider struct{}

// New returns the Provider.
func New() Provider { return Provider{} }

// Name returns "offline".
func (Provider) Name() string { return Name }

// CheckAccount refuses settings that would leave the customer without a place to pay to.
func (Provider) CheckAccount(acc provider.Account) error {
	text := textOf(acc)
	for _, name := range []string{"{REFERENCE}", "{AMOUNT}"} {
		if !strings.Contains(text, name) {
			return fmt.Errorf("setting text: %s is missing", name)
		}
	}
	for _, name := range placeholder.FindAllString(text, -1) {
		switch name {
		case "{REFERENCE}", "{AMOUNT}":
		case "{BANK_ACCOUNT}":
			if strings.TrimSpace(acc.Settings["bank_account"]) == "" {
				return errors.New("setting bank_account: missing")
			}
		case "{BENEFICIARY}":
			if strings.TrimSpace(acc.Settings["beneficiary"]) == "" {
				return errors.New("setting beneficiary: missing")
			}
		default:
			return fmt.Errorf("setting text: nothing is known to put for %.40s", name)
		}
	}
	_, err := lifeOf(acc)
	return err
}

// Redirect gives the instructions; there is no URL.
func (p Provider) Redirect(acc provider.Account, attempt provider.Attempt) (provider.Redirect, error) {
	if err := p.CheckAccount(acc); err != nil {
		return provider.Redirect{}, err
	}
	if attempt.Reference == "" {
		return provider.Redirect{}, errors.New("reference: missing")
	}
	if attempt.Amount.Minor <= 0 {
		return provider.Redirect{}, fmt.Errorf("amount %s is not positive", attempt.Amount)
	}
	to := provider.Redirect{Instructions: strings.NewReplacer(
		"{REFERENCE}", attempt.Reference,
		"{AMOUNT}", attempt.Amount.String(),
		"{BANK_ACCOUNT}", acc.Settings["bank_account"],
		"{BENEFICIARY}", acc.Settings["beneficiary"],
	).Replace(textOf(acc))}
	to.Transfer = &provider.Transfer{Beneficiary: acc.Settings["beneficiary"], Account: acc.Settings["bank_account"]}
	if acc.Settings["text"] != "" {
		to.Transfer.Text = to.Instructions
	}
	return to, nil
}

// Schedule only says how long to wait: there is nobody to ask.
func (Provider) Schedule(acc provider.Account) provider.Schedule {
	life, _ := lifeOf(acc)
	return provider.Schedule{Life: life}
}

func textOf(acc provider.Account) string {
	if text := acc.Settings["text"]; text != "" {
		return text
	}
	return defaultText
}

// lifeOf gives the default beside an error.
func lifeOf(acc provider.Account) (time.Duration, error) {
	text := acc.Settings["life"]
	if text == "" {
		return defaultLife, nil
	}
	life, err := time.ParseDuration(text)
	if err != nil || life <= 0 {
		return defaultLife, fmt.Errorf("setting life: %.20q is no positive duration such as 720h", text)
	}
	return life, nil
}
