package delivery_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

func register(t *testing.T, s *shop, w *deliveryv1.WebService) {
	t.Helper()
	if err := s.web.register(t.Context(), s.replica(0), w); err != nil {
		t.Fatal(err)
	}
}

func cloud(quantity int64) line { return line{product: "cloud", quantity: quantity, service: true} }

// S21: answers are temporary or fatal by status and pattern; who must act is
// named; a temporary failure of less than a minute is nobody's business.
func TestS21Answers(t *testing.T) {
	for name, tt := range map[string]struct {
		mood   serviceMood
		failed bool
		words  string
	}{
		"503":                {says(503, "busy"), false, "status 503"},
		"429":                {says(429, "slow down"), false, "status 429"},
		"no connection":      {unreachable, false, "connection reset"},
		"no answer":          {hanging, false, "no answer within 10s"},
		"403":                {says(403, "no"), true, "the merchant must look after it"},
		"302":                {says(302, "elsewhere"), true, "status 302"},
		"temporary status":   {says(409, "wait"), false, "status 409"},
		"fatal status":       {says(507, "full"), true, "status 507"},
		"temporary pattern":  {says(400, "please RETRY later"), false, "status 400"},
		"fatal pattern":      {says(500, "account closed"), true, "status 500"},
		"no JSON":            {says(200, "<html>"), false, "of no use"},
		"too few":            {says(200, `{"licenses":["A"]}`), false, "1 licences, 2 were asked for"},
		"too many":           {says(200, `{"licenses":["A","B","C"]}`), false, "3 licences"},
		"the same twice":     {says(200, `{"licenses":["A","A"]}`), false, "licences 1 and 2 are the same"},
		"blank":              {says(200, `{"licenses":["A"," "]}`), false, "licence 2 must have"},
		"too large":          {says(200, `{"licenses":["A","`+strings.Repeat("x", 1<<20)+`"]}`), false, "more than 1048576 bytes"},
		"what another has":   {says(200, `{"licenses":["TAKEN","B"]}`), true, "given before"},
		"what was withdrawn": {says(200, `{"licenses":["A","GONE"]}`), true, "given before"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				register(t, s, &deliveryv1.WebService{
					ProductId: "cloud", TemporaryStatuses: []int32{409}, FatalStatuses: []int32{507},
					TemporaryPatterns: []string{"(?i)retry"}, FatalPatterns: []string{"account (closed|locked)"},
				})
				fill(t, s, "cloud", "TAKEN", "GONE")
				pay(t, s, paid("ord_0", line{product: "cloud", quantity: 2}))
				wait(time.Second)
				s.web.set(tt.mood, -1)
				pay(t, s, paid("ord_1", cloud(2)))
				wait(45 * time.Second)
				if got := s.published("ord_1"); !tt.failed && len(got) != 0 {
					t.Errorf("published %v in the first minute", got)
				}
				wait(10 * time.Minute)
				d := get(t, s, "ord_1")
				if d.GetFailed() != tt.failed || !strings.Contains(d.GetProblem(), tt.words) || !strings.Contains(d.GetProblem(), "web service") {
					t.Errorf("failed %v, problem %q", d.GetFailed(), d.GetProblem())
				}
				if got := s.published("ord_1"); !slices.Contains(got, event.DeliveryDelayed) {
					t.Errorf("published %v", got)
				}
				s.web.set(nil, 0)
				if _, err := s.replica(0).server.RetryDelivery(as(t.Context(), merchant), &deliveryv1.RetryDeliveryRequest{OrderId: "ord_1"}); err != nil {
					t.Fatal(err)
				}
				wait(11 * time.Second)
				if d := get(t, s, "ord_1"); d.GetProblem() != "" || len(d.GetLines()[0].GetLicenseKeys()) != 2 || !d.GetLines()[0].GetDelivered() {
					t.Errorf("delivery %v", d)
				}
				keys := map[string]bool{}
				for _, c := range s.web.called() {
					keys[c.key] = true
				}
				if len(keys) != 1 {
					t.Errorf("%d idempotency keys", len(keys))
				}
			})
		})
	}
}

// S21: a service that is down is asked again for days, in the same words, then
// the delivery has failed; nothing goes on by itself.
func TestS21GivesUpAfterDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		s.web.set(says(500, "down"), -1)
		pay(t, s, paid("ord_1", cloud(1)))
		wait(71 * time.Hour)
		if d := get(t, s, "ord_1"); d.GetFailed() {
			t.Errorf("gave up early: %v", d)
		}
		wait(10 * time.Hour)
		if d := get(t, s, "ord_1"); !d.GetFailed() {
			t.Errorf("did not give up: %v", d)
		}
		calls := s.web.called()
		if n := len(calls); n < 15 || n > 40 {
			t.Errorf("%d calls", n)
		}
		for _, c := range calls[1:] {
			if c != calls[0] {
				t.Error("a repeated call differs")
			}
		}
		wait(48 * time.Hour)
		if n := len(s.web.called()); n != len(calls) {
			t.Errorf("%d calls after it gave up", n-len(calls))
		}
	})
}

// With a pool behind it, a fatal answer falls back at once and a service that is
// down after a while; what a late answer brings is not given to anybody.
func TestS21FallsBackToThePool(t *testing.T) {
	for name, mood := range map[string]serviceMood{"fatal": says(400, "no"), "down": unreachable} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				register(t, s, &deliveryv1.WebService{ProductId: "mixed", FallBackAfter: durationpb.New(5 * time.Minute)})
				fill(t, s, "mixed", "POOL-1", "POOL-2")
				s.web.set(mood, -1)
				pay(t, s, paid("ord_1", line{product: "mixed", quantity: 2, service: true, fallback: true}))
				wait(4 * time.Minute)
				if n := len(s.relay.mails()); (n == 1) != (name == "fatal") {
					t.Errorf("%d mails after 4 minutes", n)
				}
				wait(20 * time.Minute)
				if got := sorted(get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()); !slices.Equal(got, []string{"POOL-1", "POOL-2"}) {
					t.Errorf("keys %v", got)
				}
				if len(s.relay.mails()) != 1 {
					t.Errorf("%d mails", len(s.relay.mails()))
				}
			})
		})
	}
}

// A service that does not answer is not called for every order that waits for it,
// and keeps nobody else waiting.
func TestDeadServiceIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		s.web.set(hanging, -1)
		for i := range 200 {
			pay(t, s, paid(fmt.Sprint("ord_w", i), cloud(1)))
		}
		wait(time.Second)
		fill(t, s, "tool", keys("T", 50)...)
		for i := range 50 {
			pay(t, s, paid(fmt.Sprint("ord_p", i), line{product: "tool", quantity: 1}))
		}
		wait(5 * time.Second)
		if n := len(s.relay.mails()); n != 50 {
			t.Errorf("%d of 50 orders from a pool are delivered beside a dead web service", n)
		}
		wait(time.Hour)
		if n := len(s.web.called()); n > 40 {
			t.Errorf("%d calls in an hour for 200 orders", n)
		}
		s.web.set(nil, 0)
		wait(12 * time.Hour)
		if n := len(s.relay.mails()); n != 250 {
			t.Errorf("%d mails", n)
		}
	})
}

// A large line is asked for in blocks; a rotated secret signs beside the older
// one, which then ends.
func TestBlocksAndSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		out, err := s.replica(0).server.RotateWebServiceSecret(as(t.Context(), merchant), &deliveryv1.RotateWebServiceSecretRequest{
			ProductId: "cloud", Overlap: durationpb.New(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		pay(t, s, paid("ord_1", cloud(250)))
		wait(time.Minute)
		if n := len(get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()); n != 250 || len(s.web.called()) != 3 || len(s.relay.mails()) != 1 {
			t.Errorf("%d keys in %d calls, %d mails", n, len(s.web.called()), len(s.relay.mails()))
		}
		old := s.web.secrets
		wait(2 * time.Hour)
		pay(t, s, paid("ord_2", cloud(1)))
		wait(5 * time.Minute)
		if !get(t, s, "ord_2").GetFailed() {
			t.Error("the old secret still signs after the overlap")
		}
		s.web.secrets = append(old, out.GetSecret())[len(old):]
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"}) // what waits is tried again
		wait(time.Second)
		if d := get(t, s, "ord_2"); !d.GetLines()[0].GetDelivered() {
			t.Errorf("delivery %v", d)
		}
	})
}

// Without a web service the delivery has failed and says what to do; registering
// it delivers.
func TestServiceNotRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		pay(t, s, paid("ord_1", cloud(1)))
		wait(time.Second)
		if d := get(t, s, "ord_1"); !d.GetFailed() || !strings.Contains(d.GetProblem(), "PutWebService") {
			t.Errorf("delivery %v", d)
		}
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		wait(time.Second)
		if len(s.relay.mails()) != 1 {
			t.Errorf("%d mails", len(s.relay.mails()))
		}
	})
}

// P10: what can't be called or read is refused, field by field.
func TestPutWebServiceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		for field, w := range map[string]*deliveryv1.WebService{
			"web_service.url":                   {Url: "https://10.0.0.1/"},
			"web_service.timeout":               {Url: "https://shop.example", Timeout: durationpb.New(time.Minute)},
			"web_service.give_up_after":         {Url: "https://shop.example", GiveUpAfter: durationpb.New(time.Second)},
			"web_service.fatal_statuses[0]":     {Url: "https://shop.example", FatalStatuses: []int32{7}},
			"web_service.fatal_patterns[1]":     {Url: "https://shop.example", FatalPatterns: []string{"a", "("}},
			"web_service.temporary_patterns[0]": {Url: "https://shop.example", TemporaryPatterns: []string{""}},
		} {
			w.ProductId = "cloud"
			_, err := s.replica(0).server.PutWebService(as(t.Context(), merchant), &deliveryv1.PutWebServiceRequest{WebService: w})
			if fields := fault.FieldsOf(err); len(fields) != 1 || fields[0].Path != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		for _, plain := range []string{"http://shop.example/", "https://169.254.169.254/latest", "https://[::1]/", "https://localhost/", "file:///etc/passwd"} {
			_, err := s.replica(0).server.PutWebService(as(t.Context(), merchant), &deliveryv1.PutWebServiceRequest{
				WebService: &deliveryv1.WebService{ProductId: "cloud", Url: plain},
			})
			if fault.KindOf(err) != fault.KindInvalid {
				t.Errorf("%s: %v", plain, err)
			}
		}
		if _, err := s.replica(0).server.GetWebService(as(t.Context(), "rival"), &deliveryv1.GetWebServiceRequest{ProductId: "cloud"}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant: %v", err)
		}
	})
}

// P10: a secret and the keys of an answer are nowhere but where they belong.
func TestServiceKeepsSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		s.web.set(func(*http.Request, string) (*http.Response, error) {
			return respond(200, `{"licenses":["PLANTED-4711","PLANTED-4711"]}`), nil
		}, 2)
		pay(t, s, paid("ord_1", cloud(2)))
		wait(time.Hour)
		if len(s.relay.mails()) != 1 {
			t.Fatalf("%d mails", len(s.relay.mails()))
		}
		places := s.log.String()
		s.mu.Lock()
		for _, e := range s.events {
			places += string(e.Data)
		}
		s.mu.Unlock()
		for _, body := range s.replica(0).engine.bodies {
			places += string(body)
		}
		for _, secret := range append(s.web.secrets, "PLANTED", "WS-0") {
			if strings.Contains(places, secret) {
				t.Error("a secret or a key is in logs, events or documents")
			}
		}
		if !strings.Contains(places, "licence web service") {
			t.Error("no log to look at")
		}
	})
}
