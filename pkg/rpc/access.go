package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"quittance/pkg/fault"
	"quittance/pkg/seal"
	accessv1 "quittance/proto/gen/go/quittance/access/v1"
)

// Authenticator knows the API keys. It answers with a fault: unauthenticated
// for a key that is not valid, unavailable if it can't tell now. It must not
// take longer for one wrong key than for another.
type Authenticator interface {
	AuthenticateMerchant(ctx context.Context, apiKey string) (merchantID string, err error)
}

// merchantHeader names the merchant a service acts for, on internal listeners.
const merchantHeader = "quittance-merchant"

// open are the methods of gRPC itself, which declare nothing.
var open = map[string]bool{
	"grpc.health.v1.Health":                    true,
	"grpc.reflection.v1.ServerReflection":      true,
	"grpc.reflection.v1alpha.ServerReflection": true,
}

// access decides who may call.
type access struct {
	listener      Listener
	authenticator Authenticator
	operator      [sha256.Size]byte
	hasOperator   bool
	service       [sha256.Size]byte
	methods       map[string]accessv1.Access
}

func newAccess(o ServerOptions) *access {
	return &access{
		listener: o.Listener, authenticator: o.Authenticator,
		operator: digest(o.OperatorKey.Reveal()), hasOperator: o.OperatorKey != "",
		service: digest(o.ServiceToken.Reveal()),
		methods: map[string]accessv1.Access{},
	}
}

// learn reads what the registered methods declare in their contracts.
func (a *access) learn(services map[string]grpc.ServiceInfo) error {
	var errs []error
	for service, info := range services {
		for _, m := range info.Methods {
			declared, err := Declared(service, m.Name)
			if err == nil && declared == accessv1.Access_ACCESS_MERCHANT && a.listener == Public && a.authenticator == nil {
				err = fmt.Errorf("rpc: %s.%s takes API keys and the server has no authenticator", service, m.Name)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			a.methods["/"+service+"/"+m.Name] = declared
		}
	}
	return errors.Join(errs...)
}

// registered says whether a call is to a method that there is.
func (a *access) registered(info *stats.RPCTagInfo) bool {
	_, ok := a.methods[info.FullMethodName]
	return ok
}

// Declared returns the access that a method's contract declares. A method
// without a declaration, or without a contract in this program, is an error.
func Declared(service, method string) (accessv1.Access, error) {
	if open[service] {
		return accessv1.Access_ACCESS_PUBLIC, nil
	}
	name := protoreflect.FullName(service).Append(protoreflect.Name(method))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return 0, fmt.Errorf("rpc: method %s has no contract: %w", name, err)
	}
	declared, _ := proto.GetExtension(d.Options(), accessv1.E_Access).(accessv1.Access)
	if declared == accessv1.Access_ACCESS_UNSPECIFIED {
		return 0, fmt.Errorf("rpc: method %s declares no access (option quittance.access.v1.access)", name)
	}
	return declared, nil
}

// admit identifies the caller of a method or refuses it.
func (a *access) admit(ctx context.Context, method string) (Principal, error) {
	declared := a.methods[method]
	if declared == accessv1.Access_ACCESS_PUBLIC {
		return Principal{Role: RoleAnyone}, nil
	}
	if a.listener == Internal {
		return a.admitService(ctx, declared)
	}
	switch declared {
	case accessv1.Access_ACCESS_MERCHANT:
		return a.admitMerchant(ctx)
	case accessv1.Access_ACCESS_OPERATOR:
		key, err := bearer(ctx)
		if err != nil {
			return Principal{}, err
		}
		if !same(key, a.operator) || !a.hasOperator {
			return Principal{}, fault.Unauthenticated("unknown operator key")
		}
		return Principal{Role: RoleOperator}, nil
	case accessv1.Access_ACCESS_SERVICE, accessv1.Access_ACCESS_UNSPECIFIED, accessv1.Access_ACCESS_PUBLIC:
	}
	return Principal{}, status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

func (a *access) admitMerchant(ctx context.Context) (Principal, error) {
	key, err := bearer(ctx)
	if err != nil {
		return Principal{}, err
	}
	merchant, err := a.authenticator.AuthenticateMerchant(ctx, key.Reveal())
	if err != nil {
		return Principal{}, fmt.Errorf("check API key: %w", err)
	}
	if merchant == "" {
		return Principal{}, fault.Internal("API key of no merchant")
	}
	return Principal{Role: RoleMerchant, Merchant: merchant}, nil
}

func (a *access) admitService(ctx context.Context, declared accessv1.Access) (Principal, error) {
	token, err := bearer(ctx)
	if err != nil {
		return Principal{}, err
	}
	if !same(token, a.service) {
		return Principal{}, fault.Unauthenticated("unknown service token")
	}
	switch declared {
	case accessv1.Access_ACCESS_SERVICE:
		return Principal{Role: RoleService}, nil
	case accessv1.Access_ACCESS_MERCHANT:
		merchant := metadata.ValueFromIncomingContext(ctx, merchantHeader)
		if len(merchant) != 1 || merchant[0] == "" {
			return Principal{}, fault.Unauthenticated("metadata %s must name the merchant", merchantHeader)
		}
		return Principal{Role: RoleService, Merchant: merchant[0]}, nil
	case accessv1.Access_ACCESS_OPERATOR, accessv1.Access_ACCESS_UNSPECIFIED, accessv1.Access_ACCESS_PUBLIC:
	}
	return Principal{}, fault.Denied("not a method for services")
}

func bearer(ctx context.Context) (seal.Secret, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", fault.Unauthenticated("metadata authorization must be: Bearer <key>")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	key = strings.TrimSpace(key)
	if !strings.EqualFold(scheme, "bearer") || key == "" {
		return "", fault.Unauthenticated("metadata authorization must be: Bearer <key>")
	}
	return seal.Secret(key), nil
}

func digest(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

// same compares in constant time; digests hide the length too.
func same(given seal.Secret, want [sha256.Size]byte) bool {
	got := digest(given.Reveal())
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
