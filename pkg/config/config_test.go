package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quittance/pkg/config"
)

type store struct {
	URI   string        `env:"URI,required" doc:"where it is"`
	Lease time.Duration `env:"LEASE" envDefault:"30s" doc:"how long work is held"`
	Poll  time.Duration `env:"POLL" envDefault:"5s" doc:"pause between polls"`
}

func (s *store) Validate() error {
	if s.Poll >= s.Lease {
		return config.Violation("POLL", "must be shorter than LEASE (%s), is %s", s.Lease, s.Poll)
	}
	return nil
}

type settings struct {
	Addr    string   `env:"ADDR" envDefault:":9000" doc:"listen address"`
	Workers int      `env:"WORKERS" envDefault:"4" doc:"how many at once"`
	Proxies []string `env:"PROXIES" doc:"trusted, a|b"`
	Store   store    `envPrefix:"STORE_"`
	Mirror  store    `envPrefix:"MIRROR_"`
	Ignored func()
}

func TestLoad(t *testing.T) {
	got, err := config.Load[settings]("Q_", map[string]string{
		"Q_WORKERS": "8", "Q_PROXIES": "10.0.0.0/8,::1", "Q_STORE_URI": "a", "Q_MIRROR_URI": "b",
		"Q_MIRROR_LEASE": "1m", "ADDR": "not ours",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Addr != ":9000" || got.Workers != 8 || len(got.Proxies) != 2 || got.Store.Lease != 30*time.Second || got.Mirror.Lease != time.Minute {
		t.Errorf("got %+v", got)
	}
}

func TestLoadNamesEveryBadVariable(t *testing.T) {
	_, err := config.Load[settings]("Q_", map[string]string{
		"Q_WORKERS": "many", "Q_STORE_URI": "a", "Q_MIRROR_URI": "", "Q_MIRROR_LEASE": "soon",
	})
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v", err)
	}
	var names []string
	for _, p := range e.Problems {
		names = append(names, p.Variable)
	}
	if got := strings.Join(names, " "); got != "Q_WORKERS Q_MIRROR_URI Q_MIRROR_LEASE" {
		t.Errorf("variables = %s in\n%v", got, err)
	}
	if !strings.Contains(err.Error(), "Q_MIRROR_LEASE: is not a valid duration") {
		t.Errorf("text = %v", err)
	}
	if e.ExitCode() != 2 {
		t.Error("not told from a failure at work")
	}
}

func TestValidateNamesTheVariableAndBothValues(t *testing.T) {
	_, err := config.Load[settings]("Q_", map[string]string{
		"Q_STORE_URI": "a", "Q_MIRROR_URI": "b", "Q_MIRROR_POLL": "45s",
	})
	want := "Q_MIRROR_POLL: must be shorter than LEASE (30s), is 45s"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want %s", err, want)
	}
}

func TestValueFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uri")
	if err := os.WriteFile(path, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load[store]("", map[string]string{"URI_FILE": path})
	if err != nil || got.URI != "from file" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, environ := range []map[string]string{
		{"URI_FILE": path, "URI": "too"},
		{"URI_FILE": path + ".missing"},
	} {
		if _, err := config.Load[store]("", environ); err == nil || !strings.Contains(err.Error(), "URI_FILE") {
			t.Errorf("%v: err = %v", environ, err)
		}
	}
}

func TestReference(t *testing.T) {
	var b strings.Builder
	if err := config.Reference(&b, "Q_", settings{}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| `Q_ADDR` | string | `:9000` | listen address |",
		"| `Q_PROXIES` | list of string |  | trusted, a\\|b |",
		"| `Q_MIRROR_URI` | string | *required* | where it is |",
		"| `Q_MIRROR_LEASE` | duration | `30s` | how long work is held |",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
	if err := config.Reference(&b, "", struct {
		A string `env:"A"`
	}{}); err == nil || !strings.Contains(err.Error(), "A") {
		t.Errorf("undocumented variable: err = %v", err)
	}
}
