package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestSimulatorHelpOnFaults: the help has a line for each field of a fault, and
// its examples are faults.
func TestSimulatorHelpOnFaults(t *testing.T) {
	t.Parallel()
	all := simulator.Fault{
		ID: "x", App: "o#a", Method: "POST", Path: "/", BodyContains: "x", Skip: 1, Times: 1, Probability: 1, Status: 500,
		Body: 1, BodyText: "x", Header: map[string]string{"x": "y"}, Latency: time.Second, Cut: simulator.CutAfter, Execute: true,
		NotJSON: true, WrongToken: true, Fail: []string{"u1"},
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	cmd := newSimulatorCmd(newTestEnv(t, "").env)
	for field := range fields {
		if field != "id" && !strings.Contains(cmd.Long, "\n  "+field+" ") {
			t.Errorf("no line for %s", field)
		}
	}
	if lines := len(regexp.MustCompile(`(?m)^  [a-z_]+ {2,}`).FindAllString(cmd.Long, -1)); lines != len(fields)-1 {
		t.Errorf("%d lines for %d fields", lines, len(fields)-1)
	}
	examples := regexp.MustCompile(`-d '([^']*)'`).FindAllStringSubmatch(cmd.Example, -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, example := range examples {
		var fault simulator.Fault
		if err := json.Unmarshal([]byte(example[1]), &fault); err != nil {
			t.Fatal(err)
		}
		if _, err := simulator.New(simulator.Config{Apps: simulatedApps(&config{}), Faults: []simulator.Fault{fault}}); err != nil {
			t.Errorf("%s: %v", example[1], err)
		}
	}
}
