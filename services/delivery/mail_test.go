package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"quittance/pkg/mail"
)

// relay is a mail server. It keeps what it accepted and misbehaves as its mood
// says.
type relay struct {
	mu       sync.Mutex
	mood     mood
	trouble  int // how many mails the mood lasts, -1: all
	tries    int
	accepted []mail.Message
}

// mood answers one mail; taken: the server has it all the same.
type mood func(ctx context.Context, m mail.Message) (taken bool, err error)

func (r *relay) set(m mood, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood, r.trouble = m, times
}

func (r *relay) mails() []mail.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]mail.Message(nil), r.accepted...)
}

func (r *relay) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// Send implements mail.Sender.
func (r *relay) Send(ctx context.Context, m mail.Message) error {
	r.mu.Lock()
	r.tries++
	bad := r.mood != nil && r.trouble != 0
	if bad && r.trouble > 0 {
		r.trouble--
	}
	mood := r.mood
	r.mu.Unlock()
	taken, err := true, error(nil)
	if bad {
		taken, err = mood(ctx, m)
	}
	if taken {
		r.mu.Lock()
		r.accepted = append(r.accepted, m)
		r.mu.Unlock()
	}
	return err
}

// away: nobody listens.
func away(context.Context, mail.Message) (bool, error) {
	return false, &mail.SendError{Step: "connect", Err: errors.New("connection refused")}
}

// forgetful: it takes the mail and loses the answer.
func forgetful(context.Context, mail.Message) (bool, error) {
	return true, &mail.SendError{Step: "message", Err: errors.New("connection reset")}
}

// silent: it takes the connection and says nothing.
func silent(ctx context.Context, _ mail.Message) (bool, error) {
	<-ctx.Done()
	return false, &mail.SendError{Step: "open session", Err: ctx.Err()}
}

// choosy: it knows nobody of that name.
func choosy(context.Context, mail.Message) (bool, error) {
	return false, &mail.SendError{Step: "RCPT TO", Code: 550, Permanent: true, Err: errors.New("550 no such user")}
}

// tattling: it refuses the mail and repeats it.
func tattling(_ context.Context, m mail.Message) (bool, error) {
	return false, &mail.SendError{Step: "message", Code: 554, Permanent: true, Err: fmt.Errorf("554 spam: %s", m.Text)}
}
