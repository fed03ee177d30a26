package deploytest

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quittance/pkg/app"
	"quittance/pkg/web"
)

// TestSmoke: scripts/smoke passes a program that is ready, and says what one
// that is not waits for.
func TestSmoke(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	program := func() (*app.Readiness, string) {
		readiness, mux := app.NewReadiness(slog.New(slog.DiscardHandler)), http.NewServeMux()
		web.Health(mux, readiness, http.NotFoundHandler())
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return readiness, server.URL
	}
	smoke := func(urls ...string) (code int, out string) {
		raw, err := exec.CommandContext(t.Context(), filepath.Join(root, "scripts/smoke"), urls...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return code, string(raw)
	}
	_, well := program()
	waiting, late := program()
	waiting.Gate("bus")
	gone := httptest.NewServer(nil)
	gone.Close()

	if code, out := smoke(well, well+"/"); code != 0 || strings.Count(out, "ok ") != 4 || strings.Contains(out, "FAIL") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out := smoke(late, gone.URL, well)
	if code != 1 || strings.Count(out, "FAIL") != 3 || strings.Count(out, "ok ") != 3 {
		t.Errorf("exit %d\n%s", code, out)
	}
	for _, want := range []string{late + `/readyz  503 {"ready":false,"waiting_for":["bus"]}`, gone.URL + "/healthz  no answer"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code, _ := smoke(); code != 2 {
		t.Errorf("without a URL: exit %d", code)
	}
}
