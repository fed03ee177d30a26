package repotest

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"quittance/pkg/rpc"
	_ "quittance/proto/gen/go/quittance/access/v1"
	_ "quittance/proto/gen/go/quittance/callback/v1"
	_ "quittance/proto/gen/go/quittance/delivery/v1"
	_ "quittance/proto/gen/go/quittance/event/v1"
	_ "quittance/proto/gen/go/quittance/notification/v1"
	_ "quittance/proto/gen/go/quittance/operations/v1"
	_ "quittance/proto/gen/go/quittance/order/v1"
	_ "quittance/proto/gen/go/quittance/payment/v1"
	_ "quittance/proto/gen/go/quittance/verification/v1"
)

func TestEveryMethodDeclaresAccess(t *testing.T) {
	methods := 0
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "quittance.") {
			return true
		}
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				if _, err := rpc.Declared(string(service.FullName()), string(service.Methods().Get(j).Name())); err != nil {
					t.Error(err)
				}
			}
		}
		return true
	})
	if methods < 20 {
		t.Errorf("only %d methods found", methods)
	}
}

// Contracts that this package does not import would not be looked at.
func TestAllContractsAreLookedAt(t *testing.T) {
	var own []string
	for _, p := range packages(t) {
		if p.path == "quittance/pkg/repotest" {
			for _, f := range p.files {
				own = append(own, f.imports...)
			}
		}
	}
	for _, p := range packages(t) {
		if strings.HasPrefix(p.path, "quittance/proto/gen/go/") && !slices.Contains(own, p.path) {
			t.Errorf("contracts_test.go must import %s", p.path)
		}
	}
}
