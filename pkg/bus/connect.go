package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/backoff"
	"quittance/pkg/seal"
)

// Config of a connection to NATS.
type Config struct {
	// URL lists the servers, separated by commas: "nats://a:4222,nats://b:4222".
	URL string
	// InProcess is an embedded server to use instead of URL.
	InProcess nats.InProcessConnProvider
	// Name tells this client from others in the server's monitoring.
	Name string
	// Credentials is the path of a file with a user's JWT and key (".creds").
	Credentials string
	// User and Password are used if there are no Credentials.
	User     string
	Password seal.Secret
	// RootCA is the path of a PEM file with the authorities to trust for TLS
	// instead of the system's.
	RootCA string
	// Replicas of the streams: 1. More needs a cluster.
	Replicas int
	// AckWait is how long the server waits for a sign of life from whoever
	// holds an event: 30 s. A living holder gives three within that time.
	AckWait time.Duration
	Options
}

func (c Config) where() string {
	if c.InProcess != nil {
		return "in this process"
	}
	return "at " + c.URL
}

// Pauses and limits of the connection.
const (
	dialTimeout   = 2 * time.Second
	reconnectWait = 500 * time.Millisecond
	// A silent server is given up after pingInterval * (1 + pingsOut).
	pingInterval = 10 * time.Second
	pingsOut     = 2
	drainTimeout = 5 * time.Second
	// apiTimeout bounds a request to JetStream whose context has no deadline.
	apiTimeout = 5 * time.Second
)

// Pauses between attempts to reach the server or to set up what is needed there:
// 100 ms, 250 ms, 500 ms, 1 s, then 2 s for ever.
var reaching = backoff.Schedule{
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
}

// Bus is a connection to NATS JetStream. All methods are safe for concurrent
// use.
type Bus struct {
	cfg    Config
	nc     *nats.Conn
	js     jetstream.JetStream
	sent   sent
	closed chan struct{}
	// life is the context of Connect without its end.
	life context.Context

	mu sync.Mutex
	// line ends when the present connection does; there is none while done.
	line     context.Context
	hangUp   context.CancelFunc
	reached  chan struct{} // closed when there is a line
	ensured  bool
	troubles map[string]error
}

var _ PublishConsumer = (*Bus)(nil)

// Connect returns as soon as a server has accepted the connection; until then
// it tries again and again. With the end of ctx it returns why it could not.
// Lost connections are made again for ever.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	cfg.Options = cfg.Options.WithDefaults()
	if cfg.Replicas <= 0 {
		cfg.Replicas = 1
	}
	if cfg.AckWait <= 0 {
		cfg.AckWait = 30 * time.Second
	}
	b := &Bus{
		cfg: cfg, closed: make(chan struct{}), life: context.WithoutCancel(ctx),
		reached: make(chan struct{}), troubles: map[string]error{},
	}
	var err error
	if b.sent, err = newSent(cfg.Meter); err != nil {
		return nil, err
	}
	if b.nc, err = b.dial(ctx); err != nil {
		return nil, err
	}
	b.js, err = jetstream.New(b.nc,
		jetstream.WithDefaultTimeout(apiTimeout),
		jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncMaxPending(maxPending))
	if err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return b, nil
}

func (b *Bus) dial(ctx context.Context) (*nats.Conn, error) {
	options := b.options()
	for attempt := 1; ; attempt++ {
		nc, err := nats.Connect(b.cfg.URL, options...)
		if err == nil {
			return nc, nil
		}
		pause := reaching.After(attempt)
		b.cfg.Log.WarnContext(ctx, "waiting for NATS", "server", b.cfg.where(), "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS %s: %w: %w", b.cfg.where(), context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

func (b *Bus) options() []nats.Option {
	log := b.cfg.Log
	options := []nats.Option{
		nats.Name(b.cfg.Name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.IgnoreAuthErrorAbort(), // credentials may be put right on either side
		// Nothing is kept for the next connection: the outbox sends events again,
		// and an acknowledgement must not reach a server that took the place of
		// the one it was meant for.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.DrainTimeout(drainTimeout),
		// These are called one after the other, in the order of what happened.
		nats.ConnectHandler(func(*nats.Conn) { b.up() }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			b.down()
			if !nc.IsClosed() {
				log.Warn("connection to NATS lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.up()
			log.Info("connection to NATS restored", "server", nc.ConnectedServerName())
		}),
		nats.ClosedHandler(func(*nats.Conn) {
			b.down()
			close(b.closed)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS client", "error", err)
		}),
	}
	if b.cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(b.cfg.InProcess))
	}
	if b.cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(b.cfg.Credentials))
	} else if b.cfg.User != "" {
		options = append(options, nats.UserInfo(b.cfg.User, b.cfg.Password.Reveal()))
	}
	if b.cfg.RootCA != "" {
		options = append(options, nats.RootCAs(b.cfg.RootCA))
	}
	return options
}

// up notes that there is a connection.
func (b *Bus) up() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line != nil {
		return
	}
	b.line, b.hangUp = context.WithCancel(b.life)
	close(b.reached)
}

// down notes that there is none.
func (b *Bus) down() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return
	}
	b.hangUp()
	b.line, b.reached = nil, make(chan struct{})
}

var errClosed = errors.New("the bus is closed")

// whileConnected waits for a connection and returns a context that ends with
// it, or with ctx. Its error is that of ctx, or says that the bus was closed.
func (b *Bus) whileConnected(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		b.mu.Lock()
		line, reached := b.line, b.reached
		b.mu.Unlock()
		if line != nil && !b.nc.IsClosed() {
			ctx, cancel := context.WithCancel(ctx)
			stop := context.AfterFunc(line, cancel)
			return ctx, func() { stop(); cancel() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-b.closed:
			return nil, nil, errClosed
		case <-reached:
		}
	}
}

// Ready returns nil if events flow, or what they wait for.
func (b *Bus) Ready() error {
	if status := b.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("NATS %s: %s", b.cfg.where(), strings.ToLower(status.String()))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ensured {
		return errors.New("streams and consumers are not set up yet")
	}
	for what, err := range b.troubles {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// trouble notes why something does not work, or with nil that it does.
func (b *Bus) trouble(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		delete(b.troubles, what)
	} else {
		b.troubles[what] = err
	}
}

// Close sends what is under way and closes the connection. Whoever consumes
// should have ended before.
func (b *Bus) Close() error {
	err := b.nc.Drain()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionReconnecting) {
		err = nil // there is nobody to send to
	}
	<-b.closed
	if err != nil {
		return fmt.Errorf("drain the connection to NATS: %w", err)
	}
	return nil
}
