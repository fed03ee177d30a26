package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/offline"
	"quittance/pkg/returns"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// Limits of texts in requests.
const (
	maxKey         = 64
	maxID          = 64
	maxAccount     = 40
	maxMethod      = 64
	maxTransaction = 100
	maxAccess      = 300
)

// Payments implements PaymentService.
type Payments struct {
	paymentv1.UnimplementedPaymentServiceServer
	Checkout *Checkout
}

var _ paymentv1.PaymentServiceServer = (*Payments)(nil)

// ListMethods implements PaymentService.
func (s *Payments) ListMethods(ctx context.Context, req *paymentv1.ListMethodsRequest) (*paymentv1.ListMethodsResponse, error) {
	var v fault.Validation
	text(&v, "order_id", req.GetOrderId(), 1, maxID)
	if err := v.Err(); err != nil {
		return nil, err
	}
	o, err := s.Checkout.order(ctx, rpc.MerchantID(ctx), req.GetOrderId())
	if err != nil {
		return nil, err
	}
	methods, err := s.Checkout.methods(ctx, o)
	if err != nil {
		return nil, err
	}
	out := &paymentv1.ListMethodsResponse{}
	for _, m := range append(s.Checkout.again(ctx, o, methods), methods...) {
		out.Methods = append(out.Methods, &paymentv1.Method{
			AccountId: m.account.GetId(), Provider: m.account.GetProvider(), DisplayName: m.account.GetDisplayName(),
			Method: m.way.ID, MethodName: m.way.Name, Icon: iconOf(m), Saved: m.saved,
		})
	}
	return out, nil
}

// StartPayment implements PaymentService.
func (s *Payments) StartPayment(ctx context.Context, req *paymentv1.StartPaymentRequest) (*paymentv1.Attempt, error) {
	var v fault.Validation
	text(&v, "idempotency_key", req.GetIdempotencyKey(), 1, maxKey)
	text(&v, "order_id", req.GetOrderId(), 1, maxID)
	text(&v, "account_id", req.GetAccountId(), 1, maxAccount)
	text(&v, "method", req.GetMethod(), 0, maxMethod)
	v.Check(!req.GetSaved() || req.GetMethod() == "", "method", "must be empty with saved")
	if err := v.Err(); err != nil {
		return nil, err
	}
	merchant := rpc.MerchantID(ctx)
	hash, err := requestHash(req)
	if err != nil {
		return nil, err
	}
	attemptID := s.Checkout.Attempts.ID(merchant, req.GetIdempotencyKey())
	mine := s.Checkout.Attempts.For(merchant)
	doc, err := mine.Get(ctx, attemptID)
	if errors.Is(err, docstore.ErrNotFound) {
		var o *orderv1.Order
		if o, err = s.Checkout.order(ctx, merchant, req.GetOrderId()); err != nil {
			return nil, err
		}
		doc, err = s.Checkout.start(ctx, o, req.GetAccountId(), attemptID, hash, Via{Method: req.GetMethod(), Saved: req.GetSaved()})
	}
	if errors.Is(err, docstore.ErrExists) {
		doc, err = mine.Get(ctx, attemptID)
	}
	if err != nil {
		return nil, err
	}
	if doc.Body.Request != hash {
		return nil, fault.Conflict("idempotency_key was used for a different request")
	}
	a := s.Checkout.created(ctx, &doc.Body)
	onward, err := s.Checkout.onward(ctx, a)
	if err != nil {
		return nil, err
	}
	return view(a, onward), nil
}

// ListSavedPayments implements PaymentService.
func (s *Payments) ListSavedPayments(ctx context.Context, req *paymentv1.ListSavedPaymentsRequest) (*paymentv1.ListSavedPaymentsResponse, error) {
	var v fault.Validation
	text(&v, "user_id", req.GetUserId(), 1, maxUser)
	if err := v.Err(); err != nil {
		return nil, err
	}
	u, err := s.Checkout.Saved.Of(ctx, rpc.MerchantID(ctx), req.GetUserId())
	if err != nil {
		return nil, err
	}
	out := &paymentv1.ListSavedPaymentsResponse{}
	for _, e := range u.Entries {
		out.SavedPayments = append(out.SavedPayments, &paymentv1.SavedPayment{AccountId: e.Account, SaveTime: timestamppb.New(e.Saved)})
	}
	return out, nil
}

// ForgetSavedPayments implements PaymentService.
func (s *Payments) ForgetSavedPayments(ctx context.Context, req *paymentv1.ForgetSavedPaymentsRequest) (*paymentv1.ForgetSavedPaymentsResponse, error) {
	var v fault.Validation
	text(&v, "user_id", req.GetUserId(), 1, maxUser)
	text(&v, "account_id", req.GetAccountId(), 0, maxAccount)
	if err := v.Err(); err != nil {
		return nil, err
	}
	err := s.Checkout.Saved.Forget(ctx, rpc.MerchantID(ctx), req.GetUserId(), req.GetAccountId(), s.Checkout.Saved.Now())
	return &paymentv1.ForgetSavedPaymentsResponse{}, err
}

func requestHash(req *paymentv1.StartPaymentRequest) (string, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("marshal request: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// GetAttempt implements PaymentService.
func (s *Payments) GetAttempt(ctx context.Context, req *paymentv1.GetAttemptRequest) (*paymentv1.Attempt, error) {
	doc, err := s.Checkout.Attempts.For(rpc.MerchantID(ctx)).Get(ctx, req.GetAttemptId())
	if err != nil {
		return nil, missing(err, "attempt %q", req.GetAttemptId())
	}
	return s.answer(ctx, &doc.Body), nil
}

// CheckAccess implements PaymentService.
func (s *Payments) CheckAccess(ctx context.Context, req *paymentv1.CheckAccessRequest) (*paymentv1.CheckAccessResponse, error) {
	var v fault.Validation
	text(&v, "token", req.GetToken(), 1, maxAccess)
	if err := v.Err(); err != nil {
		return nil, err
	}
	keys, err := s.Checkout.returnKeys(ctx, rpc.MerchantID(ctx))
	if err != nil {
		return nil, err
	}
	order, end, err := returns.CheckAccess(req.GetToken(), keys, s.Checkout.Attempts.Now())
	if err != nil {
		return nil, fault.NotFound("access: the token is not valid, or not any more").Because(err)
	}
	return &paymentv1.CheckAccessResponse{OrderId: order, ExpireTime: timestamppb.New(end)}, nil
}

// ConfirmOffline implements PaymentService.
func (s *Payments) ConfirmOffline(ctx context.Context, req *paymentv1.ConfirmOfflineRequest) (*paymentv1.Attempt, error) {
	var v fault.Validation
	text(&v, "idempotency_key", req.GetIdempotencyKey(), 1, maxKey)
	text(&v, "attempt_id", req.GetAttemptId(), 1, maxID)
	text(&v, "transaction_id", req.GetTransactionId(), 1, maxTransaction)
	_, known := money.Exponent(req.GetAmount().GetCurrency())
	v.Check(known, "amount.currency", "must be an ISO 4217 code in upper case")
	v.Check(req.GetAmount().GetMinor() > 0, "amount.minor", "must be greater than 0")
	if err := v.Err(); err != nil {
		return nil, err
	}
	merchant, attemptID := rpc.MerchantID(ctx), req.GetAttemptId()
	doc, err := s.Checkout.Attempts.For(merchant).Get(ctx, attemptID)
	if err != nil {
		return nil, missing(err, "attempt %q", attemptID)
	}
	if doc.Body.Provider != offline.Name {
		return nil, fault.Conflict("attempt %s is not an offline one: its provider %s is asked instead", attemptID, doc.Body.Provider)
	}
	doc, err = s.Checkout.Attempts.Confirm(ctx, merchant, attemptID, attempt.Confirmation{
		Amount: amountOf(req.GetAmount()), Transaction: req.GetTransactionId(),
	})
	if errors.Is(err, attempt.ErrConfirmed) {
		return nil, fault.Conflict("attempt %s was confirmed before, with another amount or transaction_id", attemptID)
	}
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, &doc.Body), nil
}

// answer is the attempt with the way to the provider, if there is one now.
func (s *Payments) answer(ctx context.Context, a *attempt.Attempt) *paymentv1.Attempt {
	onward, err := s.Checkout.onward(ctx, a)
	if err != nil {
		return view(a, provider.Redirect{})
	}
	return view(a, onward)
}

// view is the attempt as merchants see it.
func view(a *attempt.Attempt, onward provider.Redirect) *paymentv1.Attempt {
	v := &paymentv1.Attempt{
		Id: a.ID, OrderId: a.Order, AccountId: a.Account, Provider: a.Provider,
		Amount: &orderv1.Money{Minor: a.Amount.Minor, Currency: a.Amount.Currency},
		State:  a.State(), Instructions: onward.Instructions, Reference: a.ID,
		CreateTime: timestamppb.New(a.Created), Problem: a.Problem(),
		Preparing: a.Creating(), Method: a.Method, Saved: a.Saved,
	}
	if a.Creation != nil {
		v.ProviderReference = a.Creation.ProviderReference
	}
	if onward.URL != "" {
		v.Redirect = &paymentv1.Redirect{Method: onward.Method, Url: onward.URL, Fields: onward.Fields}
	}
	return v
}
