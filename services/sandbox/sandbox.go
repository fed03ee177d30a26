package sandbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"quittance/pkg/app"
	"quittance/pkg/web"
	"quittance/services/sandbox/internal/flexpay"
	"quittance/services/sandbox/internal/kontocloud"
	"quittance/services/sandbox/internal/mailsink"
	"quittance/services/sandbox/internal/page"
	"quittance/services/sandbox/internal/resurs"
	"quittance/services/sandbox/internal/shop"
	"quittance/services/sandbox/internal/vendor"
	"quittance/services/sandbox/internal/webhooks"
)

//go:embed index.html
var files embed.FS

var indexPage = page.Parse(files, "index.html")

// Limits of the HTTP server. An answer may take as long as the longest fault.
const (
	writeTimeout = 11 * time.Minute
	stopTimeout  = 5 * time.Second
)

// Sandbox is the program. Its listeners are open from New on; they are served by Run.
type Sandbox struct {
	config  Config
	flexpay *flexpay.Simulator
	wallet  *kontocloud.Simulator
	resurs  *resurs.Simulator
	shop    *shop.Shop
	hooks   *webhooks.Receivers
	mails   *mailsink.Sink

	http, smtp net.Listener
	server     *web.Server
	readiness  *app.Readiness
	closers    []closer
}

type closer struct {
	name  string
	close func() error
}

// New opens the ledgers and the listeners.
func New(config Config) (*Sandbox, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Sandbox{config: config.withDefaults()}
	if err := s.open(); err != nil {
		for _, c := range s.closers {
			err = errors.Join(err, c.close())
		}
		return nil, err
	}
	return s, nil
}

func (s *Sandbox) open() error {
	c := s.config
	var err error
	if s.http, err = net.Listen("tcp", c.Addr); err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	s.closers = append(s.closers, closer{"http listener", s.http.Close})
	if s.smtp, err = net.Listen("tcp", c.SMTPAddr); err != nil {
		return fmt.Errorf("listen for SMTP: %w", err)
	}
	s.closers = append(s.closers, closer{"smtp listener", s.smtp.Close})
	if s.config.PublicURL == "" {
		s.config.PublicURL = "http://" + s.http.Addr().String()
	}

	var shops []flexpay.Shop
	if c.ShopID != "" {
		shops = append(shops, flexpay.Shop{ID: c.ShopID, SignatureKey: c.SignatureKey.Reveal(), PostbackURL: c.PostbackURL})
	}
	if s.flexpay, err = flexpay.New(flexpay.Config{
		Dir: c.DataDir, Shops: shops, Tries: c.PostbackTries, Pause: c.PostbackPause, Timeout: c.PostbackTimeout,
		Now: time.Now, Log: c.Logger,
	}); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"flexpay ledger", s.flexpay.Close})
	if s.wallet, err = kontocloud.New(s.office(kontocloud.Name)); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"kontocloud ledger", s.wallet.Close})
	if s.resurs, err = resurs.New(s.office(resurs.Name), s.URL); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"resurs ledger", s.resurs.Close})
	if s.shop, err = shop.New(shop.Config{
		Dir: c.DataDir, Target: c.OrderTarget, Dialer: c.Dialer, APIKey: c.APIKey, PublicURL: s.config.PublicURL, Currency: c.Currency,
	}); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"shop ledger", s.shop.Close})
	if s.hooks, err = webhooks.New(webhooks.Config{Dir: c.DataDir, Now: time.Now}); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"webhook ledger", s.hooks.Close})
	if s.mails, err = mailsink.New(mailsink.Config{Dir: c.DataDir, Now: time.Now, Log: c.Logger}); err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"mail ledger", s.mails.Close})
	s.readiness = app.NewReadiness(c.Logger)
	s.server, err = web.NewServer(web.Options{
		Handler: s.routes(), Stylesheet: page.StylePath, Logger: c.Logger, Tracer: c.Tracer, Meter: c.Meter,
		WriteTimeout: writeTimeout, StopTimeout: stopTimeout,
	})
	return err
}

// office is what a simulated vendor needs to know.
func (s *Sandbox) office(name string) vendor.Config {
	c := s.config
	return vendor.Config{
		Path: filepath.Join(c.DataDir, name+".jsonl"), Tries: c.PostbackTries, Pause: c.PostbackPause, Timeout: c.PostbackTimeout,
		Now: time.Now, Log: c.Logger,
	}
}

func (s *Sandbox) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET "+page.StylePath, page.Style)
	s.flexpay.Routes(mux)
	s.wallet.Routes(mux)
	s.resurs.Routes(mux)
	s.shop.Routes(mux)
	s.hooks.Routes(mux)
	s.mails.Routes(mux)
	web.Health(mux, s.readiness, s.config.Metrics)
	return mux
}

type indexView struct {
	URL, SMTPAddr, OrderTarget string
}

func (s *Sandbox) index(w http.ResponseWriter, _ *http.Request) {
	page.Write(w, http.StatusOK, indexPage, indexView{s.URL(), s.SMTPAddr(), s.config.OrderTarget})
}

// URL is where browsers reach the sandbox, without a slash at the end. URL + "/flexpay" is a FlexPay account's base_url.
func (s *Sandbox) URL() string { return s.config.PublicURL }

// SMTPAddr is the host and port of the mail sink.
func (s *Sandbox) SMTPAddr() string { return s.smtp.Addr().String() }

// Run serves until ctx is done, then ends what is under way and closes the ledgers. Call it once.
func (s *Sandbox) Run(ctx context.Context) error {
	group := app.NewGroup(app.Options{Logger: s.config.Logger, Readiness: s.readiness})
	for _, c := range s.closers[2:] { // the servers close the listeners
		group.OnStop(c.name, func(context.Context) error { return c.close() })
	}
	group.Add("postbacks", s.flexpay.Run)
	group.Add("kontocloud", s.wallet.Run)
	group.Add("resurs", s.resurs.Run)
	group.Add("smtp", func(ctx context.Context) error { return s.mails.Serve(ctx, s.smtp) })
	group.Add("http", func(ctx context.Context) error { return s.server.Serve(ctx, s.http) })
	return group.Run(ctx)
}
