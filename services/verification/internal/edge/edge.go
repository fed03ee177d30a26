// Package edge is verification's gRPC: it answers what is known of an attempt
// and takes the wish to ask again.
package edge

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/money"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/verification/internal/verification"
	"quittance/services/verification/internal/verifications"
)

const (
	// maxWait bounds GetVerification's wait.
	maxWait = time.Minute
	// waitPoll is how often a waiting call looks for other replicas' writes.
	waitPoll = 500 * time.Millisecond
)

// Server implements VerificationService.
type Server struct {
	verificationv1.UnimplementedVerificationServiceServer
	Verifications *verifications.Verifications
}

var _ verificationv1.VerificationServiceServer = (*Server)(nil)

// GetVerification implements VerificationService.
func (s *Server) GetVerification(ctx context.Context, req *verificationv1.GetVerificationRequest) (*verificationv1.Verification, error) {
	wait := req.GetWait().AsDuration()
	if wait < 0 || wait > maxWait {
		return nil, fault.Invalid("wait", "must be between 0 and 60 s")
	}
	if wait > 0 { // for an attempt that was only just started, too
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_, err := s.Verifications.Await(waiting, req.GetAttemptId(), waitPoll, func(d *docstore.Doc[verification.Verification]) bool {
			return d.Tenant != rpc.MerchantID(ctx) || d.Body.Settled()
		})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
	}
	doc, err := s.Verifications.For(rpc.MerchantID(ctx)).Get(ctx, req.GetAttemptId())
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	return view(&doc.Body), nil
}

// VerifyNow implements VerificationService.
func (s *Server) VerifyNow(ctx context.Context, req *verificationv1.VerifyNowRequest) (*verificationv1.Verification, error) {
	mine := s.Verifications.For(rpc.MerchantID(ctx))
	doc, err := mine.Get(ctx, req.GetAttemptId())
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	terms, err := s.Verifications.Terms(ctx, doc.Body.Account)
	if err != nil {
		return nil, err
	}
	if terms.First == 0 {
		return nil, fault.Conflict("provider %q can't be asked: confirm the payment yourself", doc.Body.Provider)
	}
	doc, err = mine.Update(ctx, doc.ID, func(v *verification.Verification, _ *docstore.Change) error {
		if !v.Prompt(s.Verifications.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return nil, missing(err, req.GetAttemptId())
	}
	return view(&doc.Body), nil
}

func missing(err error, attempt string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound("attempt %q", attempt)
	}
	return err
}

func view(v *verification.Verification) *verificationv1.Verification {
	detail := v.Facts.Detail
	if detail == "" {
		detail = v.Problem
	}
	return &verificationv1.Verification{
		AttemptId: v.Attempt, OrderId: v.Order, Outcome: v.Facts.Outcome, TransactionId: v.Facts.TransactionID,
		Captured: amount(v.Facts.Captured), Refunded: amount(v.Facts.Refunded), Detail: detail, RawStatus: v.Facts.Raw,
		TimesAsked: int32(min(v.Asked, 1<<30)), LastAskedTime: stamp(v.LastAsked), NextAskTime: stamp(v.NextAsk), Final: v.Settled(),
		Operations: v.OperationViews(), Attention: v.Attention(), MerchantId: v.Merchant, AccountId: v.Account, Provider: v.Provider,
		Reference: v.Reference, Amount: amount(v.Amount), Problem: v.Problem,
	}
}

func amount(a money.Amount) *orderv1.Money {
	if a.Currency == "" {
		return nil
	}
	return &orderv1.Money{Minor: a.Minor, Currency: a.Currency}
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
