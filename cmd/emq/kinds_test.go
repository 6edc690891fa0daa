package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/imqueue/emq/tasks"
)

func TestKindsList(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t, "")
	e.run(t, exitDone, "kinds")
	for _, info := range tasks.Kinds() {
		endpoint := string(info.Endpoint)
		if endpoint == "" {
			endpoint = byPayload
		}
		if !strings.Contains(e.stdout.String(), "\n"+string(info.Kind)+"\t"+endpoint+"\t") {
			t.Errorf("no %s at %s in\n%s", info.Kind, endpoint, e.stdout)
		}
	}
	e = newTestEnv(t, "")
	e.run(t, exitDone, "kinds", "--json")
	lines := strings.Split(strings.TrimSpace(e.stdout.String()), "\n")
	if len(lines) != len(tasks.Kinds()) {
		t.Fatalf("%d lines for %d kinds", len(lines), len(tasks.Kinds()))
	}
	for i, info := range tasks.Kinds() {
		var line kindLine
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatal(err)
		}
		if line.Kind != info.Kind || line.Endpoint != info.Endpoint || line.Summary == "" || line.Why == "" || line.Source == "" || len(line.Fields) == 0 {
			t.Errorf("%s: %+v", info.Kind, line)
		}
	}
}

func TestKindsShow(t *testing.T) {
	t.Parallel()
	for _, info := range tasks.Kinds() {
		e := newTestEnv(t, "")
		e.run(t, exitDone, "kinds", string(info.Kind))
		repeatable := "repeatable\tno: "
		if info.Repeatable {
			repeatable = "repeatable\tyes: "
		}
		for _, want := range []string{"kind\t" + string(info.Kind) + "\n", repeatable, "source\t", "\nfield\ttype\trequired\tbound\n", "\n\n" + info.Example + "\n"} {
			if !strings.Contains(e.stdout.String(), want) {
				t.Errorf("no %q in\n%s", want, e.stdout)
			}
		}
		for _, f := range info.Fields {
			if !strings.Contains(e.stdout.String(), "\n"+f.Name+"\t"+f.Type+"\t") {
				t.Errorf("%s: no field %s in\n%s", info.Kind, f.Name, e.stdout)
			}
		}
	}
}

// TestKindExamplesAreEnqueued pipes what is printed into enqueue.
func TestKindExamplesAreEnqueued(t *testing.T) {
	t.Parallel()
	e := onRedis(t, "")
	for _, info := range tasks.Kinds() {
		e = e.again("")
		e.run(t, exitDone, "kinds", string(info.Kind), "--example")
		e = e.again(e.stdout.String())
		e.run(t, exitDone, "enqueue", "-f", "-")
		if !strings.HasPrefix(e.stderr.String(), "1 new task queued") && !strings.HasPrefix(e.stdout.String(), "1 new task queued") {
			t.Errorf("%s: %s%s", info.Kind, e.stdout, e.stderr)
		}
	}
}

func TestKindsMistakes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"kinds group.add_member":              `no kind "group.add_member" (did you mean group.add_members?)`,
		"kinds pigeon":                        "no kind \"pigeon\"; `emq kinds` lists all",
		"kinds --example":                     "--example goes with a KIND",
		"kinds a b":                           "unexpected argument \"b\": only one KIND is taken",
		"kinds group.create --json --example": "none of the others can be",
	} {
		e := newTestEnv(t, "")
		e.run(t, exitUsage, strings.Fields(args)...)
		if !strings.Contains(e.stderr.String(), want) {
			t.Errorf("emq %s: %s, want %q", args, e.stderr, want)
		}
	}
}
