package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"
)

// Options of a Group. The zero value is usable.
type Options struct {
	// Logger reports failures; nil: slog's default.
	Logger *slog.Logger
	// Readiness is told when stopping begins; may be nil.
	Readiness *Readiness
	// Deadline bounds stopping as a whole; 0: 20 s. Keep it below the grace
	// that the container runtime gives.
	Deadline time.Duration
	// UnreadyPause is how long requests are still taken after /readyz has said
	// no, for load balancers to notice.
	UnreadyPause time.Duration
}

// ComponentLabel is the label of profiles that has a component's name.
const ComponentLabel = "component"

// Group runs components together; they live and end as one. A Group is itself
// a component: Add(name, inner.Run).
type Group struct {
	options    Options
	components []*component
}

// NewGroup returns an empty group.
func NewGroup(options Options) *Group {
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Deadline == 0 {
		options.Deadline = 20 * time.Second
	}
	return &Group{options: options}
}

// Add appends a component. Its run blocks until ctx is canceled, then ends what
// it does in good order and returns nil or ctx's error. Returning earlier is a
// failure, with or without an error.
func (g *Group) Add(name string, run func(ctx context.Context) error) {
	g.components = append(g.components, &component{name: name, run: run})
}

// OnStop appends a component that has nothing to run but something to end: its
// stop is called when everything added after it has ended. The context ends
// at the group's deadline.
func (g *Group) OnStop(name string, stop func(ctx context.Context) error) {
	g.components = append(g.components, &component{name: name, stop: stop})
}

// Failed is the error of a component. It was logged when it happened.
type Failed struct {
	Component string
	Err       error
}

// Error names the component and its error.
func (f *Failed) Error() string { return f.Component + ": " + f.Err.Error() }

// Unwrap returns the component's error.
func (f *Failed) Unwrap() error { return f.Err }

// Run starts all components and blocks until ctx is canceled or a component
// fails, then stops them. It returns nil if all ended as they should, and
// otherwise a *Failed per component, joined. Call it once.
func (g *Group) Run(ctx context.Context) error {
	failed := make(chan *component, len(g.components))
	for _, c := range g.components {
		c.start(context.WithoutCancel(ctx), failed)
	}
	var errs []error
	select {
	case <-ctx.Done():
	case first := <-failed:
		g.report(ctx, first)
		errs = append(errs, first.failure)
	}
	return errors.Join(append(errs, g.stop(context.WithoutCancel(ctx))...)...)
}

// stop returns the failures that were not reported before.
func (g *Group) stop(ctx context.Context) []error {
	begun := time.Now()
	if g.options.Readiness != nil {
		g.options.Readiness.Stop()
	}
	ctx, cancel := context.WithTimeout(ctx, g.options.Deadline+g.options.UnreadyPause)
	defer cancel()
	if g.options.UnreadyPause > 0 && !g.anyFailed() {
		timer := time.NewTimer(g.options.UnreadyPause)
		<-timer.C
	}

	var late []string
	var errs []error
	for i := len(g.components) - 1; i >= 0; i-- {
		c := g.components[i]
		if !c.end(ctx) {
			late = append(late, c.name)
			continue
		}
		if c.failure != nil && !c.reported {
			g.report(ctx, c)
			errs = append(errs, c.failure)
		}
	}
	if len(late) > 0 {
		err := &Failed{Component: strings.Join(late, ", "), Err: fmt.Errorf("not stopped after %s", g.options.Deadline)}
		g.options.Logger.ErrorContext(ctx, "component failed", "component", err.Component, "error", err.Err)
		errs = append(errs, err)
	}
	g.options.Logger.DebugContext(ctx, "stopped", "duration", time.Since(begun))
	return errs
}

func (g *Group) anyFailed() bool {
	for _, c := range g.components {
		if c.over() && c.failure != nil {
			return true
		}
	}
	return false
}

// report logs a failure once; an inner group has already logged its own.
func (g *Group) report(ctx context.Context, c *component) {
	c.reported = true
	var inner *Failed
	if errors.As(c.failure.Err, &inner) {
		return
	}
	g.options.Logger.ErrorContext(ctx, "component failed", "component", c.name, "error", c.failure.Err)
}

type component struct {
	name string
	run  func(context.Context) error
	stop func(context.Context) error

	cancel context.CancelFunc
	done   chan struct{}
	// failure is set before done is closed.
	failure  *Failed
	reported bool
}

func (c *component) start(ctx context.Context, failed chan<- *component) {
	c.done = make(chan struct{})
	if c.run == nil {
		return
	}
	ctx, c.cancel = context.WithCancel(ctx)
	go func() {
		var err error
		// A profile says what a component costs, with all that it starts.
		pprof.Do(ctx, pprof.Labels(ComponentLabel, c.name), func(ctx context.Context) { err = guard(ctx, c.run) })
		switch {
		case err == nil && ctx.Err() == nil:
			err = errors.New("ended by itself")
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			err = nil
		}
		if err != nil {
			c.failure = &Failed{c.name, err}
		}
		close(c.done)
		if err != nil {
			failed <- c
		}
	}()
}

// end stops the component and says whether it ended before ctx did.
func (c *component) end(ctx context.Context) bool {
	switch {
	case c.run != nil:
		c.cancel()
	case ctx.Err() != nil:
		return false
	default:
		go func() {
			defer close(c.done)
			if err := guard(ctx, c.stop); err != nil {
				c.failure = &Failed{c.name, err}
			}
		}()
	}
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return c.over()
	}
}

func (c *component) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// guard turns a panic into an error, so that the others still end in order.
func guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}
