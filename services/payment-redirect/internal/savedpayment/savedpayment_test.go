package savedpayment_test

import (
	"fmt"
	"testing"
	"time"

	"quittance/services/payment-redirect/internal/savedpayment"
)

var t0 = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func entry(account, attempt string, at time.Time) savedpayment.Entry {
	return savedpayment.Entry{Account: account, Attempt: attempt, Sealed: attempt, Saved: at}
}

// The latest token of an account counts, in whatever order they come and however
// often.
func TestTheLatestTokenCounts(t *testing.T) {
	first, second := entry("cards", "pay_1", t0), entry("cards", "pay_2", t0.Add(time.Minute))
	for _, order := range [][]savedpayment.Entry{{first, second}, {second, first}, {first, second, first, second}} {
		u := &savedpayment.User{}
		for _, e := range order {
			u.Save(e)
		}
		if len(u.Entries) != 1 || u.Of("cards").Attempt != "pay_2" || u.Of("other") != nil {
			t.Errorf("%v: %+v", order, u.Entries)
		}
		if u.Save(second) {
			t.Error("a repeat is news")
		}
	}
	u := &savedpayment.User{}
	for i := range 50 {
		u.Save(entry(fmt.Sprint("account", i), fmt.Sprint("pay_", i), t0.Add(time.Duration(i))))
	}
	if len(u.Entries) > 20 || u.Of("account49") == nil || u.Of("account0") != nil {
		t.Errorf("%d entries", len(u.Entries))
	}
}

// What was forgotten stays so, although its event may come again.
func TestForgottenIsForgotten(t *testing.T) {
	for _, account := range []string{"", "cards"} {
		u := &savedpayment.User{}
		old := entry("cards", "pay_1", t0)
		u.Save(old)
		u.Save(entry("wallet", "pay_2", t0))
		if !u.Forget(account, t0.Add(time.Minute)) || u.Forget(account, t0.Add(time.Minute)) {
			t.Error("not once")
		}
		if u.Save(old) || u.Of("cards") != nil || (u.Of("wallet") == nil) != (account == "") {
			t.Errorf("%q: %+v", account, u)
		}
		if !u.Save(entry("cards", "pay_3", t0.Add(time.Hour))) || u.Of("cards").Attempt != "pay_3" {
			t.Errorf("%q: a later purchase is not saved", account)
		}
	}
}
