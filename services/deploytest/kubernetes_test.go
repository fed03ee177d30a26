package deploytest

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"quittance/pkg/seal"
)

// manifest is what this test looks at in any object. Fields that only some
// kinds have are empty in the others.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string // ConfigMap
	Spec     struct {
		Replicas *int // Deployment
		Selector any  // Deployment, PodDisruptionBudget, Service
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		ClusterIP string        `yaml:"clusterIP"` // Service
		Ports     []servicePort // Service
		// HorizontalPodAutoscaler
		ScaleTargetRef struct{ Kind, Name string } `yaml:"scaleTargetRef"`
		MinReplicas    int                         `yaml:"minReplicas"`
		MaxUnavailable int                         `yaml:"maxUnavailable"` // PodDisruptionBudget
	}
}

type servicePort struct {
	Name       string
	Port       int
	TargetPort string `yaml:"targetPort"`
}

type pod struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Name, Image string
		EnvFrom     []struct {
			ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
		} `yaml:"envFrom"`
		Env []struct {
			Name, Value string
			ValueFrom   struct {
				SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
			} `yaml:"valueFrom"`
		}
		Ports []struct {
			Name          string
			ContainerPort string `yaml:"containerPort"`
		}
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		Resources      struct{ Requests, Limits map[string]string }
		Lifecycle      struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// cluster is all objects, by kind and name.
type cluster map[string]map[string]manifest

const manifests = "deploy/kubernetes"

func kubernetes(t *testing.T) cluster {
	t.Helper()
	dir := filepath.Join(root, manifests)
	var base struct{ Resources []string }
	if err := yaml.Unmarshal(text(t, filepath.Join(dir, "kustomization.yaml")), &base); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(base.Resources)+1 {
		t.Errorf("%d files, kustomization.yaml names %v", len(files)-1, base.Resources)
	}
	all := cluster{}
	for _, file := range base.Resources {
		for document := range strings.SplitSeq(string(text(t, filepath.Join(dir, file))), "\n---\n") {
			var m manifest
			if err := yaml.Unmarshal([]byte(document), &m); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if all[m.Kind] == nil {
				all[m.Kind] = map[string]manifest{}
			}
			if _, twice := all[m.Kind][m.Metadata.Name]; twice || m.Kind == "" || m.Metadata.Name == "" {
				t.Errorf("%s: %s %q is there twice or has no name", file, m.Kind, m.Metadata.Name)
			}
			all[m.Kind][m.Metadata.Name] = m
		}
	}
	return all
}

// environment returns what the container of a deployment is given, with made-up
// values for secrets, and the secrets it refers to.
func (all cluster) environment(t *testing.T, d manifest) (environ map[string]string, secrets []string) {
	t.Helper()
	environ = map[string]string{}
	c := d.Spec.Template.Spec.Containers[0]
	for _, from := range c.EnvFrom {
		m, ok := all["ConfigMap"][from.ConfigMapRef.Name]
		if !ok {
			t.Errorf("%s: no ConfigMap %s", d.Metadata.Name, from.ConfigMapRef.Name)
		}
		for variable, value := range m.Data {
			environ[variable] = value
		}
	}
	for _, e := range c.Env {
		environ[e.Name] = e.Value
		if ref := e.ValueFrom.SecretKeyRef; ref.Name != "" {
			secrets = append(secrets, ref.Name+"/"+ref.Key)
			environ[e.Name] = "made-up"
			if ref.Key == "keyring" {
				environ[e.Name] = seal.Generate()
			}
		}
		if environ[e.Name] == "" {
			t.Errorf("%s: %s is empty", d.Metadata.Name, e.Name)
		}
	}
	return environ, secrets
}

// publicOnly are the settings of the ConfigMap that not all services read.
var publicOnly = []string{"QUITTANCE_PUBLIC_URL", "QUITTANCE_CALLBACK_URL"}

func TestKubernetesPrograms(t *testing.T) {
	all := kubernetes(t)
	if n := len(all["Deployment"]); n != len(services) {
		t.Errorf("%d deployments, %d services", n, len(services))
	}
	users := natsUsers(t)
	taken := map[string]string{}
	for name, s := range services {
		d, ok := all["Deployment"][name]
		if !ok || len(d.Spec.Template.Spec.Containers) != 1 {
			t.Errorf("%s is not there, or not alone", name)
			continue
		}
		c := d.Spec.Template.Spec.Containers[0]
		if c.Image != "quittance/"+name {
			t.Errorf("%s: image %s", name, c.Image)
		}
		environ, secrets := all.environment(t, d)
		known := s.defaults(t)
		for _, variable := range publicOnly {
			if _, ok := known[variable]; !ok {
				delete(environ, variable)
			}
		}
		s.checkEnvironment(t, name, environ)
		for _, variable := range []string{"QUITTANCE_KEYRING", "QUITTANCE_SERVICE_TOKEN", "QUITTANCE_MONGO_URI", "QUITTANCE_NATS_PASSWORD"} {
			if environ[variable] == "" {
				t.Errorf("%s: no %s", name, variable)
			}
		}
		for _, secret := range secrets {
			of, _, _ := strings.Cut(secret, "/")
			if other, ok := strings.CutPrefix(of, "quittance-"); ok && other != name && other != "smtp" {
				t.Errorf("%s reads the secret of %s", name, other)
			}
		}
		user := environ["QUITTANCE_NATS_USER"]
		if _, ok := users[user]; !ok || taken[user] != "" {
			t.Errorf("%s: NATS user %q is unknown or that of %s", name, user, taken[user])
		}
		taken[user] = name
		if c.Resources.Requests["cpu"] == "" || c.Resources.Requests["memory"] == "" || c.Resources.Limits["memory"] == "" {
			t.Errorf("%s: resources %+v", name, c.Resources)
		}
		const own = 25 * time.Second // stopDeadline of package program
		need := own + time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second
		if grace := time.Duration(d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; grace <= need {
			t.Errorf("%s is killed after %s and may need %s", name, grace, need)
		}
	}
}

// Ports that are named must be the ones that the program listens on; probes and
// Services must name them.
func TestKubernetesPorts(t *testing.T) {
	all := kubernetes(t)
	variables := map[string]string{
		"http": "QUITTANCE_HTTP_ADDR", "admin": "QUITTANCE_ADMIN_ADDR", "grpc": "QUITTANCE_GRPC_ADDR", "internal": "QUITTANCE_INTERNAL_ADDR",
	}
	for name, d := range all["Deployment"] {
		environ, _ := all.environment(t, d)
		c := d.Spec.Template.Spec.Containers[0]
		named := map[string]bool{}
		for _, p := range c.Ports {
			named[p.Name] = true
			address := cmp.Or(environ[variables[p.Name]], services[name].defaults(t)[variables[p.Name]])
			if host, port, err := net.SplitHostPort(address); err != nil || host != "" || port != p.ContainerPort {
				t.Errorf("%s: port %s is %s, the program listens at %q", name, p.Name, p.ContainerPort, address)
			}
		}
		if len(named) != len(variables) || len(c.Ports) != len(variables) {
			t.Errorf("%s: ports %v", name, c.Ports)
		}
		for path, p := range map[string]probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
			if p.HTTPGet.Path != path || p.HTTPGet.Port != "admin" {
				t.Errorf("%s: probe %+v, want %s", name, p, path)
			}
		}
	}
	for name, s := range all["Service"] {
		app := all.deployment(t, s)
		if len(s.Spec.Ports) == 0 {
			t.Errorf("service %s has no ports", name)
		}
		for _, p := range s.Spec.Ports {
			if _, ok := variables[p.TargetPort]; !ok {
				t.Errorf("service %s: no port %s", name, p.TargetPort)
			}
			if p.TargetPort == "admin" || (p.TargetPort == "internal" && s.Spec.ClusterIP != "None") {
				t.Errorf("service %s shows %s of %s", name, p.TargetPort, app)
			}
		}
	}
	host, port, err := net.SplitHostPort(all["ConfigMap"]["quittance"].Data["QUITTANCE_ORDER_ADDR"])
	if err != nil {
		t.Fatal(err)
	}
	orders := all["Service"][host]
	if all.deployment(t, orders) != "order" || !slices.ContainsFunc(orders.Spec.Ports, func(p servicePort) bool {
		return fmt.Sprint(p.Port) == port && p.TargetPort == "internal"
	}) {
		t.Errorf("orders are not at %s:%s", host, port)
	}
}

// deployment returns the one whose pods the object selects.
func (all cluster) deployment(t *testing.T, of manifest) string {
	t.Helper()
	selector, ok := of.Spec.Selector.(map[string]any)
	if labels, nested := selector["matchLabels"].(map[string]any); nested {
		selector = labels
	}
	for name, d := range all["Deployment"] {
		if ok && len(selector) == 1 && selector["app"] == name && d.Spec.Template.Metadata.Labels["app"] == name {
			return name
		}
	}
	t.Errorf("%s %s selects nothing: %v", of.Kind, of.Metadata.Name, of.Spec.Selector)
	return ""
}

// No disruption takes a service away: two replicas at least, one at a time.
func TestKubernetesReplicas(t *testing.T) {
	all := kubernetes(t)
	for name, d := range all["Deployment"] {
		if got := all.deployment(t, d); got != name {
			t.Errorf("deployment %s selects %s", name, got)
		}
		scaler, scaled := all["HorizontalPodAutoscaler"][name]
		switch {
		case scaled && (d.Spec.Replicas != nil || scaler.Spec.MinReplicas < 2):
			t.Errorf("%s: %v replicas beside an autoscaler from %d", name, d.Spec.Replicas, scaler.Spec.MinReplicas)
		case scaled && (scaler.Spec.ScaleTargetRef.Kind != "Deployment" || scaler.Spec.ScaleTargetRef.Name != name):
			t.Errorf("autoscaler %s scales %+v", name, scaler.Spec.ScaleTargetRef)
		case !scaled && (d.Spec.Replicas == nil || *d.Spec.Replicas < 2):
			t.Errorf("%s: one replica", name)
		}
		budget := all["PodDisruptionBudget"][name]
		if budget.Spec.MaxUnavailable != 1 || all.deployment(t, budget) != name {
			t.Errorf("%s: budget %+v", name, budget.Spec)
		}
	}
	for kind := range all {
		if !slices.Contains([]string{"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}, kind) {
			t.Errorf("%s is not looked at by this test", kind)
		}
	}
}
