package vendor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/money"
)

// Vendor is what tells one vendor from another.
type Vendor interface {
	// Name is the vendor's, as in its paths.
	Name() string
	// Act changes a payment as somebody acts on it and gives what the shop is to be told, an event each. It errs with
	// ErrUnchanged if the action comes too late. amount is that of refunds.
	Act(p *Payment, action Action, amount money.Amount) (events []string, err error)
	// Callback makes the request that tells the shop; a forged one is what somebody else would send.
	Callback(ctx context.Context, p Payment, event string, forged bool) (*http.Request, error)
	// Acknowledges says whether an answer to a callback is one.
	Acknowledges(status int, body string) bool
	// Leave sends the customer's browser back to the shop.
	Leave(w http.ResponseWriter, r *http.Request, p Payment, action Action)
}

// Config of an office.
type Config struct {
	// Path is the book's file.
	Path string
	// Tries, Pause and Timeout: how often a callback is tried, how long after the first failure it is tried again (twice as long
	// after each further one), and how long an answer is waited for.
	Tries   int
	Pause   time.Duration
	Timeout time.Duration
	Now     func() time.Time
	Log     *slog.Logger
}

// Office runs a vendor: its book, its pages for customers, its callbacks and its control API.
type Office struct {
	Book   *Book
	config Config
	vendor Vendor
	sender *Sender
}

// Open opens the book of a vendor.
func Open(config Config, v Vendor) (*Office, error) {
	book, err := OpenBook(config.Path)
	if err != nil {
		return nil, err
	}
	return &Office{Book: book, config: config, vendor: v, sender: NewSender(config.Timeout, config.Now)}, nil
}

// Close closes the book.
func (o *Office) Close() error { return o.Book.Close() }

// Now is the time by the vendor's clock.
func (o *Office) Now() time.Time { return o.config.Now() }

// Act has somebody act on a payment and tells the shop: at once, if the payment's faults don't say otherwise. Errors are those
// of Vendor.Act.
func (o *Office) Act(ctx context.Context, token string, action Action, amount money.Amount) (Payment, error) {
	var events []string
	p, err := o.Book.Update(token, func(p *Payment) (err error) {
		faults := o.Book.Faults.Of(p.Reference)
		if action == Pay && faults.Freeze != "" {
			action = Freeze
		}
		if events, err = o.vendor.Act(p, action, amount); err != nil {
			return err
		}
		first := len(p.Events) == 0
		p.Events = append(p.Events, events...)
		if action == Freeze {
			verdict := map[string]Action{FreezeAccept: Accept, FreezeReject: Reject}[faults.Freeze]
			if verdict != "" {
				p.later(Task{At: o.Now().Add(time.Duration(faults.FreezeMillis) * time.Millisecond), Action: verdict})
			}
		}
		if (action == Pay || action == Accept) && faults.RefundMillis > 0 {
			p.later(Task{At: o.Now().Add(time.Duration(faults.RefundMillis) * time.Millisecond), Action: Refund})
		}
		pause := faults.Delay()
		if faults.Reorder {
			pause += time.Duration(faults.FreezeMillis+faults.RefundMillis)*time.Millisecond + time.Second
		}
		if first && pause > 0 {
			for _, event := range events {
				p.later(Task{At: o.Now().Add(pause), Event: event})
			}
			events = nil
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	for _, event := range events {
		o.tell(context.WithoutCancel(ctx), p, Task{Event: event})
	}
	return p, nil
}

// later adds a task.
func (p *Payment) later(t Task) {
	t.ID = id.New("tsk")
	p.Tasks = append(p.Tasks, t)
}

// tell makes one try of a callback; an unanswered one is left for later.
func (o *Office) tell(ctx context.Context, p Payment, t Task) {
	faults := o.Book.Faults.Of(p.Reference)
	var attempts []Attempt
	if faults.Forged > 0 && len(p.Callbacks) == 0 {
		attempts = o.send(ctx, p, t.Event, faults.Forged, true)
	}
	if faults.DropPostback {
		attempts = append(attempts, o.sender.Lost(t.Event)...)
	} else {
		attempts = append(attempts, o.send(ctx, p, t.Event, max(1, faults.Copies), false)...)
	}
	if ctx.Err() != nil {
		return // a try that the sandbox's own end has cut short doesn't count
	}
	answered := slices.ContainsFunc(attempts, func(a Attempt) bool { return a.OK && !a.Forged })
	_, err := o.Book.Update(p.Token, func(p *Payment) error {
		p.Callbacks = append(p.Callbacks, attempts...)
		if !answered && t.Tries+1 < o.config.Tries {
			p.later(Task{At: o.Now().Add(o.config.Pause << t.Tries), Event: t.Event, Tries: t.Tries + 1})
		}
		return nil
	})
	if err != nil {
		o.config.Log.ErrorContext(ctx, "callback not noted", "vendor", o.vendor.Name(), "payment", p.ID, "error", err)
	}
}

func (o *Office) send(ctx context.Context, p Payment, event string, copies int, forged bool) []Attempt {
	return o.sender.Send(ctx, Callback{
		Event: event, Forged: forged, OK: o.vendor.Acknowledges,
		Request: func(ctx context.Context) (*http.Request, error) { return o.vendor.Callback(ctx, p, event, forged) },
	}, copies, o.Book.Faults.Of(p.Reference).LoseAnswer)
}

// Run does the tasks that are due, first those that a kill has interrupted, until ctx is done and those under way have ended.
func (o *Office) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.Book.wake:
		case <-timer.C:
		}
		due, next := o.Book.take(o.Now())
		for _, j := range due {
			wg.Go(func() { o.do(ctx, j) })
		}
		if !next.IsZero() {
			timer.Reset(max(time.Millisecond, next.Sub(o.Now())))
		}
	}
}

func (o *Office) do(ctx context.Context, j job) {
	p, _ := o.Book.Payment(j.token)
	if j.task.Event != "" {
		o.tell(ctx, p, j.task)
	} else if _, err := o.Act(ctx, j.token, j.task.Action, money.Amount{}); err != nil && !errors.Is(err, ErrUnchanged) {
		o.config.Log.ErrorContext(ctx, "task failed", "vendor", o.vendor.Name(), "payment", p.ID, "action", j.task.Action, "error", err)
	}
	if ctx.Err() != nil {
		return // it is done again after the next start
	}
	if err := o.Book.done(j.token, j.task.ID); err != nil {
		o.config.Log.ErrorContext(ctx, "task not noted", "vendor", o.vendor.Name(), "payment", p.ID, "error", err)
	}
}

// Tell tells the shop of something that has happened to a payment through the vendor's API.
func (o *Office) Tell(ctx context.Context, p Payment, event string) {
	o.tell(context.WithoutCancel(ctx), p, Task{Event: event})
}
