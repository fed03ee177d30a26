package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quittance/services/standalone"
)

// evil is one kind of fault. It does its harm to something that is whole, which
// busy names, and returns what ends it; nil if there is nothing whole.
type evil struct {
	name string
	// often is how often it comes, in proportion to the others.
	often int
	// longest it lasts.
	longest time.Duration
	begin   func(d *demon) (undo func())
}

// evils are all kinds of faults. What the network does to single connections is
// in links, what a provider does to single payments the customers choose.
var evils = []evil{
	{"process killed", 8, 2 * time.Second, (*demon).killProcess},
	{"service killed", 2, 3 * time.Second, (*demon).killService},
	{"process frozen", 6, 5 * time.Second, (*demon).freezeProcess},
	{"bus restarted", 2, time.Second, func(d *demon) func() { return d.stopBus("restarted") }},
	{"bus emptied", 1, time.Second, func(d *demon) func() { return d.stopBus("emptied") }},
	{"bus set back", 1, time.Second, func(d *demon) func() { return d.stopBus("set back") }},
	{"network cut", 6, 4 * time.Second, func(d *demon) func() { return d.link(func(p *faultProxy, on bool) { p.cut = on }) }},
	{"network slow", 4, 5 * time.Second, func(d *demon) func() {
		delay := time.Duration(50+d.dice.IntN(400)) * time.Millisecond
		return d.link(func(p *faultProxy, on bool) {
			if p.delay = 0; on {
				p.delay = delay
			}
		})
	}},
	{"requests doubled", 4, 5 * time.Second, func(d *demon) func() {
		return d.link(func(p *faultProxy, on bool) { p.doubled = on }, "bus", "mail", "route")
	}},
	{"store stalled", 3, 4 * time.Second, (*demon).stallStore},
	{"store errs", 3, 4 * time.Second, (*demon).failStores},
	{"disk full", 3, 3 * time.Second, (*demon).fillDisk},
	{"mails refused", 2, time.Second, (*demon).refuseMails},
	{"webhooks refused", 2, time.Second, (*demon).refuseWebhooks},
}

// losses are the faults that only a cluster has. One node less is nothing, two
// less leave no quorum.
var losses = []evil{
	{"node lost", 4, 5 * time.Second, func(d *demon) func() { return d.loseNodes(1, false) }},
	{"node emptied", 2, 2 * time.Second, func(d *demon) func() { return d.loseNodes(1, true) }},
	{"quorum lost", 3, 5 * time.Second, func(d *demon) func() { return d.loseNodes(2, false) }},
}

// demon injects faults, some at a time.
type demon struct {
	*chaos
	dice *rand.Rand
	busy map[string]bool
	// older is a copy of the bus's directories, once there is one.
	older string
}

// misrule injects faults of the seed for a while, mends everything, and says how
// many of which kind there were.
func (c *chaos) misrule() map[string]int {
	c.t.Helper()
	type due struct {
		at   time.Time
		undo func()
	}
	d := &demon{chaos: c, dice: rand.New(rand.NewPCG(c.seed, 1<<62)), busy: map[string]bool{}, older: filepath.Join(c.t.TempDir(), "older")}
	tally, total := map[string]int{}, 0
	for _, e := range c.evils {
		total += e.often
	}
	var under []due
	mend := func(until time.Time) {
		slices.SortFunc(under, func(a, b due) int { return a.at.Compare(b.at) })
		for len(under) > 0 && !under[0].at.After(until) {
			pause(time.Until(under[0].at))
			under[0].undo()
			under = under[1:]
		}
	}
	for end := time.Now().Add(c.length); time.Now().Before(end); {
		next := time.Now().Add(time.Duration(d.dice.Int64N(int64(2 * c.pace))))
		mend(next)
		pause(time.Until(next))
		tally[revived] += d.revive()
		n := d.dice.IntN(total)
		e := c.evils[slices.IndexFunc(c.evils, func(e evil) bool { n -= e.often; return n < 0 })]
		lasts := time.Duration(d.dice.Int64N(int64(e.longest)))
		if undo := e.begin(d); undo != nil {
			tally[e.name]++
			under = append(under, due{time.Now().Add(lasts), undo})
		}
	}
	mend(time.Now().Add(time.Hour))
	tally[revived] += d.revive()
	c.fleet.busReady()
	c.fleet.ready()
	if tally[revived] == 0 {
		delete(tally, revived)
	}
	return tally
}

// revived is how a program is counted that a fault has ended.
const revived = "ended by itself"

// revive starts programs again that have ended by themselves, as what runs them in a
// deployment does: one whose store errs while it starts ends, and says so.
func (d *demon) revive() (n int) {
	for _, name := range fleetNames {
		for i, p := range d.fleet.services[name] {
			if !d.busy[fmt.Sprint(name, i)] && p.ended() {
				d.t.Logf("%s %d ended by itself: %v", name, i, p.outcome)
				p.start()
				n++
			}
		}
	}
	return n
}

func pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// take reserves something that is whole; false if it isn't.
func (d *demon) take(name string) (free func(), ok bool) {
	if d.busy[name] {
		return nil, false
	}
	d.busy[name] = true
	return func() { delete(d.busy, name) }, true
}

// process picks a replica of a service that is whole.
func (d *demon) process() (p *process, free func()) {
	name, i := d.prey[d.dice.IntN(len(d.prey))], d.dice.IntN(2)
	free, ok := d.take(fmt.Sprint(name, i))
	if !ok {
		return nil, nil
	}
	return d.fleet.services[name][i], free
}

func (d *demon) killProcess() func() {
	p, free := d.process()
	if p == nil {
		return nil
	}
	p.kill()
	return func() { defer free(); p.start() }
}

// killService kills all replicas of a service at once.
func (d *demon) killService() func() {
	name := d.prey[d.dice.IntN(len(d.prey))]
	var took []func()
	free := func() {
		for _, f := range took {
			f()
		}
	}
	for i := range d.fleet.services[name] {
		f, ok := d.take(fmt.Sprint(name, i))
		if !ok {
			free()
			return nil
		}
		took = append(took, f)
	}
	for _, p := range d.fleet.services[name] {
		p.kill()
	}
	return func() {
		defer free()
		for _, p := range d.fleet.services[name] {
			p.start()
		}
	}
}

func (d *demon) signal(p *process, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
}

func (d *demon) freezeProcess() func() {
	p, free := d.process()
	if p == nil {
		return nil
	}
	d.signal(p, syscall.SIGSTOP)
	return func() { defer free(); d.signal(p, syscall.SIGCONT) }
}

// stop ends a node of the bus, by SIGKILL as often as in good order.
func (d *demon) stop(n node) {
	if d.dice.IntN(2) == 0 {
		n.kill()
	} else if err := n.terminate(); err != nil {
		d.t.Log("NATS ended: ", err) // it says so of a signal
	}
}

// stopBus stops all nodes of the bus and does something to their directories
// before they start again.
func (d *demon) stopBus(then string) func() {
	free, ok := d.take("bus")
	_, err := os.Stat(d.older)
	if !ok || then == "set back" && err != nil {
		if ok {
			free()
		}
		return nil
	}
	if then != "restarted" {
		d.emptied = append(d.emptied, time.Now())
	}
	for _, n := range d.fleet.nats {
		d.stop(n)
		older := filepath.Join(d.older, filepath.Base(filepath.Dir(n.dir)))
		if then == "restarted" {
			if err != nil {
				d.must(os.CopyFS(older, os.DirFS(n.dir)))
			}
			continue
		}
		d.must(os.RemoveAll(n.dir))
		if then == "set back" {
			d.must(os.CopyFS(n.dir, os.DirFS(older)))
		}
	}
	return func() {
		defer free()
		for _, n := range d.fleet.nats {
			n.start()
		}
	}
}

// loseNodes stops some nodes of a cluster; one that is emptied comes back with
// nothing.
func (d *demon) loseNodes(count int, empty bool) func() {
	free, ok := d.take("bus")
	if !ok {
		return nil
	}
	var gone []node
	for _, i := range d.dice.Perm(len(d.fleet.nats))[:count] {
		n := d.fleet.nats[i]
		d.stop(n)
		if empty {
			d.must(os.RemoveAll(n.dir))
		}
		gone = append(gone, n)
	}
	return func() {
		defer free()
		for _, n := range gone {
			n.start()
		}
	}
}

func (d *demon) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// link does something to one of the network's links that is whole, not to those
// of the parts left out.
func (d *demon) link(do func(p *faultProxy, on bool), not ...string) func() {
	var parts []string
	for part := range d.links {
		if !slices.Contains(not, part) {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	part := parts[d.dice.IntN(len(parts))]
	i := d.dice.IntN(len(d.links[part]))
	free, ok := d.take(fmt.Sprint("link ", part, i))
	if !ok {
		return nil
	}
	p := d.links[part][i]
	p.set(func() { do(p, true) })
	return func() { defer free(); p.set(func() { do(p, false) }) }
}

func (d *demon) stallStore() func() {
	name := d.prey[d.dice.IntN(len(d.prey))]
	files, err := filepath.Glob(filepath.Join(d.fleet.dirs[name], "*.db"))
	d.must(err)
	free, ok := d.take("store of " + name)
	if !ok || len(files) != 1 {
		return nil
	}
	unlock := lockStore(d.t, files[0])
	return func() { defer free(); unlock() }
}

// failStores has half of what the stores of replicas are asked for fail, before
// or after it is done.
func (d *demon) failStores() func() {
	free, ok := d.take("stores err")
	if !ok {
		return nil
	}
	d.must(os.WriteFile(d.errs, nil, 0o600))
	return func() { defer free(); d.must(os.Remove(d.errs)) }
}

// fillDisk lets a process write no file beyond its first bytes, as a full disk
// does.
func (d *demon) fillDisk() func() {
	p, free := d.process()
	if p == nil {
		return nil
	}
	limit := func(bytes uint64) {
		was, pid := unix.Rlimit{}, p.cmd.Process.Pid
		err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &was)
		if err == nil {
			err = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(bytes, was.Max), Max: was.Max}, nil)
		}
		if err != nil && !p.ended() {
			d.t.Error(err)
		}
	}
	limit(1)
	return func() { defer free(); limit(unix.RLIM_INFINITY) }
}

func (d *demon) refuseMails() func() {
	if err := d.sandbox.RefuseMails(d.t.Context(), 451, 1+d.dice.IntN(5)); err != nil {
		d.t.Error(err)
	}
	return func() {}
}

func (d *demon) refuseWebhooks() func() {
	if err := d.sandbox.AnswerWebhooks(d.t.Context(), standalone.DemoEndpoint, 503, 1+d.dice.IntN(10)); err != nil {
		d.t.Error(err)
	}
	return func() {}
}
