package rpc

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/grpc/metadata"
)

// Role is what a caller has shown itself to be.
type Role string

// Roles of callers.
const (
	RoleAnyone   Role = "anyone"
	RoleMerchant Role = "merchant"
	RoleOperator Role = "operator"
	RoleService  Role = "service"
)

// Principal is the caller of a method.
type Principal struct {
	Role Role
	// Merchant is whose documents the call is about: the owner of the API key,
	// or whom a service acts for. Set for every method that declares merchant
	// access, empty for all others.
	Merchant string
}

// call is what is known of a call under way.
type call struct {
	principal Principal
	mu        sync.Mutex
	attrs     []slog.Attr
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Caller returns who calls; the zero Principal outside a call.
func Caller(ctx context.Context) Principal {
	if c := callOf(ctx); c != nil {
		return c.principal
	}
	return Principal{}
}

// MerchantID returns the merchant that a call is about. It is never empty in a
// method that declares merchant access.
func MerchantID(ctx context.Context) string { return Caller(ctx).Merchant }

// WithPrincipal returns ctx as the handlers of a server get it, for code that
// calls them without a server.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, callKey{}, &call{principal: p})
}

// Annotate adds attributes to the log line of the call. They must not hold
// secrets or personal data.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if c := callOf(ctx); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.attrs = append(c.attrs, attrs...)
	}
}

// ForMerchant returns a context whose calls, over a connection with a service
// token, are made for a merchant.
func ForMerchant(ctx context.Context, merchantID string) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = metadata.MD{}
	}
	md = md.Copy()
	md.Set(merchantHeader, merchantID)
	return metadata.NewOutgoingContext(ctx, md)
}
