package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"quittance/pkg/config"
)

func TestExitCode(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		ctx     context.Context
		err     error
		code    int
		printed bool
	}{
		{t.Context(), nil, 0, false},
		{done, context.Canceled, 0, false},
		{t.Context(), errors.New("no"), 1, true},
		{done, fmt.Errorf("flush: %w", context.Canceled), 1, true},
		{t.Context(), &Failed{"relay", errors.New("no")}, 1, false},
		{t.Context(), fmt.Errorf("start: %w", &config.Error{}), 2, true},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if code := exitCode(tt.ctx, tt.err, &out); code != tt.code || (out.Len() > 0) != tt.printed {
			t.Errorf("%v: code %d, printed %q", tt.err, code, out.String())
		}
	}
}

// TestSignals runs this test binary as a program.
func TestSignals(t *testing.T) {
	const mode = "APP_TEST_SIGNALS"
	switch os.Getenv(mode) {
	case "obedient":
		Main(func(ctx context.Context) error {
			fmt.Println("up")
			<-ctx.Done()
			return nil
		})
	case "deaf":
		Main(func(context.Context) error {
			fmt.Println("up")
			<-time.NewTimer(time.Minute).C
			return nil
		})
	}
	for name, want := range map[string]string{"obedient": "exit status 0", "deaf": "signal: terminated"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSignals$")
			cmd.Env = append(os.Environ(), mode+"="+name)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			again := time.NewTicker(20 * time.Millisecond)
			defer again.Stop()
			_ = cmd.Process.Signal(syscall.SIGTERM)
			for running := true; running; {
				select {
				case <-ended:
					running = false
				case <-again.C:
					if name == "deaf" {
						_ = cmd.Process.Signal(syscall.SIGTERM)
					}
				}
			}
			if got := cmd.ProcessState.String(); got != want {
				t.Errorf("ended with %s, want %s", got, want)
			}
		})
	}
}
