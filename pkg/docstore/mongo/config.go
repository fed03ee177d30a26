package mongo

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"quittance/pkg/seal"
)

// Config says which database to use and how. Read and write concerns are not
// configurable: the promises of the store depend on them.
type Config struct {
	// URI may carry credentials, TLS and replica set options. What is set here
	// counts more than what the URI says.
	URI seal.Secret `env:"URI" doc:"connection string of the MongoDB deployment, mongodb:// or mongodb+srv://"`
	// Database is the service's own.
	Database string `env:"DATABASE" doc:"name of the database; each service has its own"`
	// AppName is how the server's logs call this program.
	AppName string `env:"APP_NAME" doc:"name of this program in the server's logs"`
	// Timeout bounds an operation, all its tries together, whose caller set no
	// deadline; 0 means 10 seconds.
	Timeout time.Duration `env:"TIMEOUT" envDefault:"10s" doc:"longest time of one operation with its retries"`
	// ConnectTimeout bounds making a connection; 0 means 5 seconds.
	ConnectTimeout time.Duration `env:"CONNECT_TIMEOUT" envDefault:"5s" doc:"longest time to make a connection"`
	// SelectTimeout bounds the search for a primary; 0 means 5 seconds.
	SelectTimeout time.Duration `env:"SELECT_TIMEOUT" envDefault:"5s" doc:"longest wait for a primary"`
	// IndexTimeout bounds the building of missing indexes when a collection is
	// opened; 0 means 10 minutes.
	IndexTimeout time.Duration `env:"INDEX_TIMEOUT" envDefault:"10m" doc:"longest time to build the indexes of a collection"`
	// MaxPoolSize is the largest number of connections per server; 0 means 50.
	MaxPoolSize uint64 `env:"MAX_POOL_SIZE" envDefault:"50" doc:"most connections per server"`
	// MinPoolSize is the number of connections per server kept open.
	MinPoolSize uint64 `env:"MIN_POOL_SIZE" envDefault:"0" doc:"connections per server that are kept open"`
	// MaxIdle closes connections that were idle for that long; 0 means never.
	MaxIdle time.Duration `env:"MAX_IDLE" envDefault:"10m" doc:"idle time after which a connection is closed"`

	// Tracer and Meter: none.
	Tracer trace.TracerProvider `env:"-"`
	Meter  metric.MeterProvider `env:"-"`
}

func (c Config) withDefaults() Config {
	for at, value := range map[*time.Duration]time.Duration{
		&c.Timeout: 10 * time.Second, &c.ConnectTimeout: 5 * time.Second,
		&c.SelectTimeout: 5 * time.Second, &c.IndexTimeout: 10 * time.Minute,
	} {
		if *at <= 0 {
			*at = value
		}
	}
	if c.MaxPoolSize == 0 {
		c.MaxPoolSize = 50
	}
	if c.Tracer == nil {
		c.Tracer = nooptrace.NewTracerProvider()
	}
	if c.Meter == nil {
		c.Meter = noopmetric.NewMeterProvider()
	}
	return c
}

// durable is the write concern: acknowledged means that most members of the
// replica set have it on disk, so that no failover takes it back.
func durable() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}
}

// client translates the configuration for the driver.
func (c Config) client() (*options.ClientOptions, error) {
	switch {
	case c.URI == "":
		return nil, errors.New("mongo: no URI")
	case c.Database == "":
		return nil, errors.New("mongo: no database")
	}
	watch, err := newMonitor(c)
	if err != nil {
		return nil, fmt.Errorf("mongo: metrics: %w", err)
	}
	o := options.Client().ApplyURI(c.URI.Reveal()).
		SetTimeout(c.Timeout).
		SetConnectTimeout(c.ConnectTimeout).
		SetServerSelectionTimeout(c.SelectTimeout).
		SetMaxPoolSize(c.MaxPoolSize).
		SetMinPoolSize(min(c.MinPoolSize, c.MaxPoolSize)).
		SetMaxConnIdleTime(c.MaxIdle).
		SetRetryReads(true).
		SetRetryWrites(true).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetWriteConcern(durable()).
		SetMonitor(watch.commands())
	if c.AppName != "" {
		o.SetAppName(c.AppName)
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("mongo: configuration: %w", err)
	}
	return o, nil
}
