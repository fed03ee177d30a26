package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	accessv1 "quittance/proto/gen/go/quittance/access/v1"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	_ "quittance/proto/gen/go/quittance/operations/v1" // its methods are called too
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// methodsOf are all methods of our contracts.
func methodsOf() (methods []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "quittance.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods = append(methods, service.Methods().Get(j))
			}
		}
		return true
	})
	slices.SortFunc(methods, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return methods
}

// prying is a request that names somebody else's things wherever it can.
func prying(m protoreflect.MethodDescriptor, ids map[string]string) *dynamicpb.Message {
	msg := dynamicpb.NewMessage(m.Input())
	fill(msg, ids, 0)
	return msg
}

func fill(msg protoreflect.Message, ids map[string]string, depth int) {
	fields := msg.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() || f.ContainingOneof() != nil && !f.HasOptionalKeyword():
		case f.Kind() == protoreflect.MessageKind && depth < 2:
			if f.IsList() {
				fill(msg.Mutable(f).List().AppendMutable().Message(), ids, depth+1)
			} else if f.Message().ParentFile().Package() != "google.protobuf" {
				fill(msg.Mutable(f).Message(), ids, depth+1)
			}
		case f.Kind() != protoreflect.StringKind:
		default:
			id := ids[string(f.Name())]
			if f.Name() == "id" {
				id = ids[strings.ToLower(string(msg.Descriptor().Name()))+"_id"]
			}
			switch {
			case id == "":
			case f.IsList():
				msg.Mutable(f).List().Append(protoreflect.ValueOfString(id))
			default:
				msg.Set(f, protoreflect.ValueOfString(id))
			}
		}
	}
}

// called calls any method once and returns all that it answered, as text.
func called(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, req proto.Message) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // some follow what happens for ever
	defer cancel()
	name := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		answer := dynamicpb.NewMessage(m.Output())
		err := conn.Invoke(ctx, name, req, answer)
		return prototext.Format(answer), err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, name)
	if err != nil {
		return "", err
	}
	if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	var all strings.Builder
	for {
		answer := dynamicpb.NewMessage(m.Output())
		switch err := stream.RecvMsg(answer); {
		case errors.Is(err, io.EOF):
			return all.String(), nil
		case err != nil:
			return all.String(), err
		}
		all.WriteString(prototext.Format(answer))
	}
}

// TestP8S25EveryMethodByEveryCredential calls every method of every service on
// the public listeners, and on the internal ones where there are any, with no
// key, a wrong one, another merchant's, the operator's and a service's. Who may
// not call is refused as such; another merchant learns nothing of the first and
// changes nothing there, whatever it names.
func TestP8S25EveryMethodByEveryCredential(t *testing.T) {
	w := start(t, setup{fleet: fleetSetup{env: func(string, int) []string { return []string{"QUITTANCE_LOG_LEVEL=debug"} }}})
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{})
	o = w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	v := retried(w, w.verifications.GetVerification, &verificationv1.GetVerificationRequest{AttemptId: o.GetPaidAttemptId()})
	secrets := []string{w.email, w.keys(o.GetId())[1][0], v.GetTransactionId(), path.Base(o.GetPayUrl())}
	if slices.Contains(secrets, "") {
		t.Fatal("a secret is empty")
	}
	before := w.mine(o.GetId())
	ids := map[string]string{
		"order_id": o.GetId(), "attempt_id": o.GetPaidAttemptId(), "product_id": "notepad", "account_id": standalone.DemoAccount,
		"merchant_id": standalone.DemoMerchant, "endpoint_id": standalone.DemoEndpoint, "reference": o.GetPaidAttemptId(), "idempotency_key": "prying",
	}
	credentials := map[string]seal.Secret{
		"no key": "", "a wrong key": "not-a-key", "another merchant's": w.stranger().key, "the operator's": w.operatorKey, "a service's": fleetToken,
	}
	public := map[string]string{
		"order": w.at.Order, "payment": w.at.Payment, "callback": w.at.Callback, "verification": w.at.Verification,
		"delivery": w.at.Delivery, "notification": w.at.Notification, "operations": w.at.Order,
	}
	methods, calls := methodsOf(), 0
	for who, credential := range credentials {
		dial := func(addr string) *grpc.ClientConn {
			conn, err := rpc.Dial(addr, rpc.DialOptions{APIKey: credential})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		for _, m := range methods {
			name := string(m.FullName())
			declared, err := rpc.Declared(string(m.Parent().FullName()), string(m.Name()))
			if err != nil {
				t.Error(err)
				continue
			}
			of := strings.Split(name, ".")[1]
			operator := declared == accessv1.Access_ACCESS_OPERATOR && who == "the operator's"
			stranger := declared == accessv1.Access_ACCESS_MERCHANT && who == "another merchant's"
			req := prying(m, ids)
			if operator {
				req = dynamicpb.NewMessage(m.Input()) // it may do what it names; that it is let in is all there is to see
			}
			answer, err := called(t, dial(public[of]), m, req)
			calls++
			switch open := declared == accessv1.Access_ACCESS_PUBLIC; {
			case (operator || stranger || open) == refused(err):
				t.Errorf("%s with %s: %v %s", name, who, err, answer)
			case !operator:
				for _, secret := range secrets {
					if strings.Contains(answer, secret) || err != nil && strings.Contains(err.Error(), secret) {
						t.Errorf("%s tells %s: %s %v", name, who, answer, err)
					}
				}
			}
			if w.fleet == nil || who == "a service's" {
				continue
			}
			calls++
			if answer, err := called(t, dial(w.fleet.internal[programOf(of)][0]), m, req); !refused(err) {
				t.Errorf("%s on the internal listener with %s: %v %s", name, who, err, answer)
			}
		}
	}
	if !bytes.Equal(before, w.mine(o.GetId())) {
		t.Error("something of the first merchant's has changed")
	}
	t.Logf("%d calls of %d methods", calls, len(methods))
	if w.fleet == nil {
		return // the one process keeps in its directory what only its owner may read
	}
	logs := w.fleet.logs()
	if !strings.Contains(logs, o.GetId()) {
		t.Error("the logs tell nothing of the order")
	}
	for what, secret := range map[string]string{
		"the licence key": w.keys(o.GetId())[1][0], "the merchant's API key": w.key.Reveal(), "another merchant's API key": credentials["another merchant's"].Reveal(),
		"the operator's key": fleetOperator, "the services' credential": fleetToken, "the provider's signature key": fleetKey,
	} {
		unreadable(t, w.kept, secret)
		if strings.Contains(logs, secret) {
			t.Errorf("%s is in a log", what)
		}
	}
	for _, line := range strings.Split(logs, "\n") {
		if strings.Contains(line, w.email) {
			t.Errorf("the customer's address is in a log: %.300s", line)
			break
		}
	}
}

// programOf is the program that has a package's methods.
func programOf(pkg string) string {
	return cmp.Or(map[string]string{"payment": "payment-redirect", "callback": "callback-ingest", "operations": "order"}[pkg], pkg)
}

// refused: the caller was not let in, or there is no such method for it.
func refused(err error) bool {
	return slices.Contains([]fault.Kind{fault.KindUnauthenticated, fault.KindDenied}, fault.KindOf(err)) ||
		err != nil && strings.HasPrefix(err.Error(), codes.Unimplemented.String())
}

// mine is what the merchant sees of an order and of its shop, as bytes.
func (w *world) mine(orderID string) (out []byte) {
	w.t.Helper()
	for _, m := range []proto.Message{
		retried(w, w.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: orderID}),
		retried(w, w.orders.ListEvents, &orderv1.ListEventsRequest{OrderId: orderID}),
		retried(w, w.deliveries.GetDelivery, &deliveryv1.GetDeliveryRequest{OrderId: orderID}),
		retried(w, w.shops.GetReturnKey, &orderv1.GetReturnKeyRequest{}),
		retried(w, w.notifications.ListEndpoints, &notificationv1.ListEndpointsRequest{}),
	} {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, raw...)
	}
	return out
}
