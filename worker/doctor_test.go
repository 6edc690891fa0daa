package worker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/worker/easemob"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestExamine sees an app that is as it should be, and what can be wrong with one.
func TestExamine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	good := w.config().Apps[0]
	with := func(alias string, change func(*App)) App {
		app := good
		app.Alias = alias
		change(&app)
		return app
	}
	apps := []App{
		good,
		with("secret", func(a *App) { a.ClientSecret = "canary-secret" }),
		with("key", func(a *App) { a.Key = "demo#nobody" }),
		with("down", func(a *App) { a.URL = "http://127.0.0.1:1" }),
		with("tls", func(a *App) { a.URL = strings.Replace(a.URL, "http:", "https:", 1) }),
		with("path", func(a *App) { a.URL += "/demo" }),
		with("empty", func(a *App) { a.ClientID = "" }),
	}
	var all []string
	found := map[string]dlq.Finding{}
	for _, f := range Examine(t.Context(), apps, nil) {
		line := fmt.Sprintf("%s %s %s", f.Check, f.App, f.Level)
		all, found[line] = append(all, line), f
		if f.What.En == "" || f.What.Zh == "" || f.Level != dlq.LevelOK && (f.Mend.En == "" || f.Mend.Zh == "") ||
			f.Level == dlq.LevelFail && (f.Cost.En == "" || f.Cost.Zh == "") {
			t.Errorf("says too little: %+v", f)
		}
	}
	want := []string{
		"host default ok", "credentials default ok", "host secret ok", "credentials secret fail", "host key ok", "credentials key fail",
		"host down fail", "host tls fail", "settings path fail", "settings empty unknown",
	}
	if !slices.Equal(all, want) {
		t.Errorf("got  %q\nwant %q", all, want)
	}
	for line, says := range map[string]string{
		"host down fail": "connection_refused", "host tls fail": "tls", "settings path fail": "must not hold a path",
		"credentials secret fail": "client_secret",
	} {
		if f := found[line]; !strings.Contains(f.What.En, says) {
			t.Errorf("%s does not say %s: %+v", line, says, f)
		}
	}
	if f := found["host tls fail"]; !strings.Contains(f.Mend.En, "certificate") {
		t.Errorf("%+v", f)
	}
	if f := unreached(good, &easemob.Error{Op: easemob.OpCall, Transport: easemob.TransportDNS}); !strings.Contains(f.Mend.En, "DNS") {
		t.Errorf("%+v", f)
	}
	if none := Examine(t.Context(), nil, nil); len(none) != 1 || none[0].Level != dlq.LevelUnknown {
		t.Errorf("no app: %+v", none)
	}
	if text := fmt.Sprintf("%+v", found); strings.Contains(text, "canary-secret") || strings.Contains(text, good.ClientSecret) || strings.Contains(text, "YWMt") {
		t.Errorf("shows a secret or a token: %s", text)
	}
}

// TestExamineTroubled sees a host that answers, and gives no token for now.
func TestExamineTroubled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Faults: []simulator.Fault{{ID: "busy", Path: "/token", Status: 503}}})
	found := Examine(t.Context(), w.config().Apps, nil)
	if len(found) != 2 || found[0].Level != dlq.LevelOK || found[1].Level != dlq.LevelWarn || !strings.Contains(found[1].What.En, "503") {
		t.Errorf("%+v", found)
	}
}

func TestExamineHost(t *testing.T) {
	t.Parallel()
	if f := reached(App{Alias: "shop"}, easemob.Probe{Latency: 2 * time.Second}); f.Level != dlq.LevelWarn || f.Cost.Zh == "" || f.Mend.Zh == "" {
		t.Errorf("slow: %+v", f)
	}
	ends := time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)
	for left, want := range map[time.Duration]dlq.Level{30 * 24 * time.Hour: dlq.LevelOK, 24 * time.Hour: dlq.LevelWarn} {
		if f := certified(App{Alias: "shop"}, left, ends); f.Level != want || !strings.Contains(f.What.En, "2027-03-04") {
			t.Errorf("%v: %+v", left, f)
		}
	}
}
