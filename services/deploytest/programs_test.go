package deploytest

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quittance/pkg/config"
	"quittance/pkg/program"
	"quittance/pkg/seal"
	"quittance/pkg/telemetry"
	callbackingest "quittance/services/callback-ingest"
	"quittance/services/delivery"
	"quittance/services/notification"
	"quittance/services/order"
	paymentredirect "quittance/services/payment-redirect"
	"quittance/services/sandbox"
	"quittance/services/standalone"
)

// root is the repository, seen from this package.
const root = "../.."

var update = flag.Bool("update", false, "write docs/configuration.md")

// settings are what a program reads from its environment.
type settings struct {
	prefix string
	// own is the struct of what is this program's alone, all its struct.
	own, all any
	load     func(environ map[string]string) error
}

func read[T any](prefix string) settings {
	var all T
	return settings{prefix: prefix, own: all, all: all, load: func(environ map[string]string) error {
		_, err := config.Load[T](prefix, environ)
		return err
	}}
}

// service are the settings of one that program.Main runs.
func service[C any]() settings {
	s := read[struct {
		Common program.Config
		Own    C
	}](program.EnvPrefix)
	s.own = *new(C)
	return s
}

// services are run by program.Main, others by themselves.
var (
	services = map[string]settings{
		"order":            service[order.Config](),
		"payment-redirect": service[paymentredirect.Config](),
		"callback-ingest":  service[callbackingest.Config](),
		"verification":     service[struct{}](),
		"delivery":         service[delivery.Settings](),
		"notification":     service[notification.Settings](),
	}
	others = map[string]settings{
		"sandbox": read[struct {
			Sandbox   sandbox.Config
			Telemetry telemetry.Config
		}]("SANDBOX_"),
		"standalone": read[standalone.Config](standalone.EnvPrefix),
	}
)

func programs() map[string]settings {
	all := maps.Clone(services)
	maps.Copy(all, others)
	return all
}

// defaults returns the variables that the program reads, with their defaults.
func (s settings) defaults(t *testing.T) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := config.Reference(&b, s.prefix, s.all); err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\| [^|]* \\| (?:`([^`]*)`)?")
	found := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(b.String(), -1) {
		found[m[1]] = m[2]
	}
	return found
}

// foreign are variables of libraries in our programs.
var foreign = map[string]bool{"OTEL_EXPORTER_OTLP_ENDPOINT": true}

// checkEnvironment reports variables that the program does not read, and values
// that it does not take.
func (s settings) checkEnvironment(t *testing.T, name string, environ map[string]string) {
	t.Helper()
	known := s.defaults(t)
	ours := map[string]string{}
	for variable, value := range environ {
		switch _, ok := known[variable]; {
		case ok:
			ours[variable] = value
		case !foreign[variable]:
			t.Errorf("%s: the program does not read %s", name, variable)
		}
	}
	if err := s.load(ours); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if spec := ours[s.prefix+"KEYRING"]; spec != "" {
		if _, err := seal.ParseKeyring(spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The tables above must be what the mains build.
func TestProgramsAreKnown(t *testing.T) {
	mains, err := filepath.Glob(filepath.Join(root, "services/*/cmd/*/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	own := regexp.MustCompile(`program\.Parts, \w+ ([\w.{}]+)\)`)
	for _, path := range mains {
		name := filepath.Base(filepath.Dir(path))
		if name == "bench" {
			continue // measures, is not deployed, and reads no environment
		}
		names = append(names, name)
		if filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(path)))) != name {
			t.Errorf("%s: the Dockerfile wants services/X/cmd/X", path)
		}
		s, ok := services[name]
		if !ok {
			continue
		}
		if main := string(text(t, path)); !strings.Contains(main, ".Build)") {
			t.Errorf("%s does not run what its service builds", path)
		}
		m := own.FindStringSubmatch(string(text(t, filepath.Join(root, "services", name, "program.go"))))
		_, want, ok := strings.Cut(fmt.Sprintf("%T", s.own), ".")
		if !ok {
			want = "struct{}"
		}
		if m == nil || m[1] != want {
			t.Errorf("%s reads %q, this test takes it for %s", name, m, want)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(programs())); !slices.Equal(names, want) {
		t.Errorf("programs %v, this test knows %v", names, want)
	}
}

func text(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestConfigurationReference: docs/configuration.md is what the code says.
func TestConfigurationReference(t *testing.T) {
	want := reference(t)
	path := filepath.Join(root, "docs/configuration.md")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(t, path); !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go test ./services/deploytest -update", path)
	}
}

func reference(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from the code by go test ./services/deploytest -update. Do not edit. -->

# Configuration

Programs are configured by environment variables only. A variable X can also be given as X_FILE, the path of a file that
holds its value. A program with a bad setting names all of them and exits with code 2. Lists are separated by commas,
durations are like ` + "`1m30s`" + `.

Traces go where the standard ` + "`OTEL_*`" + ` variables say, such as ` + "`OTEL_EXPORTER_OTLP_ENDPOINT`" + `, and nowhere without them.

## All six services

`)
	table := func(prefix string, cfg any) {
		t.Helper()
		if err := config.Reference(&b, prefix, cfg); err != nil {
			t.Error(err)
		}
	}
	table(program.EnvPrefix, program.Config{})
	for _, name := range []string{"order", "payment-redirect", "callback-ingest", "verification", "delivery", "notification"} {
		fmt.Fprintf(&b, "\n## %s\n\n", name)
		if own := services[name].own; own == struct{}{} {
			b.WriteString("What all services have, and nothing else.\n")
		} else {
			b.WriteString("Beside what all services have:\n\n")
			table(program.EnvPrefix, own)
		}
	}
	for _, name := range []string{"standalone", "sandbox"} {
		fmt.Fprintf(&b, "\n## %s\n\n", name)
		table(others[name].prefix, others[name].all)
	}
	return b.Bytes()
}
