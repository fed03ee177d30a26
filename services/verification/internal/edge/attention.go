package edge

import (
	"context"
	"errors"
	"unicode/utf8"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/verification/internal/verification"
	"quittance/services/verification/internal/verifications"
)

// maxNote bounds what a merchant notes.
const maxNote = 200

// ListAttention implements VerificationService.
func (s *Server) ListAttention(ctx context.Context, req *verificationv1.ListAttentionRequest) (*verificationv1.ListAttentionResponse, error) {
	return list(ctx, s.Verifications.For(rpc.MerchantID(ctx)).Find, req.GetPageSize(), req.GetPageToken())
}

// ListAllAttention implements VerificationService.
func (s *Server) ListAllAttention(ctx context.Context, req *verificationv1.ListAllAttentionRequest) (*verificationv1.ListAttentionResponse, error) {
	return list(ctx, s.Verifications.Find, req.GetPageSize(), req.GetPageToken())
}

// finder finds verifications, of one merchant or of all.
type finder func(context.Context, docstore.Query) ([]*docstore.Doc[verification.Verification], string, error)

func list(ctx context.Context, find finder, pageSize int32, token string) (*verificationv1.ListAttentionResponse, error) {
	size, err := rpc.PageSize(pageSize)
	if err != nil {
		return nil, err
	}
	docs, next, err := find(ctx, docstore.Query{
		AllTenants: true, Index: verifications.NeedsAttention, After: token, Limit: size,
	})
	if errors.Is(err, docstore.ErrCursor) {
		return nil, fault.Invalid("page_token", "is not one of an earlier answer")
	}
	if err != nil {
		return nil, err
	}
	out := &verificationv1.ListAttentionResponse{NextPageToken: next}
	for _, d := range docs {
		out.Verifications = append(out.Verifications, view(&d.Body))
	}
	return out, nil
}

// MarkOperationDone implements VerificationService.
func (s *Server) MarkOperationDone(ctx context.Context, req *verificationv1.MarkOperationDoneRequest) (*verificationv1.Verification, error) {
	if n := utf8.RuneCountInString(req.GetNote()); n > maxNote || !utf8.ValidString(req.GetNote()) {
		return nil, fault.Invalid("note", "must have at most %d characters", maxNote)
	}
	mine := s.Verifications.For(rpc.MerchantID(ctx))
	doc, err := mine.Get(ctx, req.GetAttemptId())
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	terms, err := s.Verifications.Terms(ctx, doc.Body.Account)
	if err != nil {
		return nil, err
	}
	doc, err = mine.Update(ctx, doc.ID, func(v *verification.Verification, ch *docstore.Change) error {
		op := v.Operation(req.GetOperationId())
		if op == nil {
			return fault.NotFound("operation %q", req.GetOperationId())
		}
		news, ok := v.Done(op.ID, req.GetNote(), !terms.Askable(), s.Verifications.Now())
		switch {
		case !ok:
			return fault.Conflict("the operation is not one to be done by hand")
		case !news:
			return docstore.ErrUnchanged
		}
		if terms.Askable() { // what it did to the money, the provider says
			v.Prompt(s.Verifications.Now())
		}
		return s.Verifications.Tell(ch, v, terms)
	})
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	return view(&doc.Body), nil
}

// DismissAttention implements VerificationService.
func (s *Server) DismissAttention(ctx context.Context, req *verificationv1.DismissAttentionRequest) (*verificationv1.Verification, error) {
	doc, err := s.Verifications.For(rpc.MerchantID(ctx)).Update(ctx, req.GetAttemptId(), func(v *verification.Verification, _ *docstore.Change) error {
		switch {
		case v.Dismiss():
			return nil
		case v.Attention() != 0:
			return fault.Conflict("an operation is to be done by hand: mark it as done")
		}
		return docstore.ErrUnchanged
	})
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	return view(&doc.Body), nil
}
