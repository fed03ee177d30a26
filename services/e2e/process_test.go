package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"quittance/pkg/testkit"
)

// binaries builds the named programs once per test run.
var binaries = struct {
	sync.Mutex
	dir  string
	made map[string]string
}{made: map[string]string{}}

func binary(t testing.TB, pkg string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path, ok := binaries.made[pkg]; ok {
		return path
	}
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "quittance-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir = dir
	}
	path := filepath.Join(binaries.dir, strings.ReplaceAll(pkg, "/", "_"))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	binaries.made[pkg] = path
	return path
}

func TestMain(m *testing.M) {
	runService(os.Getenv(testProgram))
	code := m.Run()
	chromium.stop()
	if binaries.dir != "" {
		_ = os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// lastPort is the latest that freeAddr has given away. It begins anywhere below
// the ports that systems hand out by themselves, so that no connection of
// somebody else takes a port between a look and its use.
var lastPort atomic.Int64

// freeAddr returns a loopback address that nobody listens on, another one each
// time.
func freeAddr(t testing.TB) string {
	t.Helper()
	const first, ports = 12_000, 18_000
	lastPort.CompareAndSwap(0, rand.Int64N(ports)+1)
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", first+lastPort.Add(1)%ports)
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// process is a program that tests kill and start again, with the same settings.
type process struct {
	t       testing.TB
	path    string
	args    []string
	env     []string
	readyAt string
	log     *os.File
	cmd     *exec.Cmd
	// over is closed when the program has ended, with outcome.
	over    chan struct{}
	outcome error
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...) //nolint:noctx // it is killed, not canceled
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.over = make(chan struct{})
	go func() {
		p.outcome = p.cmd.Wait()
		close(p.over)
	}()
}

// ended reports whether the program has ended, by itself or not.
func (p *process) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// ready waits until the program says that it is.
func (p *process) ready() {
	p.t.Helper()
	testkit.Eventually(p.t, patience, func() error {
		resp, err := http.Get(p.readyAt)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			body, err := io.ReadAll(resp.Body)
			return errors.Join(fmt.Errorf("not ready: %s", body), err)
		}
		return nil
	})
}

// kill ends the program as a power cut does.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	<-p.over
}

// terminate asks the program to end and waits until it has, in good order.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-p.over
	return p.outcome
}

// tail returns the end of the program's log.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(raw), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// newProcess starts the program of a package.
func newProcess(t testing.TB, pkg, readyAt string, env []string, args ...string) *process {
	t.Helper()
	return newProgram(t, binary(t, pkg), pkg, readyAt, env, args...)
}

func newProgram(t testing.TB, path, name, readyAt string, env []string, args ...string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, path: path, args: args, env: env, readyAt: readyAt, log: log}
	t.Cleanup(func() {
		if p.over != nil && !p.ended() {
			p.kill()
		}
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, p.tail())
		}
		_ = log.Close()
	})
	p.start()
	return p
}
