package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// onRedis is an environment whose settings point to a Redis in memory.
func onRedis(t *testing.T, stdin string, environ ...string) testEnv {
	t.Helper()
	m, _ := redistest.Mini(t)
	return newTestEnv(t, stdin, append(environ, "EMQ_REDIS_URL=redis://"+m.Addr())...)
}

// again is e with empty buffers and other input.
func (e testEnv) again(stdin string) testEnv {
	e.stdout.Reset()
	e.stderr.Reset()
	e.in = strings.NewReader(stdin)
	return e
}

func TestEnqueueFlags(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := &enqueueFlags{
		id: "o1", to: []string{"g1"}, target: "chatgroups", from: "admin", text: "hi", ext: `{"n":1}`, priority: "high",
		onUnknown: "hold", in: time.Minute, expiresAt: "2h", maxAttempts: 3, maxAge: time.Hour,
	}
	got, err := f.task(now)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got.Payload)
	if err != nil {
		t.Fatal(err)
	}
	const payload = `{"target":"chatgroups","to":["g1"],"from":"admin","type":"txt","body":{"msg":"hi"},"ext":{"n":1}}`
	if string(raw) != payload {
		t.Errorf("payload %s, want %s", raw, payload)
	}
	got.Payload = nil
	want := tasks.Task{
		ID: "o1", Priority: tasks.High, OnUnknown: tasks.Hold, ProcessAt: now.Add(time.Minute),
		ExpiresAt: now.Add(2 * time.Hour), MaxAttempts: 3, MaxAge: time.Hour,
	}
	if got != want {
		t.Errorf("task %+v, want %+v", got, want)
	}
}

func TestEnqueueOne(t *testing.T) {
	t.Parallel()
	e := onRedis(t, "")
	e.run(t, exitDone, "enqueue", "--to", "u1,u2", "--text", "hi", "--id", "o1")
	if got := e.stdout.String(); got != "queued o1 in default:messages.users:default\n" {
		t.Errorf("stdout %q", got)
	}
	e = e.again("")
	e.run(t, exitDone, "enqueue", "--to", "u1,u2", "--text", "hi", "--id", "o1")
	if got := e.stdout.String(); got != "duplicate o1: already queued; nothing queued\n" {
		t.Errorf("stdout %q", got)
	}
	e = e.again("")
	e.run(t, exitDone, "enqueue", "--to", "u1", "--text", "hi", "--app", "shop", "--priority", "low", "--json")
	var got enqueueResult
	if err := json.Unmarshal(e.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.ID == "" || got.App != "shop" || got.Queue != "shop:messages.users:low" || got.Result != resultQueued {
		t.Errorf("result %+v", got)
	}
}

// TestEnqueueReportsParts holds that each part of a list that was split is reported.
func TestEnqueueReportsParts(t *testing.T) {
	t.Parallel()
	message := []string{"enqueue", "--target", "chatgroups", "--to", "1,2,3,4", "--text", "hi", "--id", "o1"}
	const queue = "default:messages.groups:default"
	e := onRedis(t, "")
	e.run(t, exitDone, message...)
	if got, want := e.stdout.String(), "queued o1.part1 in "+queue+"\nqueued o1.part2 in "+queue+"\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	e = e.again("")
	e.run(t, exitDone, append(message, "--json")...)
	const again = `{"id":"o1.part1","app":"default","result":"duplicate","error":"already queued"}
{"id":"o1.part2","app":"default","result":"duplicate","error":"already queued"}
`
	if got := e.stdout.String(); got != again {
		t.Errorf("stdout %q, want %q", got, again)
	}

	line := `{"id":"o2","kind":"message.send","payload":{"target":"chatgroups","to":["1","2","3","4"],"type":"txt","body":{"msg":"hi"}}}`
	e = e.again(envelope("a") + "\n" + line + "\n")
	e.run(t, exitDone, "enqueue", "-f", "-", "--json")
	want := `{"line":1,"id":"a","app":"default","queue":"default:messages.users:default","result":"queued"}
{"line":2,"id":"o2.part1","app":"default","queue":"` + queue + `","result":"queued"}
{"line":2,"id":"o2.part2","app":"default","queue":"` + queue + `","result":"queued"}
`
	if got := e.stdout.String(); got != want {
		t.Errorf("stdout\n%swant\n%s", got, want)
	}
	if got := e.stderr.String(); got != "3 new tasks queued, 0 duplicates\n" {
		t.Errorf("stderr %q", got)
	}
}

// TestEnqueueWarnsOfAnUnknownApp: alike by flags and by a line of a file, and
// wherever the app was named.
func TestEnqueueWarnsOfAnUnknownApp(t *testing.T) {
	t.Parallel()
	two := t.TempDir() + "/emq.yaml"
	writeFile(t, two, "apps: {shop: {app_key: o#s}, other: {app_key: o#o}}\n")
	const line = `{"kind":"call.raw","payload":{"method":"GET","path":"/users/u1"}}`
	for _, test := range []struct {
		name    string
		environ []string
		flags   []string
		inLine  string // the app that the line names
		want    string // the app that is warned of
	}{
		{name: "nothing is configured"},
		{name: "nothing is configured, and the flag names an app", flags: []string{"--app", "nosuch"}, want: "nosuch"},
		{name: "nothing is configured, and the variable names an app", environ: []string{"EMQ_APP=nosuch"}, want: "nosuch"},
		{name: "nothing is configured, and the line names an app", inLine: "nosuch", want: "nosuch"},
		{name: "described by variables", environ: []string{"EMQ_APP_KEY=o#a"}},
		{name: "described by variables, and named by the flag", environ: []string{"EMQ_APP_KEY=o#a"}, flags: []string{"--app", "default"}},
		{name: "described by variables, under a name", environ: []string{"EMQ_APP_KEY=o#a", "EMQ_APP=eu"}},
		{name: "described by variables, and another in the flag", environ: []string{"EMQ_APP_KEY=o#a"}, flags: []string{"--app", "nosuch"}, want: "nosuch"},
		{name: "described by variables, and another in the line", environ: []string{"EMQ_APP_KEY=o#a"}, inLine: "nosuch", want: "nosuch"},
		{name: "described by the file", environ: []string{"EMQ_CONFIG=" + two}, flags: []string{"--app", "shop"}},
		{name: "the variable names none of the file's", environ: []string{"EMQ_CONFIG=" + two, "EMQ_APP=nosuch"}, want: "nosuch"},
		{name: "completed by a variable", environ: []string{"EMQ_CONFIG=" + two, "EMQ_CLIENT_ID=i"}, flags: []string{"--app", "shop"}},
		{name: "a variable completes none of the file's", environ: []string{"EMQ_CONFIG=" + two, "EMQ_CLIENT_ID=i"}, flags: []string{"--app", "nosuch"}, want: "nosuch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := ""
			if test.want != "" {
				want = fmt.Sprintf("emq: warning: app %q is not configured here; make sure that a worker serves it\n", test.want)
			}
			text := line
			if test.inLine != "" {
				text = strings.Replace(line, "{", fmt.Sprintf(`{"app":%q,`, test.inLine), 1)
			}
			e := onRedis(t, text, test.environ...)
			e.run(t, exitDone, append([]string{"enqueue", "-f", "-"}, test.flags...)...)
			if e.stderr.String() != want {
				t.Errorf("of a file: %q, want %q", e.stderr, want)
			}
			if test.inLine != "" {
				return
			}
			e = e.again("")
			e.run(t, exitDone, append([]string{"enqueue", "--to", "u1", "--text", "hi"}, test.flags...)...)
			if e.stderr.String() != want {
				t.Errorf("by flags: %q, want %q", e.stderr, want)
			}
		})
	}
}

func TestEnqueueWithoutRedis(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t, "", "EMQ_REDIS_URL=redis://:topsecret@127.0.0.1:1")
	e.run(t, exitFailed, "enqueue", "--to", "u1", "--text", "hi")
	if got := e.stderr.String(); !strings.Contains(got, "reach Redis at redis://:xxxxx@127.0.0.1:1") || strings.Contains(got, "topsecret") {
		t.Errorf("stderr %q", got)
	}
}

// envelope is a good line.
func envelope(id string) string {
	return fmt.Sprintf(`{"id":%q,"kind":"message.send","payload":{"target":"users","to":["u1"],"type":"txt","body":{"msg":"hi"}}}`, id)
}

const badLine = `{"id":"bad","kind":"message.send","payload":{"target":"users","to":[],"type":"txt","body":{"msg":"hi"}}}`

// sources feeds the same input as a file, as a redirected file and as a pipe.
func sources(t *testing.T, text string, do func(t *testing.T, e testEnv, arg string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tasks.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("file", func(t *testing.T) { do(t, onRedis(t, ""), path) })
	t.Run("redirected", func(t *testing.T) {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		e := onRedis(t, "")
		e.in = file
		do(t, e, "-")
	})
	t.Run("pipe", func(t *testing.T) { do(t, onRedis(t, text), "-") })
}

func TestEnqueueFile(t *testing.T) {
	t.Parallel()
	text := "\xef\xbb\xbf" + envelope("a") + "\r\n\n" + envelope("b") + "\n" + envelope("a") + "\n" + envelope("c")
	sources(t, text, func(t *testing.T, e testEnv, arg string) {
		e.run(t, exitDone, "enqueue", "-f", arg)
		if got := e.stdout.String(); got != "3 new tasks queued, 1 duplicate\n" {
			t.Errorf("stdout %q", got)
		}
	})
}

func TestEnqueueFileTwice(t *testing.T) {
	t.Parallel()
	text := envelope("a") + "\n" + envelope("b") + "\n"
	e := onRedis(t, text)
	e.run(t, exitDone, "enqueue", "-f", "-")
	e = e.again(text + envelope("c"))
	e.run(t, exitDone, "enqueue", "-f", "-")
	if got := e.stdout.String(); got != "1 new task queued, 2 duplicates\n" {
		t.Errorf("stdout %q", got)
	}
}

func TestEnqueueFileAllOrNothing(t *testing.T) {
	t.Parallel()
	text := envelope("a") + "\n" + badLine + "\nnonsense\n" + envelope("b") + "\n"
	sources(t, text, func(t *testing.T, e testEnv, arg string) {
		e.run(t, exitUsage, "enqueue", "-f", arg)
		want := "line 2: payload.to: must hold at least one id\n" +
			"line 3: json: not valid JSON at byte 2: invalid character 'o' in literal null (expecting 'u')\n" +
			"emq: 2 bad lines: nothing was queued (--keep-going queues the rest)\nsee 'emq enqueue --help'\n"
		if e.stderr.String() != want || e.stdout.Len() > 0 {
			t.Errorf("stderr %q, stdout %q", e.stderr, e.stdout)
		}
		e = e.again(envelope("a"))
		e.run(t, exitDone, "enqueue", "-f", "-")
		if got := e.stdout.String(); got != "1 new task queued, 0 duplicates\n" {
			t.Errorf("the first line had been queued: %q", got)
		}
	})
}

func TestEnqueueFileKeepGoing(t *testing.T) {
	t.Parallel()
	text := envelope("a") + "\n" + badLine + "\n" + envelope("b") + "\n" + envelope("a")
	sources(t, text, func(t *testing.T, e testEnv, arg string) {
		e.run(t, exitFailed, "enqueue", "--keep-going", "-f", arg)
		if got := e.stdout.String(); got != "2 new tasks queued, 1 duplicate, 1 bad line\n" {
			t.Errorf("stdout %q", got)
		}
		if got := e.stderr.String(); got != "line 2: payload.to: must hold at least one id\n" {
			t.Errorf("stderr %q", got)
		}
	})
}

func TestEnqueueFileJSON(t *testing.T) {
	t.Parallel()
	e := onRedis(t, envelope("a")+"\n"+badLine+"\n"+envelope("a")+"\n")
	e.run(t, exitFailed, "enqueue", "--keep-going", "--json", "-f", "-")
	// A bad line is reported when it is read, the others when their batch is queued.
	want := `{"line":2,"result":"bad","error":"payload.to: must hold at least one id"}
{"line":1,"id":"a","app":"default","queue":"default:messages.users:default","result":"queued"}
{"line":3,"id":"a","app":"default","result":"duplicate","error":"already queued"}
`
	if e.stdout.String() != want {
		t.Errorf("stdout\n%swant\n%s", e.stdout, want)
	}
	if !strings.Contains(e.stderr.String(), "1 new task queued, 1 duplicate, 1 bad line\n") {
		t.Errorf("stderr %q", e.stderr)
	}
}

func TestEnqueueFileManyBadLines(t *testing.T) {
	t.Parallel()
	e := onRedis(t, strings.Repeat("x\n", 10*badShown))
	e.run(t, exitUsage, "enqueue", "-f", "-")
	if got := strings.Count(e.stderr.String(), "\n"); got != badShown+2 {
		t.Errorf("%d lines on stderr, want %d", got, badShown+2)
	}
}

// TestEnqueueFileOfManyBatches queues more than one batch and notices the
// duplicates across batches.
func TestEnqueueFileOfManyBatches(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3*fileBatch + 7 {
		text.WriteString(envelope(fmt.Sprintf("t%d", i)) + "\n")
	}
	text.WriteString(envelope("t0") + "\n")
	e := onRedis(t, text.String())
	e.run(t, exitDone, "enqueue", "-f", "-")
	if want := fmt.Sprintf("%d new tasks queued, 1 duplicate\n", 3*fileBatch+7); e.stdout.String() != want {
		t.Errorf("stdout %q, want %q", e.stdout, want)
	}
}

// TestEnqueueFileStopsWithRedis: what was queued is said, and that the rest was not.
func TestEnqueueFileStopsWithRedis(t *testing.T) {
	t.Parallel()
	m, _ := redistest.Mini(t)
	e := newTestEnv(t, "", "EMQ_REDIS_URL=redis://"+m.Addr())
	first := strings.Builder{}
	for i := range fileBatch {
		first.WriteString(envelope(fmt.Sprintf("t%d", i)) + "\n")
	}
	reads := 0
	e.in = io.MultiReader(strings.NewReader(first.String()), readerFunc(func([]byte) (int, error) {
		if reads++; reads == 1 {
			m.SetError("LOADING gone")
		}
		return 0, io.EOF
	}), strings.NewReader(envelope("late")+"\n"))
	e.run(t, exitFailed, "enqueue", "--keep-going", "-f", "-")
	want := fmt.Sprintf("%d new tasks queued, 0 duplicates, 0 bad lines, 1 failed; the rest was not queued", fileBatch)
	if !strings.HasPrefix(e.stdout.String(), want) {
		t.Errorf("stdout %q, want %q", e.stdout, want)
	}
	if !strings.Contains(e.stderr.String(), fmt.Sprintf("emq: line %d: enqueue late: ", fileBatch+1)) {
		t.Errorf("stderr %q", e.stderr)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestEnqueueFileThatIsNone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{t.TempDir(), "/absent.jsonl"} {
		e := onRedis(t, "")
		e.run(t, exitUsage, "enqueue", "-f", path)
		if !strings.Contains(e.stderr.String(), path) {
			t.Errorf("stderr %q", e.stderr)
		}
	}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*lineBytes)
	in := bufio.NewReaderSize(strings.NewReader("a\n\n"+long+"\nlast"), 4096)
	for i, want := range []struct {
		kept, size int
		err        error
	}{{2, 2, nil}, {1, 1, nil}, {lineBytes + 1, len(long) + 1, nil}, {4, 4, io.EOF}} {
		line, size, err := readLine(in)
		if len(line) != want.kept || size != want.size || err != want.err { //nolint:errorlint // io.EOF itself
			t.Errorf("line %d: kept %d of %d, %v; want %+v", i, len(line), size, err, want)
		}
	}
}

// TestSpoolLeavesNothing: a pipe is kept in a file that only the owner reads,
// and that is gone from the directory at once, or else afterwards.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	in, err := input{Reader: strings.NewReader("secret"), close: func() {}}.spool()
	if err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 && runtime.GOOS != "windows" {
		t.Fatalf("files %v, %v", files, err)
	}
	if info, err := in.Reader.(*os.File).Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for range 2 {
		raw, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(raw, []byte("secret")) || in.size != 6 {
			t.Errorf("read %q of %d, %v", raw, in.size, err)
		}
		if err := in.rewind(); err != nil {
			t.Fatal(err)
		}
	}
	in.close()
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
