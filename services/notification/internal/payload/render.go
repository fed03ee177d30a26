package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/queue"
)

// MaxSize bounds a body; Standard Webhooks asks for less than 20 kB.
const MaxSize = 20_000

// maxText is what a free text is cut to when the body is too large.
const maxText = 300

type body struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

type data struct {
	EventID  string `json:"event_id"`
	Sequence int64  `json:"sequence"`
	// LineNumber is the line that product.* events are about, else null.
	LineNumber *int32 `json:"line_number"`
	// Truncated: the order was too large for a webhook; GetOrder has all of it.
	Truncated bool  `json:"truncated"`
	Order     order `json:"order"`
}

type order struct {
	ID              string            `json:"id"`
	MerchantID      string            `json:"merchant_id"`
	Reference       string            `json:"reference"`
	Customer        customer          `json:"customer"`
	Lines           []line            `json:"lines"`
	Total           *money            `json:"total"`
	PaymentState    string            `json:"payment_state"`
	DeliveryState   string            `json:"delivery_state"`
	Hold            *hold             `json:"hold"`
	Prepaid         bool              `json:"prepaid"`
	CreateTime      *string           `json:"create_time"`
	PaidTime        *string           `json:"paid_time"`
	DeliveredTime   *string           `json:"delivered_time"`
	ReturnURL       string            `json:"return_url"`
	PaidAttemptID   string            `json:"paid_attempt_id"`
	Captured        *money            `json:"captured"`
	Refunded        *money            `json:"refunded"`
	Sequence        int64             `json:"sequence"`
	Metadata        map[string]string `json:"metadata"`
	DeliveryProblem string            `json:"delivery_problem"`
	PaymentProblem  string            `json:"payment_problem"`
}

type customer struct {
	Email  string `json:"email"`
	Name   string `json:"name"`
	Locale string `json:"locale"`
}

type line struct {
	Number         int32  `json:"number"`
	ProductID      string `json:"product_id"`
	Name           string `json:"name"`
	Quantity       int64  `json:"quantity"`
	UnitPrice      *money `json:"unit_price"`
	Amount         *money `json:"amount"`
	DeliveryMethod string `json:"delivery_method"`
	DeliveryState  string `json:"delivery_state"`
}

type money struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

type hold struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Render returns the body of a pending event's webhook: the same bytes for the
// same event, fewer than MaxSize.
func Render(e queue.Event) ([]byte, error) {
	p := &orderv1.PublicEvent{}
	if err := proto.Unmarshal(e.Data, p); err != nil {
		return nil, fmt.Errorf("read event %s: %w", e.ID, err)
	}
	b := body{
		Type:      e.Type,
		Timestamp: clock(e.Time),
		Data:      data{EventID: e.ID, Sequence: e.Sequence, Order: view(p.GetOrder())},
	}
	if n := p.GetLineNumber(); n != 0 {
		b.Data.LineNumber = &n
	}
	for _, shrink := range []func(*order){
		func(*order) {},
		withoutExtras,
		withoutLines,
	} {
		shrink(&b.Data.Order)
		out, err := encode(b)
		if err != nil || len(out) < MaxSize {
			return out, err
		}
		b.Data.Truncated = true
	}
	return nil, fmt.Errorf("event %s: the order is too large for a webhook", e.ID)
}

func encode(b body) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", b.Data.EventID, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// withoutExtras drops what the merchant gave itself and cuts free texts.
func withoutExtras(o *order) {
	o.Metadata = map[string]string{}
	for i := range o.Lines {
		o.Lines[i].Name = ""
	}
	o.DeliveryProblem, o.PaymentProblem = cut(o.DeliveryProblem), cut(o.PaymentProblem)
	if o.Hold != nil {
		o.Hold.Detail = cut(o.Hold.Detail)
	}
}

func withoutLines(o *order) { o.Lines = []line{} }

func cut(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText])
	}
	return s
}

func view(o *orderv1.Order) order {
	v := order{
		ID: o.GetId(), MerchantID: o.GetMerchantId(), Reference: o.GetReference(),
		Customer: customer{
			Email: o.GetCustomer().GetEmail(), Name: o.GetCustomer().GetName(), Locale: o.GetCustomer().GetLocale(),
		},
		Lines: []line{}, Total: amount(o.GetTotal()),
		PaymentState: word(o.GetPaymentState()), DeliveryState: word(o.GetDeliveryState()),
		Prepaid: o.GetPrepaid(), CreateTime: stamp(o.GetCreateTime()), PaidTime: stamp(o.GetPaidTime()),
		DeliveredTime: stamp(o.GetDeliveredTime()), ReturnURL: o.GetReturnUrl(), PaidAttemptID: o.GetPaidAttemptId(),
		Captured: amount(o.GetCaptured()), Refunded: amount(o.GetRefunded()), Sequence: o.GetSequence(),
		Metadata: o.GetMetadata(), DeliveryProblem: o.GetDeliveryProblem(), PaymentProblem: o.GetPaymentProblem(),
	}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	if h := o.GetHold(); h != nil {
		v.Hold = &hold{Reason: word(h.GetReason()), Detail: h.GetDetail()}
	}
	for _, l := range o.GetLines() {
		v.Lines = append(v.Lines, line{
			Number: l.GetNumber(), ProductID: l.GetProductId(), Name: l.GetName(), Quantity: l.GetQuantity(),
			UnitPrice: amount(l.GetUnitPrice()), Amount: amount(l.GetAmount()),
			DeliveryMethod: word(l.GetDeliveryMethod()), DeliveryState: word(l.GetDeliveryState()),
		})
	}
	return v
}

func amount(m *orderv1.Money) *money {
	if m == nil {
		return nil
	}
	return &money{Minor: m.GetMinor(), Currency: m.GetCurrency()}
}

func stamp(t *timestamppb.Timestamp) *string {
	if t == nil {
		return nil
	}
	s := clock(t.AsTime())
	return &s
}

// clock writes a time as RFC 3339 in UTC with milliseconds.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// word is an enum's value without the enum's name in front, in lower case:
// PAYMENT_STATE_PAID is "paid". The empty word stands for no value.
func word(e protoreflect.Enum) string {
	d := e.Descriptor()
	v := d.Values().ByNumber(e.Number())
	if v == nil {
		return "unknown"
	}
	if v.Number() == 0 {
		return ""
	}
	none := string(d.Values().ByNumber(0).Name())
	return strings.ToLower(strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(none, "UNSPECIFIED")))
}
