package callbackingest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// answer publishes what verification says about callbacks.
func (w *world) answer(typ string, fact proto.Message) {
	w.t.Helper()
	e, err := event.New(typ, "verification", attempt, "ord_1", merchant, time.Now(), fact)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func TestP5UnansweredCallbackIsSentAgain(t *testing.T) {
	for name, fact := range map[string]func(callbackID string) (string, proto.Message){
		"payment.verified": func(callbackID string) (string, proto.Message) {
			return event.PaymentVerified, &eventv1.PaymentVerified{AttemptId: attempt, CallbackIds: []string{callbackID}}
		},
		"callback.acknowledged": func(callbackID string) (string, proto.Message) {
			return event.CallbackAcknowledged, &eventv1.CallbackAcknowledged{AttemptId: attempt, CallbackIds: []string{"cbk_lost", callbackID}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.stop()
				w.wants(w.call(postback("1")), http.StatusOK, "OK")
				start := time.Now()
				sent := func(after time.Duration, want int) {
					t.Helper()
					time.Sleep(time.Until(start.Add(after)))
					if n := len(w.bus.published(event.CallbackReceived)); n != want {
						t.Errorf("after %s sent %d times, want %d", after, n, want)
					}
				}
				sent(50*time.Second, 1)
				sent(70*time.Second, 2)
				sent(5*time.Minute, 2)
				sent(7*time.Minute, 3)
				events := w.bus.published(event.CallbackReceived)
				if events[0].ID != events[2].ID || events[2].Resend != 2 {
					t.Errorf("sent again as %s #%d, first as %s", events[2].ID, events[2].Resend, events[0].ID)
				}
				w.answer(fact(events[0].Subject))
				sent(2*time.Hour, 3)
			})
		})
	}
}

func TestAnswersAreForAcceptedCallbacksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.call(forged("1"))
		refused := w.callbacks(merchant)[0].GetId()
		w.answer(event.CallbackAcknowledged, &eventv1.CallbackAcknowledged{CallbackIds: []string{refused}})
		time.Sleep(time.Hour)
		if n := len(w.bus.published(event.CallbackReceived)); n != 0 {
			t.Errorf("a refused callback was sent %d times", n)
		}
		if seen := w.callbacks(merchant); seen[0].GetAccepted() {
			t.Errorf("the merchant sees %v", seen)
		}
	})
}
