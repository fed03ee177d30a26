// Package accountfiles reads provider accounts from a directory, for those who keep
// credentials in files that something else brings and replaces (secrets of
// Kubernetes, a vault's agent).
//
// Each *.yaml file is one account, with the fields of PutProviderAccount:
//
//	id: acme-cards
//	merchant_id: acme
//	provider: flexpay
//	display_name: Credit card
//	settings: {shop_id: "68849", merchant_id: "9804000000000000"}
//	secret_files: {signature_key: /run/secrets/acme-signature-key}
//	overlap: 24h
//
// secrets has values in the place of secret_files, whose paths are relative to the
// directory. What is in a file counts from its next reading on, and is stored, checked
// and sealed as if the API had said it; an account without a file stays as it is.
package accountfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const (
	// every is how often the directory is read.
	every = 5 * time.Second
	// maxFile bounds a file, in bytes.
	maxFile = 64 << 10
)

// file is an account as it is written down.
type file struct {
	ID          string            `yaml:"id"`
	MerchantID  string            `yaml:"merchant_id"`
	Provider    string            `yaml:"provider"`
	DisplayName string            `yaml:"display_name"`
	Disabled    bool              `yaml:"disabled"`
	Settings    map[string]string `yaml:"settings"`
	Secrets     map[string]string `yaml:"secrets"`
	SecretFiles map[string]string `yaml:"secret_files"`
	Overlap     string            `yaml:"overlap"`
}

var secretName = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)

// Put stores an account; it is PutProviderAccount.
type Put func(context.Context, *orderv1.PutProviderAccountRequest) (*orderv1.ProviderAccount, error)

// Files is the directory.
type Files struct {
	dir string
	put Put
	log *slog.Logger
	// said is what was last said of each file, so that it is said once.
	said map[string]string
}

// New returns the files of a directory. It errs if the directory or a file in it
// can't be read: a program must not start with less than it was given.
func New(dir string, put Put, log *slog.Logger) (*Files, error) {
	f := &Files{dir: dir, put: put, log: log, said: map[string]string{}}
	paths, err := f.paths()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, path := range paths {
		if _, err := f.read(path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return f, errors.Join(errs...)
}

// Run stores what is in the directory, now and whenever it changes, until ctx is
// done. What can't be stored (its merchant may not be there yet) is tried again.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f.store(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// store stores each file's account. A file that is the account already writes
// nothing.
func (f *Files) store(ctx context.Context) {
	paths, err := f.paths()
	if f.say(ctx, f.dir, err); err != nil {
		return
	}
	for _, path := range paths {
		req, err := f.read(path)
		if err == nil {
			if _, err = f.put(ctx, req); err != nil {
				err = errors.New(fault.Public(err))
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.say(ctx, path, err)
	}
}

// say logs what became of a file, if that is news.
func (f *Files) say(ctx context.Context, path string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if was, any := f.said[path]; any && was == text || !any && text == "" && path == f.dir {
		return
	}
	f.said[path] = text
	if err != nil {
		f.log.ErrorContext(ctx, "account file is not in use", "file", path, "error", text)
		return
	}
	f.log.InfoContext(ctx, "account file is in use", "file", path)
}

func (f *Files) paths() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("directory of accounts: %w", err)
	}
	var out []string
	for _, e := range entries {
		// A Kubernetes volume has links that begin with two dots beside its files.
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(f.dir, e.Name()))
		}
	}
	return out, nil
}

// read gives an account file as the request that stores it. Its errors quote nothing of a
// secret.
func (f *Files) read(path string) (*orderv1.PutProviderAccountRequest, error) {
	raw, err := content(path)
	if err != nil {
		return nil, err
	}
	var a file
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.DisallowUnknownField()).Decode(&a); err != nil {
		return nil, errors.New(problem(err))
	}
	overlap := time.Duration(0)
	if a.Overlap != "" {
		if overlap, err = time.ParseDuration(a.Overlap); err != nil {
			return nil, errors.New("overlap: is no duration such as 24h")
		}
	}
	secrets := map[string]string{}
	for name, value := range a.Secrets {
		secrets[name] = value
	}
	for name, from := range a.SecretFiles {
		if _, both := secrets[name]; both {
			return nil, fmt.Errorf("secret_files.%s: is in secrets, too", name)
		}
		if !filepath.IsAbs(from) {
			from = filepath.Join(f.dir, from)
		}
		value, err := content(from)
		if err != nil {
			return nil, fmt.Errorf("secret_files.%s: %w", name, err)
		}
		secrets[name] = strings.TrimRight(string(value), "\r\n")
	}
	for name, value := range secrets {
		if !secretName.MatchString(name) { // a slip of the pen may have put a secret there
			return nil, errors.New("secrets: a name is none")
		}
		if value == "" {
			return nil, fmt.Errorf("secrets.%s: is empty", name)
		}
	}
	return &orderv1.PutProviderAccountRequest{
		Account: &orderv1.ProviderAccount{
			Id: a.ID, MerchantId: a.MerchantID, Provider: a.Provider, DisplayName: a.DisplayName,
			Disabled: a.Disabled, Settings: a.Settings,
		},
		Secrets: secrets, Overlap: durationpb.New(overlap),
	}, nil
}

// problem is the message of an error of YAML, with its place and without the lines
// around it, which may show secrets.
func problem(err error) string {
	var at yaml.Error
	if !errors.As(err, &at) {
		return "is no account: " + strings.SplitN(err.Error(), "\n", 2)[0]
	}
	if token := at.GetToken(); token != nil {
		return fmt.Sprintf("line %d: %s", token.Position.Line, at.GetMessage())
	}
	return at.GetMessage()
}

func content(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	raw, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("is longer than %d bytes", maxFile)
	}
	return raw, nil
}
