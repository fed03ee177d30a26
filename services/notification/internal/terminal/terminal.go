// Package terminal is the terminal client. It takes arguments and settings and
// uses the public gRPC API alone, with a merchant's key; it gives lines of text.
package terminal

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/grpc"

	"quittance/pkg/config"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const help = `quittance: webhooks and orders at the terminal

  quittance events [-follow] [-since 1h] [-type t] [-order id] [-json]
        what happened, and what happens
  quittance order ID
        an order's story: its state, its events, its webhooks and their tries
  quittance endpoints
        your endpoints and how they do
  quittance deliveries [-endpoint id] [-state exhausted] [-order id] [-since 24h]
        webhooks, newest first
  quittance test -endpoint id [-type t]
        sends an example and tells what came of it
  quittance replay -endpoint id (-order id [-event id] | -event id | -since 24h [-type t] [-failed])
        sends webhooks again
  quittance forward [-secret whsec_…] [-type t] http://127.0.0.1:3000/webhooks
        brings events to a program under development, signed with a secret of their own, as they happen

Settings: QUITTANCE_API_KEY (or QUITTANCE_API_KEY_FILE, such as .data/demo-api-key), QUITTANCE_ADDR (127.0.0.1:9090),
QUITTANCE_NOTIFICATION_ADDR (the same), QUITTANCE_TLS (false).
`

// settings come from the environment.
type settings struct {
	APIKey seal.Secret `env:"API_KEY" doc:"the merchant's key"`
	Addr   string      `env:"ADDR" envDefault:"127.0.0.1:9090" doc:"the order service's public gRPC"`
	// NotificationAddr is the notification service's, where it is a process of
	// its own.
	NotificationAddr string `env:"NOTIFICATION_ADDR" doc:"the notification service's public gRPC"`
	TLS              bool   `env:"TLS" doc:"connect with TLS"`
}

// usage is an error about arguments.
type usage string

// Error says what is wrong.
func (u usage) Error() string { return string(u) + "; `quittance help` lists what can be done" }

// ExitCode tells wrong arguments from failures at work.
func (usage) ExitCode() int { return 2 }

// client has what commands need.
type client struct {
	orders orderv1.OrderServiceClient
	hooks  notificationv1.NotificationServiceClient
	out    io.Writer
}

type command func(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error

var commands = map[string]command{
	"events": events, "order": story, "endpoints": endpoints, "deliveries": deliveries, "test": test,
	"replay": replay, "forward": forward,
}

// Run does what the arguments say.
func Run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, help)
		return err
	}
	do, known := commands[args[0]]
	if !known {
		return usage(fmt.Sprintf("%q is no command", args[0]))
	}
	s, err := config.Load[settings]("QUITTANCE_", nil)
	if err != nil {
		return err
	}
	if s.APIKey == "" {
		return usage("QUITTANCE_API_KEY or QUITTANCE_API_KEY_FILE must be set")
	}
	if s.NotificationAddr == "" {
		s.NotificationAddr = s.Addr
	}
	opt := rpc.DialOptions{APIKey: s.APIKey}
	if s.TLS {
		opt.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	orders, err := rpc.Dial(s.Addr, opt)
	if err != nil {
		return err
	}
	defer func() { _ = orders.Close() }()
	hooks, err := rpc.Dial(s.NotificationAddr, opt)
	if err != nil {
		return err
	}
	defer func() { _ = hooks.Close() }()
	return run(ctx, do, args, orders, hooks, out)
}

func run(ctx context.Context, do command, args []string, orders, hooks grpc.ClientConnInterface, out io.Writer) error {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c := &client{orders: orderv1.NewOrderServiceClient(orders), hooks: notificationv1.NewNotificationServiceClient(hooks), out: out}
	return do(ctx, c, flags, args[1:])
}

// parse reads a command's arguments, of which so many are left.
func parse(flags *flag.FlagSet, args []string, left int) error {
	if err := flags.Parse(args); err != nil {
		return usage(err.Error())
	}
	if flags.NArg() != left {
		return usage(fmt.Sprintf("%s takes %d arguments after its flags, got %q", flags.Name(), left, strings.Join(flags.Args(), " ")))
	}
	return nil
}

func (c *client) line(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format+"\n", args...); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
