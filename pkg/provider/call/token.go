package call

import (
	"context"
	"sync"
	"time"

	"quittance/pkg/seal"
)

// maxTokens bounds the memory of tokens.
const maxTokens = 1000

// Token is a vendor's word that the caller may ask. Until is when it ends.
type Token struct {
	Value seal.Secret
	Until time.Time
}

// Tokens keeps tokens and reuses them until shortly before they end. Of several callers who need one, one fetches it. Safe
// for concurrent use.
type Tokens struct {
	margin time.Duration
	mu     sync.Mutex
	kept   map[string]*slot
}

// slot is one key's token; busy holds a value while somebody looks at it or fetches it.
type slot struct {
	busy chan struct{}
	// token is guarded by busy.
	token Token
}

// NewTokens returns an empty cache. A token is not used in the last margin of its life.
func NewTokens(margin time.Duration) *Tokens {
	return &Tokens{margin: margin, kept: map[string]*slot{}}
}

// Get gives the token of a key, which names everything it depends on, the password included. fetch gets one if there is none
// that lasts. bad is a token that was refused: it is not given again.
func (t *Tokens) Get(ctx context.Context, key string, bad seal.Secret, fetch func(context.Context) (Token, error)) (seal.Secret, error) {
	s := t.slot(key)
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if s.token.Value != "" && s.token.Value != bad && time.Until(s.token.Until) > t.margin {
		return s.token.Value, nil
	}
	token, err := fetch(ctx)
	if err != nil {
		return "", err
	}
	s.token = token
	return token.Value, nil
}

func (t *Tokens) slot(key string) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.kept[key]; ok {
		return s
	}
	if len(t.kept) >= maxTokens {
		clear(t.kept)
	}
	s := &slot{busy: make(chan struct{}, 1)}
	t.kept[key] = s
	return s
}

// With calls do with the token of a key, and once more with a fresh one if do says that the token was refused.
func (t *Tokens) With(ctx context.Context, key string, fetch func(context.Context) (Token, error), do func(seal.Secret) (refused bool, err error)) error {
	token, err := t.Get(ctx, key, "", fetch)
	if err != nil {
		return err
	}
	refused, err := do(token)
	if !refused {
		return err
	}
	if token, err = t.Get(ctx, key, token, fetch); err != nil {
		return err
	}
	_, err = do(token)
	return err
}
