package verification_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/pkg/provider"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// till is a provider that plays every role and keeps no idempotency keys: what
// it is told twice it does twice. Its faults are set by attempt.
type till struct {
	mu       sync.Mutex
	payments map[string]*payment
	// calls counts operations by their id, asking questions at once by attempt.
	calls map[string]int
	// questions counts status calls, most how many were made for one attempt at once.
	questions, most int
	asking          map[string]int
	// slow is how long a status call takes.
	slow time.Duration
	// down: no status call is answered.
	down bool
}

type payment struct {
	state              provider.State
	captured, refunded int64
	// fault of the next operation: "lost before" it happens, "lost after", "declined".
	fault string
}

func newTill() *till {
	return &till{payments: map[string]*payment{}, calls: map[string]int{}, asking: map[string]int{}}
}

func (p *till) Name() string                        { return "till" }
func (p *till) CheckAccount(provider.Account) error { return nil }

func (p *till) Schedule(provider.Account) provider.Schedule {
	return provider.Schedule{First: 50 * time.Millisecond, Then: []time.Duration{100 * time.Millisecond, time.Second}, Life: time.Hour}
}

// with changes a payment under the lock, and returns a copy of it.
func (p *till) with(attempt string, change func(*payment)) payment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.payments[attempt] == nil {
		p.payments[attempt] = &payment{state: provider.Pending}
	}
	change(p.payments[attempt])
	return *p.payments[attempt]
}

func (p *till) Status(ctx context.Context, _ provider.Account, q provider.StatusQuery) (provider.Report, error) {
	p.mu.Lock()
	p.questions++
	p.asking[q.Reference]++
	p.most = max(p.most, p.asking[q.Reference])
	slow, down := p.slow, p.down
	p.mu.Unlock()
	defer func() { p.mu.Lock(); p.asking[q.Reference]--; p.mu.Unlock() }()
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return provider.Report{}, ctx.Err()
	}
	if down {
		return provider.Report{}, errors.New("connection refused")
	}
	got := p.with(q.Reference, func(*payment) {})
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	return provider.Report{
		State: got.state, Reference: q.Reference, TransactionID: "t-" + q.Reference, Amount: eur(999), Captured: eur(got.captured), Refunded: eur(got.refunded),
	}, nil
}

func (p *till) do(op provider.Operation, act func(*payment)) error {
	fault := ""
	p.with(op.Reference, func(got *payment) {
		p.calls[op.ID]++
		fault, got.fault = got.fault, ""
		if fault == "" || fault == "lost after" {
			act(got)
		}
	})
	switch fault {
	case "":
		return nil
	case "declined":
		return fmt.Errorf("%w: not today", provider.ErrDeclined)
	}
	return errors.New("connection reset")
}

func (p *till) Refund(_ context.Context, _ provider.Account, op provider.Operation) error {
	return p.do(op, func(got *payment) { got.refunded += op.Amount.Minor })
}

func (p *till) Capture(_ context.Context, _ provider.Account, op provider.Operation) error {
	return p.do(op, func(got *payment) { got.state, got.captured = provider.Paid, got.captured+op.Amount.Minor })
}

func (p *till) Cancel(_ context.Context, _ provider.Account, op provider.Operation) error {
	return p.do(op, func(got *payment) { got.state = provider.Canceled })
}

var (
	_ provider.Statuser  = (*till)(nil)
	_ provider.Refunder  = (*till)(nil)
	_ provider.Capturer  = (*till)(nil)
	_ provider.Canceler  = (*till)(nil)
	_ provider.Scheduler = (*till)(nil)
)

// startTill announces an attempt at the till whose payment is in a state.
func (w *world) startTill(state provider.State) string {
	attempt := id.New("pay")
	w.till.with(attempt, func(p *payment) {
		if p.state = state; state == provider.Paid {
			p.captured = 999
		}
	})
	w.publish(event.PaymentStarted, attempt, &eventv1.PaymentStarted{
		AttemptId: attempt, OrderId: "ord_" + attempt, MerchantId: "acme", AccountId: "till", Provider: "till", Reference: attempt,
		Amount: &orderv1.Money{Minor: 999, Currency: "EUR"}, StartTime: timestamppb.Now(),
	})
	w.told(attempt, 1)
	return attempt
}

// request asks for an operation on an attempt, and returns its id.
func (w *world) request(attempt string, kind orderv1.OperationKind, minor int64) string {
	op := &orderv1.Operation{
		Id: id.New("opn"), Kind: kind, AttemptId: attempt, Amount: &orderv1.Money{Minor: minor, Currency: "EUR"},
		State: orderv1.OperationState_OPERATION_STATE_REQUESTED, Cause: orderv1.OperationCause_OPERATION_CAUSE_MERCHANT,
	}
	for range 3 { // sending twice is normal
		w.publish(event.RefundRequested, attempt, &eventv1.RefundRequested{OrderId: "ord_" + attempt, MerchantId: "acme", Operations: []*orderv1.Operation{op}})
	}
	return op.GetId()
}
