// Package webhooks owns a merchant's webhook receiver for tests and demos.
//
// It takes signed requests on one path per receiver, checks them with the secrets that the receiver was given, keeps
// what came in a ledger, and gives lists of it. It answers 204 once the webhook is on the disk, 400 for a bad signature,
// or whatever it was told to answer next.
package webhooks

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"quittance/pkg/webhook"
	"quittance/services/sandbox/internal/ledger"
)

// Prefix of the receivers' paths.
const Prefix = "/webhooks"

const (
	maxBody = 1 << 20
	// maxKept bounds what is kept of a refused body, which anybody can send.
	maxKept = 4 << 10
)

// Config of the receivers.
type Config struct {
	// Dir holds the ledger.
	Dir string
	Now func() time.Time
}

// Delivery is one request that came.
type Delivery struct {
	Receiver string    `json:"receiver"`
	At       time.Time `json:"at"`
	// ID and Timestamp are the headers webhook-id and webhook-timestamp.
	ID        string `json:"id"`
	Timestamp string `json:"timestamp"`
	// Accepted: the signature was right. Refusal says why not.
	Accepted bool   `json:"accepted"`
	Refusal  string `json:"refusal,omitempty"`
	// Answered is the HTTP status that the sender got.
	Answered int `json:"answered"`
	// Repeat counts earlier accepted deliveries with the same id.
	Repeat int `json:"repeat"`
	// Body is the text as it came; Type its "type" field if it is JSON that has one.
	Body string `json:"body"`
	Type string `json:"type,omitempty"`
}

// Receiver is one of the receivers, as it is registered.
type Receiver struct {
	Name string `json:"name"`
	// Secrets that are accepted ("whsec_…"), more than one while a secret is rotated.
	Secrets []string `json:"secrets"`
}

// Answers tells a receiver what to answer next.
type Answers struct {
	// Status for the next Times requests with a good signature.
	Status int `json:"status"`
	Times  int `json:"times"`
}

// record is a line of the ledger.
type record struct {
	Receiver *Receiver `json:"receiver,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
}

// Receivers are all receivers of the sandbox.
type Receivers struct {
	config Config
	ledger *ledger.Ledger[record]

	mu         sync.Mutex
	receivers  map[string]Receiver
	deliveries []Delivery        // oldest first
	accepted   map[[2]string]int // how often, by receiver and id
	answers    map[string]Answers
}

// New opens the ledger.
func New(config Config) (*Receivers, error) {
	r := &Receivers{config: config, receivers: map[string]Receiver{}, accepted: map[[2]string]int{}, answers: map[string]Answers{}}
	var err error
	r.ledger, err = ledger.Open(filepath.Join(config.Dir, "webhooks.jsonl"), func(rec record) error {
		r.apply(rec)
		return nil
	})
	return r, err
}

func (r *Receivers) apply(rec record) {
	if rec.Receiver != nil {
		r.receivers[rec.Receiver.Name] = *rec.Receiver
	}
	if rec.Delivery != nil {
		r.deliveries = append(r.deliveries, *rec.Delivery)
		if rec.Delivery.Accepted {
			r.accepted[[2]string{rec.Delivery.Receiver, rec.Delivery.ID}]++
		}
	}
}

// write makes a record durable, then valid. The caller holds mu.
func (r *Receivers) write(rec record) error {
	if err := r.ledger.Append(rec); err != nil {
		return err
	}
	r.apply(rec)
	return nil
}

// Close closes the ledger.
func (r *Receivers) Close() error { return r.ledger.Close() }

// receive takes a webhook.
func (r *Receivers) receive(w http.ResponseWriter, req *http.Request) {
	receiver, ok := r.receiver(req.PathValue("name"))
	if !ok {
		http.Error(w, "no such receiver", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "body is unreadable", status)
		return
	}
	delivery, err := r.note(receiver, req.Header, body)
	if err != nil {
		http.Error(w, "not kept", http.StatusServiceUnavailable)
		return
	}
	if delivery.Answered == http.StatusBadRequest && !delivery.Accepted {
		http.Error(w, delivery.Refusal, http.StatusBadRequest)
		return
	}
	w.WriteHeader(delivery.Answered)
}

// note checks a webhook, decides on its answer and keeps both.
func (r *Receivers) note(receiver Receiver, header http.Header, body []byte) (Delivery, error) {
	delivery := Delivery{
		Receiver: receiver.Name, At: r.config.Now(), ID: header.Get(webhook.HeaderID),
		Timestamp: header.Get(webhook.HeaderTimestamp), Answered: http.StatusNoContent, Body: string(body), Type: typeOf(body),
	}
	verdict := webhook.Verify(receiver.Secrets, header, body, delivery.At)

	r.mu.Lock()
	defer r.mu.Unlock()
	if verdict != nil {
		delivery.Refusal, delivery.Answered = verdict.Error(), http.StatusBadRequest
		delivery.Body = clip(delivery.Body)
		return delivery, r.write(record{Delivery: &delivery})
	}
	delivery.Accepted, delivery.Repeat = true, r.accepted[[2]string{delivery.Receiver, delivery.ID}]
	answers := r.answers[receiver.Name]
	if answers.Times > 0 {
		delivery.Answered = answers.Status
		answers.Times--
		r.answers[receiver.Name] = answers
	}
	return delivery, r.write(record{Delivery: &delivery})
}

func (r *Receivers) receiver(name string) (Receiver, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	receiver, ok := r.receivers[name]
	return receiver, ok
}

// list gives a receiver's deliveries, oldest first; at most the last most of them if most isn't 0.
func (r *Receivers) list(name string, most int) []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	deliveries := []Delivery{}
	for _, delivery := range slices.Backward(r.deliveries) {
		if most > 0 && len(deliveries) == most {
			break
		}
		if delivery.Receiver == name {
			deliveries = append(deliveries, delivery)
		}
	}
	slices.Reverse(deliveries)
	return deliveries
}

func typeOf(body []byte) string {
	var event struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(body, &event) != nil {
		return ""
	}
	return event.Type
}

// clip cuts a text to what is kept of refused ones, and drops what is no UTF-8.
func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxKept)], "")
}
