package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/importer"
)

// importUsage is what `delivery import` says of itself.
const importUsage = `delivery import -key-file FILE -product ID [flags] KEYS
brings licence keys from a file into a product's pool. What is refused is reported
line by line on standard error. A run that was cut off goes on with the same
-progress file; repeating one is harmless.`

// importFlags are the arguments of an import.
type importFlags struct {
	addr, keyFile, column, expires, path string
	secure                               bool
	job                                  importer.Job
}

func parseImport(args []string, stderr io.Writer) (*importFlags, error) {
	var f importFlags
	set := flag.NewFlagSet("delivery import", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintln(stderr, importUsage)
		set.PrintDefaults()
	}
	set.StringVar(&f.addr, "addr", "127.0.0.1:9090", "address of the delivery service's gRPC API")
	set.BoolVar(&f.secure, "tls", false, "connect with TLS")
	set.StringVar(&f.keyFile, "key-file", "", "file with the merchant's API key")
	set.StringVar(&f.job.Product, "product", "", "product whose pool gets the keys")
	set.StringVar((*string)(&f.job.Layout.Format), "format", string(importer.Lines), "lines: a key each; csv: see -column; blocks: keys of several lines, see -separator")
	set.StringVar(&f.column, "column", "1", "column of a CSV file, by number from 1 or by the name in its first record")
	set.StringVar(&f.job.Layout.Separator, "separator", "---", "line between the keys of blocks")
	set.StringVar(&f.expires, "expires", "", "day (2006-01-02) or time (RFC 3339) from which the keys are not handed out any more")
	set.StringVar(&f.job.Progress, "progress", "", "file that keeps how far the import has come, to go on after a run that was cut off")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() != 1 || f.job.Product == "" || f.keyFile == "" {
		set.Usage()
		return nil, errors.New("a -key-file, a -product and one file are needed")
	}
	f.path = set.Arg(0)
	var err error
	if f.job.Layout.Column, err = strconv.Atoi(f.column); err != nil {
		f.job.Layout.Header = f.column
	}
	f.job.Expires, err = parseTime(f.expires)
	return &f, err
}

// Import is the program's subcommand that brings keys from a file into a pool, as
// a merchant, over the public API.
func Import(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseImport(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		return fmt.Errorf("API key: %w", err)
	}
	options := rpc.DialOptions{APIKey: seal.Secret(strings.TrimSpace(string(key))), Timeout: time.Minute}
	if f.secure {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	conn, err := rpc.Dial(f.addr, options)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer func() { _ = file.Close() }()
	f.job.Pool, f.job.Report = deliveryv1.NewDeliveryServiceClient(conn), stderr
	res, err := f.job.Run(ctx, file)
	fmt.Fprintf(stdout, "%d keys: %d imported, %d duplicates, %d refused\n", res.Entries, res.Imported, res.Duplicates, res.Invalid)
	if err == nil && res.Invalid > 0 {
		return fmt.Errorf("%d keys were refused", res.Invalid)
	}
	return err
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("-expires: %q is neither a day nor a time", s)
	}
	return t, nil
}
