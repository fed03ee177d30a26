package edge

import (
	"context"
	"errors"
	"maps"
	"slices"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	"quittance/services/callback-ingest/internal/callback"
)

// GetCallback implements CallbackService.
func (s *Lister) GetCallback(ctx context.Context, req *callbackv1.GetCallbackRequest) (*callbackv1.Callback, error) {
	c, err := s.get(ctx, req.GetCallbackId())
	if err != nil {
		return nil, err
	}
	out := view(c)
	raw, ok, err := s.Callbacks.Request(c)
	if err != nil || !ok {
		return out, err
	}
	out.Request = &callbackv1.RawRequest{Method: raw.Method, Query: raw.Query, Body: raw.Body, Remote: raw.Remote}
	for _, name := range slices.Sorted(maps.Keys(raw.Header)) {
		for _, value := range raw.Header[name] {
			out.Request.Headers = append(out.Request.Headers, &callbackv1.Header{Name: name, Value: value})
		}
	}
	return out, nil
}

func (s *Lister) get(ctx context.Context, callbackID string) (*callback.Callback, error) {
	doc, err := s.Callbacks.For(rpc.MerchantID(ctx)).Get(ctx, callbackID)
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, fault.NotFound("callback %q", callbackID)
	}
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}

// ReplayCallback implements CallbackService.
func (s *Lister) ReplayCallback(ctx context.Context, req *callbackv1.ReplayCallbackRequest) (*callbackv1.Callback, error) {
	c, err := s.get(ctx, req.GetCallbackId())
	if err != nil {
		return nil, err
	}
	if c.State() == callback.Refused {
		if c, err = s.reconsider(ctx, c); err != nil {
			return nil, err
		}
	} else if c, err = s.Callbacks.Replay(ctx, c.Merchant, c.ID); err != nil {
		return nil, err
	}
	return view(c), nil
}

// reconsider reads a refused callback again, and records it as accepted if it is
// good now. The provider's own callback may have come meanwhile: then that one
// is sent again.
func (s *Lister) reconsider(ctx context.Context, refused *callback.Callback) (*callback.Callback, error) {
	raw, ok, err := s.Callbacks.Request(refused)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Conflict("the request of callback %s is no longer kept", refused.ID)
	}
	acc, err := s.Accounts.Find(ctx, refused.Account)
	if err != nil {
		return nil, err
	}
	p, err := s.Providers.CallbackReceiver(refused.Provider)
	if err != nil {
		return nil, fault.Conflict("callback %s can't be read any more: %v", refused.ID, err)
	}
	content, dedupeKey, err := understand(&incoming{receiver: p, request: raw, header: raw.Header}, acc, s.Callbacks)
	if err != nil {
		return nil, fault.Conflict("callback %s is still refused: %v", refused.ID, err)
	}
	c := callback.Accepted(acc.Merchant, acc.ID, acc.Provider, dedupeKey, raw, content, s.Callbacks.Now())
	c.Unacknowledged = true
	repeated, err := s.Callbacks.Record(ctx, c)
	if err != nil {
		return nil, err
	}
	if repeated {
		return s.Callbacks.Replay(ctx, c.Merchant, c.ID)
	}
	return c, nil
}
