package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ChildArg as the first argument makes this program a child in the role that the
// second names.
const ChildArg = "child"

// command is one thing that a child does for its parent.
type command func(ctx context.Context, args json.RawMessage) (any, error)

// with decodes the arguments of a command.
func with[A any](do func(ctx context.Context, args A) (any, error)) command {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return do(ctx, args)
	}
}

// roles are what a child can be. Each gives its commands for the time that
// begins with "start"; stop ends what that has started.
var roles = map[string]func() (commands map[string]command, stop func() error){
	"system": systemRole, "sandbox": sandboxRole, "receiver": receiverRole, "floors": floorsRole,
}

type (
	request struct {
		Do   string          `json:"do"`
		Args json.RawMessage `json:"args"`
	}
	reply struct {
		Error  string          `json:"error,omitempty"`
		Answer json.RawMessage `json:"answer,omitempty"`
	}
)

// Child obeys the requests of in, one after the other, until that ends, and with
// it the parent.
func Child(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	open, ok := roles[role]
	if !ok {
		return fmt.Errorf("no role %q, but %s", role, strings.Join(slices.Sorted(maps.Keys(roles)), ", "))
	}
	commands, stop := open()
	commands["usage"] = func(context.Context, json.RawMessage) (any, error) { return usageNow() }
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var req request
		if err := requests.Decode(&req); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, stop())
		}
		answer, err := obey(ctx, commands, req)
		r := reply{Answer: answer}
		if err != nil {
			r = reply{Error: err.Error()}
		}
		if err := replies.Encode(r); err != nil {
			return errors.Join(err, stop())
		}
	}
}

func obey(ctx context.Context, commands map[string]command, req request) (json.RawMessage, error) {
	do, ok := commands[req.Do]
	if !ok {
		return nil, fmt.Errorf("no command %q", req.Do)
	}
	answer, err := do(ctx, req.Args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.Do, err)
	}
	return json.Marshal(answer)
}

// child is a running one, as its parent sees it.
type child struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu  sync.Mutex // one request at a time
	enc *json.Encoder
	dec *json.Decoder
}

// spawn starts a child and gives it its first command.
func spawn(ctx context.Context, role string, args, answer any) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, ChildArg, role) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	c := &child{role: role, cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	if err := c.ask("start", args, answer); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// ask has the child obey a command and waits for its answer.
func (c *child) ask(do string, args, answer any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	var r reply
	if err := c.enc.Encode(request{do, raw}); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	if err := c.dec.Decode(&r); err != nil {
		return fmt.Errorf("%s, %s: %w", c.role, do, err)
	}
	if r.Error != "" {
		return fmt.Errorf("%s: %s", c.role, r.Error)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(r.Answer, answer)
}

// stop lets the child end in good order.
func (c *child) stop() error {
	_ = c.in.Close() // its end is the child's
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ended: %w", c.role, err)
	}
	return nil
}

// kill ends the child as a power cut does.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", c.role, err)
	}
	_ = c.cmd.Wait() // it tells that it was killed
	return nil
}

// usage is what a process has used so far and holds now.
type usage struct {
	CPU        time.Duration
	RSS        int64
	Goroutines int
}

func (c *child) usage() (u usage, err error) {
	err = c.ask("usage", nil, &u)
	return u, err
}

func usageNow() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	var size, resident int64
	raw, err := os.ReadFile("/proc/self/statm") // proc(5): in pages
	if err != nil {
		return usage{}, err
	}
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		return usage{}, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return usage{
		CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), RSS: resident * int64(os.Getpagesize()), Goroutines: runtime.NumGoroutine(),
	}, nil
}

// serving has a server serve at a loopback address until it is stopped.
func serving(ctx context.Context, serve func(context.Context, net.Listener) error) (addr string, stop func() error, err error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener) }()
	return listener.Addr().String(), func() error {
		cancel()
		return <-ended
	}, nil
}
