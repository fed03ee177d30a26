// Package savedpayment is what a merchant's user can pay with again: the one-click
// tokens of earlier purchases, one per provider account. It is pure.
package savedpayment

import (
	"slices"
	"time"
)

// maxEntries bounds the accounts of one user: the oldest are forgotten.
const maxEntries = 20

// User is the stored document: what one user of one merchant has saved. The user
// is the merchant's own id of somebody who was logged in.
type User struct {
	Merchant string  `json:"merchant"`
	User     string  `json:"user"`
	Entries  []Entry `json:"entries,omitempty"`
	// Forgotten says up to when payments by an account, by any under the empty
	// name, leave nothing behind: their tokens may still be on the way.
	Forgotten map[string]time.Time `json:"forgotten,omitempty"`
}

// Entry is the latest token that an account's provider gave.
type Entry struct {
	Account string `json:"account"`
	// Sealed is the token, sealed for this user and account.
	Sealed string `json:"sealed"`
	// Attempt brought it, at Saved.
	Attempt string    `json:"attempt"`
	Saved   time.Time `json:"saved"`
}

// Of is the entry of an account, nil if there is none.
func (u *User) Of(account string) *Entry {
	i := u.index(account)
	if i < 0 {
		return nil
	}
	return &u.Entries[i]
}

func (u *User) index(account string) int {
	return slices.IndexFunc(u.Entries, func(e Entry) bool { return e.Account == account })
}

// Save keeps an entry, in the place of the account's older one. It reports whether
// that is news: repeats, tokens of earlier attempts and forgotten ones are none.
func (u *User) Save(e Entry) bool {
	old := u.index(e.Account)
	if old >= 0 && (u.Entries[old].Attempt == e.Attempt || u.Entries[old].Saved.After(e.Saved)) {
		return false
	}
	if !e.Saved.After(u.Forgotten[""]) || !e.Saved.After(u.Forgotten[e.Account]) {
		return false
	}
	if old >= 0 {
		u.Entries = slices.Delete(u.Entries, old, old+1)
	}
	u.Entries = append(u.Entries, e)
	if extra := len(u.Entries) - maxEntries; extra > 0 {
		u.Entries = slices.Delete(u.Entries, 0, extra)
	}
	return true
}

// Forget deletes what payments by an account, by any if it is empty, have left up
// to a time, and will. It reports whether that is news.
func (u *User) Forget(account string, upTo time.Time) bool {
	if !upTo.After(u.Forgotten[account]) {
		return false
	}
	if u.Forgotten == nil {
		u.Forgotten = map[string]time.Time{}
	}
	u.Forgotten[account] = upTo
	u.Entries = slices.DeleteFunc(u.Entries, func(e Entry) bool {
		return (account == "" || e.Account == account) && !e.Saved.After(upTo)
	})
	return true
}
