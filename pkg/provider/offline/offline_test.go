package offline_test

import (
	"strings"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/offline"
)

func account(settings ...string) provider.Account {
	acc := provider.Account{Settings: map[string]string{
		"bank_account": "DE89 3704 0044 0532 0130 00", "beneficiary": "Shop Ltd"}}
	for i := 0; i < len(settings); i += 2 {
		acc.Settings[settings[i]] = settings[i+1]
	}
	return acc
}

func TestRedirect(t *testing.T) {
	attempt := provider.Attempt{Reference: "pay_1", Amount: money.Amount{Minor: 999, Currency: "EUR"}}
	tests := []struct {
		acc  provider.Account
		want string
	}{
		{account(), "Please transfer 9.99 EUR to Shop Ltd, account DE89 3704 0044 0532 0130 00, and state pay_1 as the reference."},
		{account("text", "{AMOUNT} / {REFERENCE} / {REFERENCE}", "bank_account", ""), "9.99 EUR / pay_1 / pay_1"},
		{account("text", "{AMOUNT} {REFERENCE} {BENEFICIARY}", "beneficiary", "{AMOUNT}"), "9.99 EUR pay_1 {AMOUNT}"},
	}
	for _, tt := range tests {
		got, err := offline.New().Redirect(tt.acc, attempt)
		if err != nil || got.Instructions != tt.want || got.URL != "" || got.Method != "" {
			t.Errorf("Redirect = %+v, %v; want instructions %q", got, err, tt.want)
		}
	}
	for name, wrong := range map[string]provider.Attempt{
		"no reference": {Amount: attempt.Amount},
		"no amount":    {Reference: "pay_1", Amount: money.Amount{Currency: "EUR"}},
	} {
		if got, err := offline.New().Redirect(account(), wrong); err == nil {
			t.Errorf("%s passes: %+v", name, got)
		}
	}
}

func TestCheckAccount(t *testing.T) {
	for _, tt := range []struct {
		acc   provider.Account
		names string
	}{
		{account("bank_account", " "), "bank_account"},
		{account("beneficiary", ""), "beneficiary"},
		{account("text", "{AMOUNT}"), "{REFERENCE}"},
		{account("text", "{REFERENCE}"), "{AMOUNT}"},
		{account("text", "{REFERENCE} {AMOUNT} {IBAN}"), "{IBAN}"},
		{account("life", "90"), "life"},
		{account("life", "-1h"), "life"},
	} {
		if err := offline.New().CheckAccount(tt.acc); err == nil || !strings.Contains(err.Error(), tt.names) {
			t.Errorf("%v: error %v, want one that names %s", tt.acc.Settings, err, tt.names)
		}
		if got, err := offline.New().Redirect(tt.acc, provider.Attempt{Reference: "r", Amount: money.Amount{Minor: 1, Currency: "EUR"}}); err == nil {
			t.Errorf("%v: redirect passes: %+v", tt.acc.Settings, got)
		}
	}
}

func TestSchedule(t *testing.T) {
	if got := offline.New().Schedule(account()); got.Life != 90*24*time.Hour || got.First != 0 || got.Then != nil {
		t.Errorf("schedule %+v", got)
	}
	if got := offline.New().Schedule(account("life", "1h")).Life; got != time.Hour {
		t.Errorf("life %s, want 1h", got)
	}
}

func TestNobodyToAsk(t *testing.T) {
	var p provider.Provider = offline.New()
	if _, ok := p.(provider.Statuser); ok {
		t.Error("offline claims to have a status API")
	}
	if p.Name() != "offline" {
		t.Errorf("name %q", p.Name())
	}
}
