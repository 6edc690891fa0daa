package emq_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/imqueue/emq/worker"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// composeFile is as much of docker-compose.yml as emq's promises rest on.
type composeFile struct {
	Services map[string]struct {
		Command         []string          `yaml:"command"`
		Environment     map[string]string `yaml:"environment"`
		Ports           []any             `yaml:"ports"`
		Profiles        []string          `yaml:"profiles"`
		Secrets         []string          `yaml:"secrets"`
		StopGracePeriod string            `yaml:"stop_grace_period"`
		Volumes         []string          `yaml:"volumes"`
		Deploy          struct {
			Replicas  int `yaml:"replicas"`
			Resources struct {
				Limits map[string]string `yaml:"limits"`
			} `yaml:"resources"`
		} `yaml:"deploy"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	raw, err := os.ReadFile("docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
	return file
}

// defaultOf is the value of "${NAME:-value}", or of a text without a variable.
func defaultOf(value string) string {
	return regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`).ReplaceAllString(value, "$1")
}

func TestComposeRedisKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	redis := readCompose(t).Services["redis"]
	settings := map[string]string{}
	for i := 1; i+1 < len(redis.Command); i += 2 {
		settings[redis.Command[i]] = redis.Command[i+1]
	}
	for name, want := range map[string]string{
		"--appendonly": "yes", "--appendfsync": "always", "--maxmemory-policy": "noeviction",
	} {
		if settings[name] != want {
			t.Errorf("redis runs with %s %q, want %q", name, settings[name], want)
		}
	}
	if !slices.Contains(redis.Volumes, "redis-data:/data") {
		t.Errorf("redis has volumes %q: its data would go with its container", redis.Volumes)
	}
	if len(redis.Ports) != 0 {
		t.Errorf("redis has no password and is published at %v", redis.Ports)
	}
}

func TestComposeWorkersDrain(t *testing.T) {
	t.Parallel()
	service := readCompose(t).Services["worker"]
	if service.Deploy.Replicas != 2 {
		t.Errorf("%d workers, want 2", service.Deploy.Replicas)
	}
	stop, err := time.ParseDuration(service.StopGracePeriod)
	if err != nil || stop < worker.DrainTimeoutDefault+5*time.Second {
		t.Errorf("stop_grace_period %q: must be longer than the drain, %v, with room to end", service.StopGracePeriod, worker.DrainTimeoutDefault)
	}
	for name, service := range readCompose(t).Services {
		if service.Deploy.Resources.Limits["memory"] == "" || service.Deploy.Resources.Limits["cpus"] == "" {
			t.Errorf("%s has no limit of memory or cpus", name)
		}
	}
}

// TestComposeDefaultsFitTheSimulator checks that `docker compose --profile
// simulator up` works without a setting.
func TestComposeDefaultsFitTheSimulator(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	sim, env := file.Services["simulator"], file.Services["worker"].Environment
	if !slices.Equal(sim.Profiles, []string{"simulator"}) {
		t.Errorf("the simulator's profiles are %q", sim.Profiles)
	}
	port := sim.Command[len(sim.Command)-1]
	port = port[strings.LastIndex(port, ":"):]
	for name, want := range map[string]string{
		"EMQ_APP_KEY":     simulator.AppKeyDefault,
		"EMQ_CLIENT_ID":   simulator.ClientIDDefault,
		"EMQ_EASEMOB_URL": "http://simulator" + port,
		"EMQ_REDIS_URL":   "redis://redis:6379/0",
	} {
		if got := defaultOf(env[name]); got != want {
			t.Errorf("%s is %q by default, want %q", name, got, want)
		}
	}
	secrets := file.Services["worker"].Secrets
	if len(secrets) != 1 || env["EMQ_CLIENT_SECRET_FILE"] != "/run/secrets/"+secrets[0] {
		t.Fatalf("the secret is read from %q and mounted as %q", env["EMQ_CLIENT_SECRET_FILE"], secrets)
	}
	secret, err := os.ReadFile(defaultOf(file.Secrets[secrets[0]].File))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(secret)) != simulator.ClientSecretDefault {
		t.Errorf("the default secret is not the simulator's")
	}
}
