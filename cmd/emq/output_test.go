package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// rowsOf prints two rows in every way that there is.
func rowsOf(t *testing.T, tty, asJSON bool) string {
	t.Helper()
	e := newTestEnv(t, "")
	e.outTTY = tty
	type item struct {
		Name string `json:"name"`
	}
	l := e.newList(asJSON, "name", "count", "last_seen", "took", "paused")
	l.row(item{"one"}, "one", 1, e.now().Add(-90*time.Second), 1500*time.Millisecond, true)
	l.row(item{"<two>"}, "a\tb\nc\x1b[31m\u009b", 22, time.Time{}, time.Duration(0), false)
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	return e.stdout.String()
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		tty, asJSON bool
		want        []string
	}{
		{"for a person", true, false, []string{
			"NAME       COUNT  LAST SEEN  TOOK  PAUSED",
			"one        1      1m ago     1s    true",
			"a b c[31m  22     -          0ms   false",
		}},
		{"for a pipe", false, false, []string{
			"name\tcount\tlast_seen\ttook\tpaused",
			"one\t1\t2026-05-04T11:58:30Z\t1.5s\ttrue",
			"a b c[31m\t22\t\t0s\tfalse",
		}},
		{"as JSON", false, true, []string{`{"name":"one"}`, `{"name":"<two>"}`}},
		{"as JSON on a terminal", true, true, []string{`{"name":"one"}`, `{"name":"<two>"}`}},
	} {
		got := rowsOf(t, test.tty, test.asJSON)
		if want := strings.Join(test.want, "\n") + "\n"; got != want {
			t.Errorf("%s:\n%q\nwant\n%q", test.name, got, want)
		}
	}
}

// TestListSentences: a person reads long texts below their row, and columns
// stay aligned beside characters that are two cells wide.
func TestListSentences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tty  bool
		want string
	}{
		{true, "NAME  COUNT\n中文  1\n    why: it is late\nab    22\n"},
		{false, "name\twhy\tcount\n中文\tit is late\t1\nab\t\t22\n"},
	} {
		e := newTestEnv(t, "")
		e.outTTY = test.tty
		l := e.newList(false, "name", "why:", "count")
		l.row(nil, "中文", "it is late", 1)
		l.row(nil, "ab", "", 22)
		if err := l.end(); err != nil || e.stdout.String() != test.want {
			t.Errorf("terminal %v: %q, %v; want %q", test.tty, e.stdout, err, test.want)
		}
	}
}

func TestEmptyList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		tty, asJSON bool
		out, err    string
	}{
		{"person", true, false, "NAME\n", "no things\n"},
		{"pipe", false, false, "name\n", ""},
		{"JSON", true, true, "", ""},
	} {
		e := newTestEnv(t, "")
		e.outTTY, e.errTTY = test.tty, test.tty
		if err := e.endList(e.newList(test.asJSON, "name"), "things"); err != nil {
			t.Fatal(err)
		}
		if e.stdout.String() != test.out || e.stderr.String() != test.err {
			t.Errorf("%s: stdout %q, stderr %q", test.name, e.stdout, e.stderr)
		}
	}
}

// brokenWriter fails as a full disk does.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("disk full")

func TestFailedOutputIsAnError(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{false, true} {
		e := newTestEnv(t, "")
		e.out, e.outTTY = brokenWriter{}, tty
		l := e.newList(false, "name")
		l.row(nil, "x")
		if err := l.end(); !errors.Is(err, errBroken) {
			t.Errorf("list: error %v", err)
		}
		f := e.newFields()
		f.field("name", "x")
		if !errors.Is(f.err, errBroken) {
			t.Errorf("fields: error %v", f.err)
		}
	}
	e := newTestEnv(t, "")
	e.out = brokenWriter{}
	e.run(t, exitFailed, "explain", "--status", "404")
}

func TestRelative(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for ago, want := range map[time.Duration]string{
		0: "now", -500 * time.Millisecond: "now", time.Second: "1s ago", 59 * time.Second: "59s ago",
		90 * time.Second: "1m ago", 3 * time.Hour: "3h ago", 47 * time.Hour: "47h ago", 49 * time.Hour: "2d ago",
		-10 * time.Minute: "in 10m", -72 * time.Hour: "in 3d",
	} {
		if got := relative(now, now.Add(-ago)); got != want {
			t.Errorf("%v ago: %q, want %q", ago, got, want)
		}
	}
}

func TestShortDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", time.Minute: "1m", 90 * time.Minute: "1h30m", 15 * time.Second: "15s", 10 * time.Minute: "10m", 0: "0s",
		90 * time.Second: "1m30s", 20 * time.Hour: "20h",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestProgressOnlyForAPerson(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ wanted, tty, shown bool }{{true, true, true}, {true, false, false}, {false, true, false}} {
		e := newTestEnv(t, "")
		e.errTTY = test.tty
		b := e.newBar(test.wanted, 2, "working", false)
		b.advance(1)
		b.advance(1)
		b.clear()
		if shown := strings.Contains(e.stderr.String(), "working"); shown != test.shown || e.stdout.Len() > 0 {
			t.Errorf("%+v: stderr %q, stdout %q", test, e.stderr, e.stdout)
		}
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, level, want, without string }{
		{"text", "info", `level=INFO msg=hello n=1`, "quiet"},
		{"json", "info", `"level":"INFO","msg":"hello","n":1`, "quiet"},
		{"text", "debug", "msg=quiet", "nothing"},
		{"text", "error", "", "hello"},
	} {
		e := newTestEnv(t, "")
		log, err := e.logger(&config{LogFormat: test.format, LogLevel: test.level})
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("quiet")
		log.Info("hello", "n", 1)
		got := e.stderr.String()
		if !strings.Contains(got, test.want) || strings.Contains(got, test.without) {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestLevelHandler(t *testing.T) {
	t.Parallel()
	var got []string
	log := slog.New(newLevelHandler(&slog.HandlerOptions{Level: slog.LevelDebug}, func(level slog.Level, line string) error {
		got = append(got, level.String()+"|"+line)
		return nil
	}))
	log.Warn("a", "x", 1)
	log.With("app", "shop").WithGroup("g").Error("b", "y", "two words")
	log.Debug("c")
	want := []string{`WARN|level=WARN msg=a x=1`, `ERROR|level=ERROR msg=b app=shop g.y="two words"`, `DEBUG|level=DEBUG msg=c`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLevelHandlerPassesErrorsOn(t *testing.T) {
	t.Parallel()
	h := newLevelHandler(nil, func(slog.Level, string) error { return io.ErrClosedPipe })
	if err := h.Handle(context.Background(), slog.Record{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

func TestReadBuild(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t, "")
	e.run(t, exitDone, "version", "--json")
	if got := e.stdout.String(); !strings.Contains(got, `"go":"go1.`) || !strings.Contains(got, `"version":"`) {
		t.Errorf("version --json: %s", got)
	}
	if b := readBuild("1.2.3", nil); b != (build{Version: "1.2.3"}) {
		t.Errorf("linked version alone: %+v", b)
	}
	if b := readBuild("", nil); b.Version != "devel" {
		t.Errorf("nothing known: %+v", b)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	if got := oneLine("a\n\tb\r\x00 c\xff", 100); got != "a b c" {
		t.Errorf("%q", got)
	}
	var b bytes.Buffer
	f := &fields{to: &b, person: true}
	f.field("empty", "")
	f.field("name", "line\nline")
	if want := "name          line line\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
