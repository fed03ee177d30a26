package edge

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/provider/registry"
	"quittance/pkg/rpc"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	"quittance/services/callback-ingest/internal/callback"
	"quittance/services/callback-ingest/internal/callbacks"
)

// Lister implements CallbackService.
type Lister struct {
	callbackv1.UnimplementedCallbackServiceServer
	Callbacks *callbacks.Callbacks
	Accounts  *Accounts
	Providers *registry.Registry
}

var _ callbackv1.CallbackServiceServer = (*Lister)(nil)

// ListCallbacks implements CallbackService.
func (s *Lister) ListCallbacks(ctx context.Context, req *callbackv1.ListCallbacksRequest) (*callbackv1.ListCallbacksResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	docs, next, err := s.Callbacks.For(rpc.MerchantID(ctx)).Find(ctx, docstore.Query{
		Index: callbacks.ByReceived, Descending: true, After: req.GetPageToken(), Limit: size,
	})
	if errors.Is(err, docstore.ErrCursor) {
		return nil, fault.Invalid("page_token", "is not one of an earlier answer")
	}
	if err != nil {
		return nil, err
	}
	out := &callbackv1.ListCallbacksResponse{NextPageToken: next}
	for _, d := range docs {
		out.Callbacks = append(out.Callbacks, view(&d.Body))
	}
	return out, nil
}

func view(c *callback.Callback) *callbackv1.Callback {
	return &callbackv1.Callback{
		Id: c.ID, AccountId: c.Account, Provider: c.Provider, ReceiveTime: timestamppb.New(c.Received),
		Accepted: c.State() != callback.Refused, Refusal: c.Refusal, AttemptId: c.Content.Reference,
	}
}
