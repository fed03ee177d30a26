package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"quittance/pkg/docstore/memory"
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

// node is a service with its store over all its lives.
type node struct {
	w      *world
	name   string
	build  builder
	engine *memory.Engine
	bell   bell
	places []*place
	// steps counts what the service's processes did to the world.
	steps atomic.Int64
	// turns is how often notification has read the orders' history since
	// something in it may have changed.
	turns atomic.Int64
	// failed is how many turns have failed since the last good one.
	failed atomic.Int64
}

// place is where one of the service's processes runs.
type place struct {
	node    *node
	name    string
	lives   []*life
	current atomic.Pointer[life]
	// wakeAt is when the driver starts the process again, zero while it runs.
	wakeAt time.Time
}

// life is one process of a service.
type life struct {
	place  *place
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

func newNode(w *world, name string, build builder, replicas int) *node {
	n := &node{w: w, name: name, build: build}
	n.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
		rerun := op == memory.OpUpdate && !w.calm.Load() && chance(w.ask("rerun "+name+collection), 0.03)
		if rerun {
			w.count("store: an update's change runs again")
		}
		return memory.Fault{Rerun: rerun}
	}))
	for i := range replicas {
		p := &place{node: n, name: name}
		if i > 0 {
			p.name = fmt.Sprint(name, "#", i+1)
		}
		n.places = append(n.places, p)
	}
	return n
}

// process is one of the service's running processes, nil if there is none.
func (n *node) process() *life {
	var alive []*life
	for _, p := range n.places {
		if l := p.current.Load(); l != nil {
			alive = append(alive, l)
		}
	}
	switch len(alive) {
	case 0:
		return nil
	case 1:
		return alive[0]
	default:
		return alive[n.w.ask("route to "+n.name).IntN(len(alive))]
	}
}

// start begins a new life. A start that fails, because the store does, is tried
// again a second later.
func (p *place) start() {
	n := p.node
	l := &life{place: p, node: n, ended: make(chan struct{}), mux: http.NewServeMux(), desk: newDesk()}
	l.engine = &tap{inner: n.engine.Connect(), life: l, stores: map[string]*store{}}
	ctx, cancel := context.WithCancel(n.w.ctx)
	l.cancel = cancel
	n.turns.Store(0)
	svc, err := n.build(ctx, l, service.Deps{
		Engine: l.engine, Bus: &line{life: l}, Log: n.w.log, Now: time.Now, Keyring: n.w.keyring,
		Tracer: tracenoop.NewTracerProvider(), Meter: noop.NewMeterProvider(),
	})
	if err != nil {
		n.w.detail("%s does not start: %v", p.name, err)
		cancel()
		p.wakeAt = time.Now().Add(time.Second)
		return
	}
	svc.Register(l.desk, l.desk)
	if r, ok := svc.(interface{ Routes(*http.ServeMux) }); ok {
		r.Routes(l.mux)
	}
	p.wakeAt = time.Time{}
	p.lives = append(p.lives, l)
	p.current.Store(l)
	n.w.count("process starts")
	go func() {
		defer close(l.ended)
		if err := svc.Run(ctx); err != nil && !l.dead.Load() {
			n.w.fail("P4: %s ended by itself: %v", p.name, err)
		}
	}()
}

// kill ends the life at once: nothing of it reaches the world any more. What it
// still does in its memory is nobody's business.
func (p *place) kill(down time.Duration) {
	l := p.current.Load()
	if l == nil {
		return
	}
	l.dead.Store(true)
	p.current.Store(nil)
	_ = l.engine.inner.Close() // nothing to go wrong in memory
	l.cancel()
	p.wakeAt = time.Now().Add(down)
}

// stop ends the life as an operator does: what is under way may finish.
func (p *place) stop(down time.Duration) {
	l := p.current.Load()
	if l == nil {
		return
	}
	l.cancel()
	<-l.ended
	p.kill(down)
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
	n.w.note("%s crashes at step %d (%s), done: %v, down for %v", l.place.name, step, what, c.After, c.Down)
	n.w.crashed <- l
	if c.After {
		n.w.count("crash of " + n.name + " after a step")
		return dieAfter
	}
	n.w.count("crash of " + n.name + " before a step")
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
