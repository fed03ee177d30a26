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
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...) //nolint:noctx // it is killed, not canceled
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
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
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // it tells that the program was killed
}

// terminate asks the program to end and waits until it has, in good order.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
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

func newProcess(t testing.TB, pkg, readyAt string, env []string, args ...string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, path: binary(t, pkg), args: args, env: env, readyAt: readyAt, log: log}
	t.Cleanup(func() {
		if p.cmd != nil && p.cmd.ProcessState == nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", pkg, p.tail())
		}
		_ = log.Close()
	})
	p.start()
	return p
}
