package deploytest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const tlsVariable = "QUITTANCE_INTERNAL_TLS_DIR"

// Every service has the certificates that scripts/certs makes for it where the
// program looks for them.
func TestComposeMutualTLS(t *testing.T) {
	var file struct{ Services map[string]container }
	if err := yaml.Unmarshal(text(t, filepath.Join(root, "deploy/compose.mutual-tls.yml")), &file); err != nil {
		t.Fatal(err)
	}
	script := string(text(t, filepath.Join(root, "scripts/certs")))
	for name, s := range services {
		c := file.Services[name]
		dir := c.Environment[tlsVariable]
		if _, known := s.defaults(t)[tlsVariable]; !known || dir == "" || len(c.Environment) != 1 {
			t.Errorf("%s: environment %v", name, c.Environment)
		}
		if want := []string{"./.data/certs/" + name + ":" + dir + ":ro"}; !slices.Equal(c.Volumes, want) {
			t.Errorf("%s: volumes %v, want %v", name, c.Volumes, want)
		}
		if !slices.Contains(strings.Fields(script), name) {
			t.Errorf("scripts/certs makes no certificate for %s", name)
		}
	}
	if len(file.Services) != len(services) || !strings.Contains(script, ".data/certs") {
		t.Errorf("%d services of %d", len(file.Services), len(services))
	}
}

// The component mounts a secret of its own into each deployment of the base,
// and every path that it adds to is there, or is not.
func TestKubernetesMutualTLS(t *testing.T) {
	var component struct {
		Kind    string
		Patches []struct {
			Target struct{ Kind, Name string }
			Patch  string
		}
	}
	if err := yaml.Unmarshal(text(t, filepath.Join(root, manifests, "mutual-tls/kustomization.yaml")), &component); err != nil {
		t.Fatal(err)
	}
	type operation struct {
		Op, Path string
		Value    any
	}
	all := kubernetes(t)
	mounted := map[string]string{}
	dir := ""
	for _, p := range component.Patches {
		if _, ok := all[p.Target.Kind][p.Target.Name]; !ok {
			t.Errorf("no %s %s to patch", p.Target.Kind, p.Target.Name)
		}
		var operations []operation
		if err := yaml.Unmarshal([]byte(p.Patch), &operations); err != nil {
			t.Fatalf("%s: %v", p.Target.Name, err)
		}
		for _, o := range operations {
			if o.Op != "add" {
				t.Errorf("%s: %s", p.Target.Name, o.Op)
			}
			switch o.Path {
			case "/data/" + tlsVariable:
				dir = fmt.Sprint(o.Value)
			case "/spec/template/spec/volumes":
				if v := fmt.Sprint(o.Value); !strings.Contains(v, "secretName:quittance-"+p.Target.Name+"-tls") || !strings.Contains(v, "name:certificates") {
					t.Errorf("%s: volumes %s", p.Target.Name, v)
				}
			case "/spec/template/spec/containers/0/volumeMounts":
				mounted[p.Target.Name] = fmt.Sprint(o.Value)
			case "/spec/template/spec/securityContext/fsGroup":
			default:
				t.Errorf("%s: %s", p.Target.Name, o.Path)
			}
		}
	}
	for name, s := range services {
		if _, known := s.defaults(t)[tlsVariable]; !known {
			t.Errorf("%s does not read %s", name, tlsVariable)
		}
		if m := mounted[name]; dir == "" || !strings.Contains(m, "mountPath:"+dir+" ") || !strings.Contains(m, "name:certificates") {
			t.Errorf("%s: mounts %q, the program looks in %q", name, m, dir)
		}
		base := string(text(t, filepath.Join(root, manifests, name+".yaml")))
		if strings.Contains(base, "volumes:") || strings.Contains(base, "volumeMounts:") || !strings.Contains(base, "\n      securityContext:\n") {
			t.Errorf("%s: the patch replaces volumes of the base, or has no securityContext to add to", name)
		}
	}
	if component.Kind != "Component" {
		t.Errorf("kind %s", component.Kind)
	}
}
