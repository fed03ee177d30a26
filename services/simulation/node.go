package simulation

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"quittance/pkg/bus"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/service"
)

// errDied answers whoever belongs to a killed process.
var errDied = errors.New("the process is dead")

// errFault is an injected fault.
var errFault = errors.New("injected fault")

// running is a service as the simulation sees it.
type running interface {
	Run(ctx context.Context) error
	Register(public, internal grpc.ServiceRegistrar)
}

// builder makes a service for a process.
type builder func(ctx context.Context, l *life, d service.Deps) (running, error)

func newNode(w *world, name string, build builder) *node {
	n := &node{w: w, name: name, build: build}
	n.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
		return memory.Fault{Rerun: op == memory.OpUpdate && !w.calm.Load() && chance(w.ask("rerun "+name+collection), 0.03)}
	}))
	return n
}

// node is a service with its store over all its lives.
type node struct {
	w      *world
	name   string
	build  builder
	engine *memory.Engine
	lives  []*life
	// steps counts what the service's processes did to the world.
	steps atomic.Int64

	current atomic.Pointer[life]
	// wakeAt is when the driver starts the service again, zero while it runs.
	wakeAt time.Time
}

// life is one process of a service.
type life struct {
	node   *node
	dead   atomic.Bool
	cancel context.CancelFunc
	ended  chan struct{}
	engine *tap
	mux    *http.ServeMux
	desk   *desk
	// crash is how it ended, if it crashed.
	crash Crash
}

// start begins a new life. A start that fails, because the store does, is tried
// again a second later.
func (n *node) start() {
	l := &life{node: n, ended: make(chan struct{}), mux: http.NewServeMux(), desk: newDesk()}
	l.engine = &tap{inner: n.engine, life: l, stores: map[string]*store{}}
	ctx, cancel := context.WithCancel(n.w.ctx)
	l.cancel = cancel
	svc, err := n.build(ctx, l, service.Deps{
		Engine: l.engine, Bus: &line{life: l}, Log: n.w.log, Now: time.Now, Keyring: n.w.keyring,
		Tracer: tracenoop.NewTracerProvider(), Meter: noop.NewMeterProvider(),
	})
	if err != nil {
		n.w.detail("%s does not start: %v", n.name, err)
		cancel()
		n.wakeAt = time.Now().Add(time.Second)
		return
	}
	svc.Register(l.desk, l.desk)
	if r, ok := svc.(interface{ Routes(*http.ServeMux) }); ok {
		r.Routes(l.mux)
	}
	n.wakeAt = time.Time{}
	n.lives = append(n.lives, l)
	n.current.Store(l)
	go func() {
		defer close(l.ended)
		if err := svc.Run(ctx); err != nil && !l.dead.Load() {
			n.w.note("%s ended: %v", n.name, err)
			n.w.fail("P4: %s ended by itself: %v", n.name, err)
		}
	}()
}

// kill ends the life at once: nothing of it reaches the world any more. What it
// still does in its memory is nobody's business.
func (n *node) kill(down time.Duration) {
	l := n.current.Load()
	if l == nil {
		return
	}
	l.dead.Store(true)
	n.current.Store(nil)
	n.engine = n.engine.Restart()
	l.cancel()
	n.wakeAt = time.Now().Add(down)
}

// stop ends the life as an operator does: what is under way may finish.
func (n *node) stop() {
	l := n.current.Load()
	if l == nil {
		return
	}
	l.cancel()
	<-l.ended
	n.kill(0)
}

// outcome of a step.
type outcome int

const (
	goOn outcome = iota
	dieBefore
	dieAfter
)

// step counts a deed that reaches beyond the process's memory, and says whether
// the process dies of it.
func (l *life) step(what string) outcome {
	if l.dead.Load() {
		return dieBefore
	}
	n := l.node
	if n.w.calm.Load() {
		return goOn
	}
	step := int(n.steps.Add(1))
	i := slices.IndexFunc(n.w.plan.Crashes, func(c Crash) bool { return c.Service == n.name && c.Step == step })
	if i < 0 {
		return goOn
	}
	c := n.w.plan.Crashes[i]
	if !l.dead.CompareAndSwap(false, true) {
		return dieBefore
	}
	l.crash = c
	n.w.note("%s crashes at step %d (%s), done: %v, down for %v", n.name, step, what, c.After, c.Down)
	n.w.crashed <- l
	if c.After {
		return dieAfter
	}
	return dieBefore
}

// deed is a step: do it, unless the process died before, and hear of it, unless
// it died meanwhile.
func (l *life) deed(what string, do func() error) error {
	switch l.step(what) {
	case dieBefore:
		return errDied
	case dieAfter:
		if err := do(); err != nil {
			return err
		}
		return errDied
	case goOn:
	}
	err := do()
	if l.dead.Load() {
		return errDied
	}
	return err
}

// line is a process's connection to the bus.
type line struct{ life *life }

var _ service.Bus = (*line)(nil)

// Publish implements service.Bus.
func (b *line) Publish(ctx context.Context, events []event.Event) (n int, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	w, name := b.life.node.w, b.life.node.name
	r := w.ask("publish " + name)
	err = b.life.deed("publish", func() error {
		if chance(r, w.storm(WindPublish, name)) {
			n, err = w.send(ctx, events[:r.IntN(len(events)+1)])
			return errors.Join(errFault, err)
		}
		n, err = w.send(ctx, events)
		return err
	})
	if err != nil && errors.Is(err, errDied) {
		n = 0
	}
	return n, err
}

// send puts events on the bus; a sabotaged system forgets to send again.
func (w *world) send(ctx context.Context, events []event.Event) (int, error) {
	kept := events
	if w.sabotage == ForgetResend {
		kept = slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return e.Resend > 0 })
	}
	n, err := w.bus.Publish(ctx, kept)
	if err == nil {
		n = len(events)
	}
	return min(n, len(events)), err
}

// Consume implements service.Bus.
func (b *line) Consume(ctx context.Context, service string, handlers map[string]bus.Handler, parker bus.Parker) error {
	return b.life.node.w.bus.Consume(ctx, service, handlers, parker)
}
