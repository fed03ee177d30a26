package event_test

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"quittance/pkg/event"
)

var sample = event.Event{
	ID: "evt_1", Type: "payment.succeeded", Source: "order", Subject: "ord_1", Key: "ord_1", Merchant: "mer_1",
	Time:        time.Date(2026, 2, 3, 4, 5, 6, 789_000_001, time.UTC),
	TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b",
	Data: []byte("\x0a\x01x"), Resend: 2,
}

// message lets the CloudEvents SDK read our headers as a binary-mode message.
type message struct {
	header map[string][]string
	data   []byte
}

var (
	_ binding.MessageReader         = message{}
	_ binding.MessageMetadataReader = message{}
)

const prefix = "ce-"

func (m message) version() spec.Version {
	return spec.WithPrefix(prefix).Version(m.header[prefix+"specversion"][0])
}

func (m message) ReadEncoding() binding.Encoding { return binding.EncodingBinary }

func (m message) ReadStructured(context.Context, binding.StructuredWriter) error {
	return binding.ErrNotStructured
}

func (m message) ReadBinary(_ context.Context, w binding.BinaryWriter) error {
	for name, values := range m.header {
		bare, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		value, err := url.PathUnescape(values[0])
		if err != nil {
			return err
		}
		if attribute := m.version().Attribute(name); attribute != nil {
			err = w.SetAttribute(attribute, value)
		} else {
			err = w.SetExtension(bare, value)
		}
		if err != nil {
			return err
		}
	}
	return w.SetData(bytes.NewReader(m.data))
}

func (m message) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	attribute := m.version().AttributeFromKind(kind)
	if v := m.header[attribute.PrefixedName()]; len(v) > 0 {
		return attribute, v[0]
	}
	return attribute, nil
}

func (m message) GetExtension(name string) any {
	if v := m.header[prefix+name]; len(v) > 0 {
		return v[0]
	}
	return nil
}

func TestHeaderIsACloudEvent(t *testing.T) {
	e, err := event.New("order.created", "order", "ord_1", "ord_1", "mer_1", time.Now(), wrapperspb.String("x"))
	if err != nil {
		t.Fatal(err)
	}
	odd := sample
	odd.Key, odd.Merchant = `50 % "off" €`, "ü"
	for name, e := range map[string]event.Event{"fresh": e, "full": sample, "percent-encoded": odd} {
		t.Run(name, func(t *testing.T) {
			got, err := binding.ToEvent(t.Context(), message{e.Header(), e.Data})
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Validate(); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"specversion": "1.0", "id": e.ID, "type": e.Type, "source": "/quittance/" + e.Source, "subject": e.Subject,
				"datacontenttype": "application/protobuf", "partitionkey": e.Key, "merchant": e.Merchant, "data": string(e.Data),
			}
			have := map[string]any{
				"specversion": got.SpecVersion(), "id": got.ID(), "type": got.Type(), "source": got.Source(), "subject": got.Subject(),
				"datacontenttype": got.DataContentType(), "partitionkey": got.Extensions()["partitionkey"],
				"merchant": got.Extensions()["merchant"], "data": string(got.Data()),
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
			if !got.Time().Equal(e.Time) {
				t.Errorf("time %v, want %v", got.Time(), e.Time)
			}
		})
	}
}

func TestFromMessageIsTheInverse(t *testing.T) {
	odd := sample
	odd.ID, odd.Key, odd.Merchant, odd.Resend = "evt%20#1", ` leading "quotes" € `, "", 0
	for name, e := range map[string]event.Event{"full": sample, "odd": odd} {
		t.Run(name, func(t *testing.T) {
			got, err := event.FromMessage(e.Header(), e.Data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFromMessageReadsOtherSenders(t *testing.T) {
	h := sample.Header()
	h["CE-Subject"] = []string{`"or\"d%5f1"`}
	delete(h, "ce-subject")
	got, err := event.FromMessage(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != `or"d_1` {
		t.Errorf("subject %q", got.Subject)
	}
}

func TestFromMessageRefuses(t *testing.T) {
	for _, tc := range []struct{ header, value, want string }{
		{"ce-specversion", "", "ce-specversion is missing"},
		{"ce-specversion", "0.3", `"0.3"`},
		{"ce-id", "", "ce-id is missing"},
		{"ce-type", "", "ce-type is missing"},
		{"ce-source", "/elsewhere/order", "/elsewhere/order"},
		{"ce-subject", "", "ce-subject is missing"},
		{"ce-subject", "%C0%A0", "UTF-8"},
		{"ce-subject", "a%2", "percent"},
		{"ce-subject", "a%zz", "percent"},
		{"ce-time", "yesterday", "ce-time"},
		{"ce-datacontenttype", "application/json", "application/json"},
		{"Nats-Msg-Id", "evt_1#x", "re-send"},
	} {
		t.Run(tc.header+"="+tc.value, func(t *testing.T) {
			h := sample.Header()
			h[tc.header] = []string{tc.value}
			e, err := event.FromMessage(h, []byte("left"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if string(e.Data) != "left" || e.Key != sample.Key {
				t.Errorf("what could be read is gone: %+v", e)
			}
		})
	}
}

func TestMessageIDTellsResendsApart(t *testing.T) {
	e := event.Event{ID: "evt_1"}
	if got := e.Header()["Nats-Msg-Id"][0]; got != "evt_1" {
		t.Errorf("first sending %q", got)
	}
	e.Resend = 3
	if got := e.Header()["Nats-Msg-Id"][0]; got != "evt_1#3" {
		t.Errorf("third re-send %q", got)
	}
}

func TestSubject(t *testing.T) {
	for _, tc := range []struct{ typ, subject, want string }{
		{"payment.succeeded", "ord_1", "evt.payment.succeeded.ord_1"},
		{"license_pool.low", "pool-1", "evt.license_pool.low.pool-1"},
		{"ref.merchant", "mer_1", "ref.merchant.mer_1"},
		{"ref", "x", ""}, {"ref.a.b", "x", ""}, {"ref.", "x", ""},
		{"", "x", ""}, {"paid", "x", ""}, {"payment..x", "x", ""}, {"payment.*", "x", ""}, {"Payment.x", "x", ""},
		{"payment.succeeded", "", ""}, {"payment.succeeded", "a.b", ""}, {"payment.succeeded", "a b", ""},
		{"payment.succeeded", "*", ""}, {"payment.succeeded", ">", ""}, {"payment.succeeded", "a\r\n", ""},
		{"payment.succeeded", "é", ""}, {"payment.succeeded", strings.Repeat("x", 201), ""},
	} {
		got, err := event.Subject(event.Event{Type: tc.typ, Subject: tc.subject})
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("Subject(%q, %q) = %q, %v; want %q", tc.typ, tc.subject, got, err, tc.want)
		}
	}
}

func FuzzFromMessage(f *testing.F) {
	f.Add("evt_1", "payment.succeeded", "ord_1", "2026-02-03T04:05:06Z", "evt_1#1")
	f.Add("%", `"`, "%e2%82%ac", "x", "#")
	f.Fuzz(func(t *testing.T, id, typ, subject, at, messageID string) {
		h := sample.Header()
		for name, v := range map[string]string{
			"ce-id": id, "ce-type": typ, "ce-subject": subject, "ce-time": at, "Nats-Msg-Id": messageID,
		} {
			h[name] = []string{v}
		}
		e, err := event.FromMessage(h, nil)
		if err != nil {
			return
		}
		again, err := event.FromMessage(e.Header(), nil)
		if err != nil {
			t.Fatalf("what was read once is refused: %v", err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Error(diff)
		}
	})
}
