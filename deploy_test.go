package emq_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/imqueue/emq/worker"
)

// series are the metrics of docs/metrics.md, which a test of cmd/emq holds beside what a
// worker shows, with their labels.
func series(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	word := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.HasPrefix(line, "| `emq_") {
			continue
		}
		name := word.FindStringSubmatch(cells[0])[1]
		labels := []string{"instance", "job", "le"}
		for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
			labels = append(labels, m[1])
		}
		known[name] = labels
		if cells[1] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[name+suffix] = labels
			}
			delete(known, name)
		}
	}
	if len(known) < 20 {
		t.Fatalf("docs/metrics.md: %d metrics were found", len(known))
	}
	return known
}

// queries are all PromQL expressions of the rules and of the dashboard.
func queries(t *testing.T) []string {
	t.Helper()
	var list []string
	var rules struct {
		Groups []struct {
			Rules []struct {
				Expr string `yaml:"expr"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	raw, err := os.ReadFile("deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			list = append(list, rule.Expr)
		}
	}
	var board struct {
		Templating struct {
			List []struct {
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
		Panels []struct {
			Type, Title string
			Targets     []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if raw, err = os.ReadFile("deploy/grafana/emq.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	for _, v := range board.Templating.List {
		list = append(list, v.Definition)
	}
	if len(list) < 30 {
		t.Fatalf("%d queries were found", len(list))
	}
	return list
}

var (
	queriedName  = regexp.MustCompile(`\bemq_[a-z_]+`)
	queriedBy    = regexp.MustCompile(`\b(?:by|on) \(([a-z_, ]+)\)`)
	queriedLabel = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
)

// unknownParts are the names and labels of a query that no metric has.
func unknownParts(query string, known map[string][]string) (wrong []string) {
	var labels []string
	for _, name := range queriedName.FindAllString(query, -1) {
		if known[name] == nil {
			wrong = append(wrong, name)
		}
		labels = append(labels, known[name]...)
	}
	if strings.Contains(query, "up{") || strings.Contains(query, "process_") {
		labels = append(labels, "job", "instance")
	}
	asked := []string{}
	for _, m := range queriedBy.FindAllStringSubmatch(query, -1) {
		asked = append(asked, strings.Split(m[1], ", ")...)
	}
	for _, m := range queriedLabel.FindAllStringSubmatch(query, -1) {
		asked = append(asked, m[1])
	}
	for _, label := range asked {
		if !slices.Contains(labels, label) {
			wrong = append(wrong, label)
		}
	}
	return wrong
}

// TestQueriesNameRealSeries holds each query of deploy beside the metrics that there are.
func TestQueriesNameRealSeries(t *testing.T) {
	t.Parallel()
	known := series(t)
	for _, query := range queries(t) {
		if wrong := unknownParts(query, known); len(wrong) > 0 {
			t.Errorf("%s: there is no %s", query, strings.Join(wrong, ", "))
		}
	}
	for query, want := range map[string]string{ // what is wrong is seen
		`max by (app) (emq_hold)`:                                   "emq_hold app",
		`sum by (queue) (emq_holds{app="x"})`:                       "queue",
		`rate(emq_call_duration_seconds[5m])`:                       "emq_call_duration_seconds",
		`emq_dead_letters{kind="message.send"}`:                     "kind",
		`sum(rate(emq_calls_total{class="success"}[5m])) by (kind)`: "",
	} {
		if got := strings.Join(unknownParts(query, known), " "); got != want {
			t.Errorf("%s: found %q, want %q", query, got, want)
		}
	}
}

// TestPrometheusRules has promtool check the configuration and run the rules' own tests.
func TestPrometheusRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no promtool: apt-get install prometheus")
		}
		t.Skip("SKIPPED, NOT TESTED: no promtool here; apt-get install prometheus")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Join("deploy", "prometheus")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		} else {
			t.Logf("promtool %s\n%s", strings.Join(args, " "), out)
		}
	}
	rules, err := os.ReadFile("deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("deploy/prometheus/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if n := strings.Count(string(tests), "alertname: "+m[1]); n < 2 {
			t.Errorf("rule %s is tested %d times: once quiet and once firing are wanted", m[1], n)
		}
	}
}

// manifest is as much of a Kubernetes object as emq's promises rest on.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Replicas     int
		MinAvailable int `yaml:"minAvailable"`
		Template     struct {
			Spec struct {
				Grace           int   `yaml:"terminationGracePeriodSeconds"`
				ServiceLinks    *bool `yaml:"enableServiceLinks"`
				SecurityContext struct {
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				Containers []struct {
					Args           []string
					Env            []struct{ Name, Value string }
					ReadinessProbe probe `yaml:"readinessProbe"`
					LivenessProbe  probe `yaml:"livenessProbe"`
					Ports          []struct {
						Name string
						Port int `yaml:"containerPort"`
					}
					SecurityContext struct {
						ReadOnly bool `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
				}
			}
		}
	}
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	Exec    struct{ Command []string }
}

func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob("deploy/kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]manifest{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := yaml.NewDecoder(bytes.NewReader(raw)); ; {
			var m manifest
			if err := dec.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	return all
}

func TestKubernetesManifests(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	secrets := all["Secret emq"].StringData
	for _, name := range []string{"Deployment emq-worker", "Deployment emq-admin"} {
		pod := all[name].Spec.Template.Spec
		if len(pod.Containers) != 1 || !pod.SecurityContext.RunAsNonRoot || !pod.Containers[0].SecurityContext.ReadOnly {
			t.Fatalf("%s: %+v", name, pod)
		}
		if pod.ServiceLinks == nil || *pod.ServiceLinks {
			t.Errorf("%s: a service called emq would bring variables that are no settings", name)
		}
		for _, env := range pod.Containers[0].Env {
			if strings.HasPrefix(env.Name, "EMQ_") && !strings.Contains(string(readme), "`"+env.Name+"`") {
				t.Errorf("%s: %s is not a setting", name, env.Name)
			}
			if key, ok := strings.CutPrefix(env.Value, "/run/secrets/emq/"); ok && secrets[key] == "" {
				t.Errorf("%s: %s is not in the secret", name, env.Value)
			}
		}
	}
	for _, m := range regexp.MustCompile(`/run/secrets/emq/(\S+)`).FindAllStringSubmatch(all["ConfigMap emq"].Data["emq.yaml"], -1) {
		if secrets[m[1]] == "" {
			t.Errorf("the settings read %s, which is not in the secret", m[1])
		}
	}
	pod := all["Deployment emq-worker"].Spec.Template.Spec
	if grace := time.Duration(pod.Grace) * time.Second; grace < worker.DrainTimeoutDefault+10*time.Second {
		t.Errorf("grace period %v: must be longer than the drain, %v, with room to end", grace, worker.DrainTimeoutDefault)
	}
	c := pod.Containers[0]
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" ||
		c.ReadinessProbe.HTTPGet.Port != c.Ports[0].Name || c.LivenessProbe.HTTPGet.Port != c.Ports[0].Name {
		t.Errorf("probes %+v %+v, ports %+v", c.ReadinessProbe, c.LivenessProbe, c.Ports)
	}
	budget := all["PodDisruptionBudget emq-worker"].Spec
	if n := all["Deployment emq-worker"].Spec.Replicas; n != 2 || budget.MinAvailable != 1 {
		t.Errorf("%d workers, of which %d must stay", n, budget.MinAvailable)
	}
}
