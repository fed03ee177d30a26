// Command ferrettest is FerretDB on SQLite files: a server that speaks the
// MongoDB wire protocol where there is no MongoDB, for tests of the engine in
// quittance/pkg/docstore/mongo. It takes a directory and writes the connection
// string on its standard output; it ends with its standard input.
//
// It is a module and a process of its own, so that nobody else carries its
// dependencies. Its updates are not atomic: two connections that compare and
// set one document can both win. Clients must use one connection.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: ferrettest DIRECTORY")
		os.Exit(2)
	}
	if err := serve(context.Background(), os.Args[1], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve runs a server until in ends.
func serve(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.DiscardHandler),
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/",
	})
	if err != nil {
		return fmt.Errorf("start FerretDB: %w", err)
	}
	go func() {
		defer stop()
		_, _ = fmt.Fprintln(out, server.MongoDBURI())
		_, _ = io.Copy(io.Discard, in)
	}()
	return server.Run(ctx)
}
