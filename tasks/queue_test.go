package tasks

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestQueueNames(t *testing.T) {
	t.Parallel()
	names := QueueNames("shop")
	if len(names) != len(Endpoints())*len(Priorities()) {
		t.Fatalf("%d queues: %v", len(names), names)
	}
	seen := map[string]bool{}
	for _, name := range names {
		app, endpoint, priority, ok := ParseQueueName(name)
		if !ok || app != "shop" || QueueName(app, endpoint, priority) != name || seen[name] {
			t.Errorf("%s reads as %s, %s, %s, %v", name, app, endpoint, priority, ok)
		}
		seen[name] = true
	}
	if !seen["shop:messages.users:high"] || !seen["shop:users.account:low"] {
		t.Errorf("names %v", names)
	}
}

func TestParseQueueNameLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "default", "shop:messages", "shop:messages.users:high:x", "Shop:messages.users:high", ":messages.users:high",
		"shop:message:high", "shop:messages:urgent", "shop:messages:", "shop::high", "a{b}:messages.users:high",
	} {
		if app, endpoint, priority, ok := ParseQueueName(name); ok {
			t.Errorf("%q reads as %s, %s, %s", name, app, endpoint, priority)
		}
	}
}

func TestQueueID(t *testing.T) {
	t.Parallel()
	for want, task := range map[string]Task{"a": {ID: "a"}, "a~1": {ID: "a", Generation: 1}, "a~12": {ID: "a", Generation: 12}} {
		if got := task.QueueID(); got != want {
			t.Errorf("QueueID = %s, want %s", got, want)
		}
		if id, generation := SplitQueueID(want); id != task.ID || generation != task.Generation {
			t.Errorf("%s splits into %s, %d", want, id, generation)
		}
	}
	for _, other := range []string{"", "a~", "a~0", "a~-1", "a~x", "a~1~2"} {
		if id, generation := SplitQueueID(other); id != other || generation != 0 {
			t.Errorf("%s splits into %s, %d: it is no QueueID of emq's", other, id, generation)
		}
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	task := Task{EnqueuedAt: at, MaxAge: time.Hour}
	equal(t, "deadline", task.Deadline(), at.Add(time.Hour))
	task.ProcessAt = at.Add(-time.Minute)
	equal(t, "deadline, due in the past", task.Deadline(), at.Add(time.Hour))
	task.ProcessAt = at.Add(24 * time.Hour)
	equal(t, "deadline, planned", task.Deadline(), at.Add(25*time.Hour))
}

// TestKeysOfAnAppShareASlot holds that one script may touch all keys of an app
// on Cluster, and that asynq's keys of a queue stay apart.
func TestKeysOfAnAppShareASlot(t *testing.T) {
	t.Parallel()
	tag := func(key string) string {
		_, rest, _ := strings.Cut(key, "{")
		inner, _, ok := strings.Cut(rest, "}")
		if !ok || inner == "" {
			t.Fatalf("%s has no hash tag", key)
		}
		return inner
	}
	for _, id := range []string{"a", "x:y@z/#+=,-"} {
		for _, key := range []string{ClaimKey("shop", id), EntryKey("shop", id), AppKey("shop", id)} {
			if tag(key) != "shop" {
				t.Errorf("%s: tag %s", key, tag(key))
			}
		}
		if got := tag(TaskKey("shop:messages.users:high", id)); got != "shop:messages.users:high" {
			t.Errorf("tag %s", got)
		}
	}
	if ClaimKey("a", "x") == EntryKey("a", "x") {
		t.Error("claim and entry share a key")
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":              "plain",
		"a\x00\x1b[31mb\x7f": "a[31mb",
		"line\n\tnext\r":     "line\n\tnext",
		"bad\xffutf8":        "badutf8",
		"环信环信":               "环信环", // cut between characters, at 10 bytes
	} {
		if got := Printable(in, 10); got != want[:min(len(want), 10)] || !utf8.ValidString(got) {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}
