package repotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rule is about imports. All patterns are regular expressions on import paths.
type rule struct {
	// in and except say whom it binds; empty: everybody, nobody.
	in, except string
	// forbid is what must not be imported, except what allow matches.
	forbid, allow string
	// tests: it binds test files too.
	tests bool
	why   string
}

// aggregates are the pure packages: every service has one or two.
const aggregates = `^quittance/services/(order/internal/(order|discount)|payment-redirect/internal/(attempt|session)|callback-ingest/internal/callback|verification/internal/verification|delivery/internal/delivery|notification/internal/(endpoint|letter|queue))$`

const (
	edges    = `^quittance/services/[^/]+/internal/edge$`
	handlers = `^quittance/services/[^/]+/internal/handle$`
	// harnesses are packages that exist for tests.
	harnesses = `test$|^quittance/pkg/testkit|^quittance/services/(e2e|simulation)`
)

var rules = []rule{
	// The layout.
	{in: `^quittance/pkg/`, forbid: `^quittance/services/`, tests: true,
		why: "mechanisms know no business: the service passes in what a mechanism needs"},
	{in: `^quittance/proto/`, forbid: `.`, allow: `^(quittance/proto/|google\.golang\.org/|[a-z]+($|/))`,
		why: "contracts depend on nothing but protobuf and gRPC"},
	{in: aggregates, forbid: `.`, allow: `^([a-z0-9]+(/[a-z0-9/]+)?$|quittance/pkg/(money|id|fsm|backoff|event)$|quittance/proto/|google\.golang\.org/protobuf/)`,
		why: "the domain is pure: no driver, no logger, no edge; it is decided by its arguments alone"},
	{in: aggregates, forbid: `^(net|net/http|log|log/slog|os|os/exec|context|database/sql|math/rand.*|crypto/rand)$`,
		why: "the domain is pure: no I/O, no logger, no randomness; now and ids are arguments"},
	{in: handlers, forbid: `^(net/http|google\.golang\.org/grpc|quittance/pkg/(rpc|web|mail|webhook|egress|outbox|provider(/.*)?))$`,
		why: "no handler calls the outside world or publishes: it writes a document, and the due loop makes the call"},
	{in: edges, except: `callback-ingest`, forbid: `^quittance/pkg/(bus|outbox)(/|$)`,
		why: "edges write documents and only the outbox publishes; callback-ingest is the one exception (P2)"},

	// Each driver has one home.
	{except: `^quittance/pkg/bus(/|$)`, forbid: `^github\.com/nats-io/nats\.go`, tests: true,
		why: "only pkg/bus speaks JetStream; use its publishers and consumers"},
	{except: `^quittance/(pkg/testkit|services/standalone)(/|$)`, forbid: `^github\.com/nats-io/nats-server`, tests: true,
		why: "a NATS server runs inside standalone and, through pkg/testkit, in tests"},
	{except: `^quittance/pkg/docstore(/|$)`, forbid: `^(database/sql|modernc\.org/sqlite|go\.mongodb\.org/mongo-driver)(/|$)`, tests: true,
		why: "only pkg/docstore knows databases; use docstore.Collection"},
	{except: `/ferrettest$`, forbid: `FerretDB`, tests: true,
		why: "FerretDB's updates are not atomic and its dependencies many: its module is a test of its own"},
	{except: `^quittance/pkg/id$`, forbid: `^github\.com/google/uuid`, tests: true, why: "ids are prefixed and time-ordered: use pkg/id"},
	{except: `^quittance/pkg/mail$`, forbid: `^github\.com/wneessen/go-mail`, tests: true, why: "mail goes through pkg/mail"},
	{except: `^quittance/pkg/config$`, forbid: `^github\.com/caarlos0/env`, tests: true, why: "settings are read by config.Load, which names every bad variable"},
	{except: `^quittance/pkg/telemetry$|` + harnesses, forbid: `^(github\.com/prometheus/|go\.opentelemetry\.io/otel/(exporters|sdk)|go\.opentelemetry\.io/contrib/exporters)`,
		why: "telemetry is set up in one place; elsewhere use the providers that were handed in"},
	{forbid: `^go\.opentelemetry\.io/otel$`, except: `^quittance/pkg/telemetry$`,
		why: "no globals: use the providers that were handed in"},

	// What exists for tests stays in tests.
	{except: harnesses, forbid: `^(testing|quittance/pkg/testkit|github\.com/google/go-cmp|pgregory\.net/rapid|go\.uber\.org/goleak)(/|$)`,
		why: "tools of tests don't belong into programs"},
	{forbid: `^(github\.com/chromedp/|github\.com/cloudevents/sdk-go|github\.com/standard-webhooks/)`, except: harnesses,
		why: "browsers and reference implementations are oracles for tests, not dependencies"},
	{except: `^quittance/services/sandbox/`, forbid: `^github\.com/emersion/go-smtp`, why: "only the sandbox receives mail"},

	// What is not used here at all.
	{forbid: `^github\.com/ThreeDotsLabs/watermill|^github\.com/cloudevents/sdk-go/protocol`, tests: true,
		why: "it hides double ack, delayed nak, term and advisories, which are the point"},
	{forbid: `^github\.com/(stretchr/testify|golang/mock|vektra/mockery)|^go\.uber\.org/mock`, tests: true,
		why: "tests use the standard library, go-cmp and fakes that speak the real protocol"},
	{forbid: `^go\.uber\.org/zap|^github\.com/(sirupsen/logrus|rs/zerolog)`, tests: true, why: "logs are log/slog"},
	{forbid: `^log$`, why: "logs are log/slog"},
	{forbid: `^github\.com/(spf13/(viper|cobra)|gin-gonic/|go-chi/|labstack/|gorilla/mux)`, tests: true, why: "http.ServeMux and pkg/config do this"},
	{forbid: `^gorm\.io/|^entgo\.io/|^github\.com/(uptrace/bun|jmoiron/sqlx)`, tests: true, why: "no object mappers: documents are stored by pkg/docstore"},
	{forbid: `^github\.com/(shopspring/decimal|cockroachdb/apd|ericlagergren/decimal)`, tests: true,
		why: "money is money.Amount: minor units and a currency (P9)"},
	{forbid: `^go\.uber\.org/(fx|dig)|^github\.com/google/wire`, tests: true, why: "plain constructors: main is the wiring story"},
	{forbid: `^(io/ioutil|math/rand|github\.com/pkg/errors)$`, tests: true, why: "superseded by the standard library (os, io, math/rand/v2, errors)"},
}

func TestImports(t *testing.T) {
	for _, r := range rules {
		in, except := compile(r.in), compile(r.except)
		forbid, allow := compile(r.forbid), compile(r.allow)
		for _, p := range packages(t) {
			if (in != nil && !in.MatchString(p.path)) || (except != nil && except.MatchString(p.path)) {
				continue
			}
			for _, f := range p.files {
				if f.test && !r.tests {
					continue
				}
				for _, imported := range f.imports {
					if forbid.MatchString(imported) && (allow == nil || !allow.MatchString(imported)) {
						t.Errorf("%s imports %s: %s", f.name, imported, r.why)
					}
				}
			}
		}
	}
}

func compile(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	return regexp.MustCompile(pattern)
}

func TestServicesDoNotImportEachOther(t *testing.T) {
	together := []string{"standalone", "bench", "e2e", "simulation", "deploytest", "schematest"}
	for _, p := range packages(t) {
		own := serviceOf(p.path)
		if own == "" || slices.Contains(together, own) {
			continue
		}
		for _, f := range p.files {
			for _, imported := range f.imports {
				if other := serviceOf(imported); other != "" && other != own {
					t.Errorf("%s imports %s: services meet on the bus and over gRPC only", f.name, imported)
				}
			}
		}
	}
}

func serviceOf(path string) string {
	rest, ok := strings.CutPrefix(path, "quittance/services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// A package with transitions that is not named above would escape its rules.
func TestAggregatesAreKnown(t *testing.T) {
	known := regexp.MustCompile(aggregates)
	for _, p := range packages(t) {
		for _, f := range p.files {
			if filepath.Base(f.name) == "transitions.go" && !known.MatchString(p.path) {
				t.Errorf("%s has transitions and is not among the aggregates of this test: the domain must be pure", p.path)
			}
		}
	}
}

// TestProgramsCarryNoTestTools looks at all that is linked, not at imports of
// our own alone.
func TestProgramsCarryNoTestTools(t *testing.T) {
	unwanted := map[string]string{
		"testing":                                  "tools of tests don't belong into programs",
		"quittance/pkg/testkit":                    "tools of tests don't belong into programs",
		"quittance/services/sabotage":              "no program has a way to break its promises",
		"github.com/chromedp/chromedp":             "browsers belong into tests",
		"github.com/nats-io/nats-server/v2/server": "a distributed service connects to NATS, it does not bring its own",
	}
	for _, p := range packages(t) {
		service := serviceOf(p.path)
		if !strings.Contains(p.path, "/cmd/") || service == "" {
			continue
		}
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", p.path)
		list.Dir, list.Stderr = filepath.Join(root, "services"), os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Errorf("go list %s: %v", p.path, err)
			continue
		}
		for dep := range strings.Lines(string(out)) {
			dep = strings.TrimSpace(dep)
			if (service == "standalone" || service == "bench") && strings.HasPrefix(dep, "github.com/nats-io/nats-server") {
				continue
			}
			if why, ok := unwanted[dep]; ok {
				t.Errorf("%s links %s: %s", p.path, dep, why)
			}
		}
	}
}
