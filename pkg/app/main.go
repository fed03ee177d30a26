package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of Main.
const (
	ExitOK     = 0
	ExitFailed = 1
	// ExitUsage is for settings and arguments that can't be used, see
	// config.Error.
	ExitUsage = 2
)

// Main is the whole of a program's func main: it runs run until that returns
// and ends the process. SIGINT and SIGTERM cancel the context; a second signal
// kills at once. The error decides the exit code (an ExitCode() int method, or
// 1) and is printed unless a Group has logged it.
func Main(run func(ctx context.Context) error) {
	root := context.Background() //nolint:forbidigo // the root of all contexts
	ctx, stop := signal.NotifyContext(root, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(exitCode(ctx, run(ctx), os.Stderr))
}

func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	var failed *Failed
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return ExitOK
	case ctx.Err() != nil && err == ctx.Err(): //nolint:errorlint // a wrapped one is somebody's failure
		return ExitOK
	case !errors.As(err, &failed):
		fmt.Fprintln(stderr, err)
	}
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return ExitFailed
}
