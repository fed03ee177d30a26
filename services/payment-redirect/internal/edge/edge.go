// Package edge is payment-redirect's gRPC and its pages: it decodes and
// validates what storefronts and browsers send, reads orders from the order
// service, writes attempts, and answers. Of a browser it believes nothing.
package edge

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Orders is what is asked of the order service; its client does it.
type Orders interface {
	// GetOrderForService reads any merchant's order by id.
	GetOrderForService(ctx context.Context, req *orderv1.GetOrderForServiceRequest, opts ...grpc.CallOption) (*orderv1.Order, error)
	// GetOrderByToken reads the order that a customer's link names.
	GetOrderByToken(ctx context.Context, req *orderv1.GetOrderByTokenRequest, opts ...grpc.CallOption) (*orderv1.Order, error)
}

// missing turns a store's "no such document" into what the caller sees.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound(format, args...)
	}
	return err
}

// text checks a single-line text of a limited number of characters.
func text(v *fault.Validation, field, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	if !line(s) {
		v.Check(false, field, "must be one line of printable UTF-8")
		return
	}
	v.Check(n >= least && n <= most, field, "must have %d to %d characters, has %d", least, most, n)
}

func line(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

func amountOf(m *orderv1.Money) money.Amount {
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}
}
