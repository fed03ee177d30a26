package edge

import (
	"context"
	"sync"

	"quittance/pkg/fault"
	"quittance/pkg/provider"
	"quittance/pkg/reference"
)

// knownMax bounds the memory of accounts.
const knownMax = 10_000

// Accounts finds provider accounts. It remembers those that callbacks were
// read with, because a store that is down must not make them unreadable.
type Accounts struct {
	reference *reference.Copy

	mu    sync.Mutex
	known map[string]provider.Account
}

// NewAccounts returns the accounts of the reference data.
func NewAccounts(ref *reference.Copy) *Accounts {
	return &Accounts{reference: ref, known: map[string]provider.Account{}}
}

// Find returns an account, fault.KindNotFound if there is none. Any other error
// means that it can't be told now.
func (a *Accounts) Find(ctx context.Context, account string) (provider.Account, error) {
	acc, _, err := a.reference.Account(ctx, account)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.remember(acc)
	case fault.KindOf(err) == fault.KindNotFound:
		delete(a.known, account)
	default:
		if last, ok := a.known[account]; ok {
			return last, nil
		}
	}
	return acc, err
}

// remember keeps an account; one of the others makes room.
func (a *Accounts) remember(acc provider.Account) {
	if _, ok := a.known[acc.ID]; !ok && len(a.known) >= knownMax {
		for other := range a.known {
			delete(a.known, other)
			break
		}
	}
	a.known[acc.ID] = acc
}
