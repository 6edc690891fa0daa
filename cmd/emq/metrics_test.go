package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker"
)

// metricsTable is the table of what a worker with alerts shows at /metrics.
func metricsTable(t *testing.T) string {
	t.Helper()
	mini, rdb := redistest.Mini(t)
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(t, err)
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	must(t, err)
	channel, err := alert.NewChannel(alert.ChannelConfig{Name: "ops", Type: "webhook", URL: "https://example.com/hook"})
	must(t, err)
	alerts, err := alert.New(alert.Config{Store: store, Redis: rdb, Apps: []string{tasks.AppDefault}, Channels: []*alert.Channel{channel}})
	must(t, err)
	w, err := worker.New(worker.Config{
		RedisURL: "redis://" + mini.Addr(), Collectors: alerts.Collectors(),
		Apps: []worker.App{{Alias: tasks.AppDefault, Key: "a#b", URL: "https://a1.easemob.com", ClientID: "i", ClientSecret: "s"}},
	})
	must(t, err)
	answer := httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))

	help, kind, labels := map[string]string{}, map[string]string{}, map[string][]string{}
	label := regexp.MustCompile(`([a-z_]+)="`)
	for line := range strings.Lines(answer.Body.String()) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 4)
		switch {
		case words[1] == "HELP" && strings.HasPrefix(words[2], "emq_"):
			help[words[2]] = words[3]
		case words[1] == "TYPE":
			kind[words[2]] = words[3]
		case !strings.HasPrefix(line, "#"):
			name, _, _ := strings.Cut(words[0], "{")
			name = strings.TrimSuffix(name, "_bucket")
			var names []string
			for _, m := range label.FindAllStringSubmatch(line, -1) {
				if m[1] != "le" {
					names = append(names, "`"+m[1]+"`")
				}
			}
			labels[name] = names
		}
	}
	var table strings.Builder
	table.WriteString("| name | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(help)) {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, kind[name], strings.Join(labels[name], " "), help[name])
	}
	return table.String()
}
