package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker"
)

const (
	benchAppKey = "bench#emq"
	// benchLimit is configured and never reached.
	benchLimit = "1000000/s"
)

// A benchEnd stands for Easemob in a benchmark: it answers every call as a send to one
// user is answered, and does nothing else, so that what is measured is the queue.
type benchEnd struct {
	url   string
	calls atomic.Int64
	// call looks at a call's body and says with which status it is answered; nil: 200.
	call atomic.Pointer[func(body []byte) (status int)]
}

// benchEnd starts one. It ends with the command.
func (e *env) benchEnd(ctx context.Context) (*benchEnd, error) {
	listener, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &benchEnd{url: "http://" + listener.Addr().String()}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	go func() { failed <- serve(ctx, listener, b) }()
	e.closers = append(e.closers, func() error { stop(); return <-failed })
	return b, nil
}

func (b *benchEnd) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/token") {
		_, _ = io.WriteString(rw, `{"access_token":"bench","expires_in":86400}`)
		return
	}
	status := http.StatusOK
	if call := b.call.Load(); call != nil {
		body, _ := io.ReadAll(r.Body)
		status = (*call)(body)
	} else {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if status == http.StatusOK {
		_, _ = io.WriteString(rw, `{"data":{"u1":"1234567890123456789"}}`)
	} else {
		rw.WriteHeader(status)
	}
	b.calls.Add(1)
}

// watch has each call looked at, until the next watch; nil for none.
func (b *benchEnd) watch(call func(body []byte) (status int)) {
	if call == nil {
		b.call.Store(nil)
		return
	}
	b.call.Store(&call)
}

// idOf is the ID of the task that made a call.
func idOf(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+tasks.ExtTaskID+`":"`))
	id, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(id)
}

// benchApps are the apps of a benchmark as a worker has them: with every feature on and
// limits that are never reached.
func benchApps(end *benchEnd, aliases []string) []worker.App {
	rates, err := tasks.ParseRates(benchLimit)
	if err != nil {
		panic(err)
	}
	limits := map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: {Calls: rates, Messages: rates}}
	apps := make([]worker.App, len(aliases))
	for i, alias := range aliases {
		apps[i] = worker.App{Alias: alias, Key: benchAppKey, URL: end.url, ClientID: "bench", ClientSecret: "bench-secret", Limits: limits}
	}
	return apps
}

// startWorker runs a worker in this process. stop waits until it has ended.
func (e *env) startWorker(url string, end *benchEnd, apps []string, concurrency int) (stop func() error, _ error) {
	w, err := worker.New(worker.Config{
		RedisURL: url, Apps: benchApps(end, apps), Concurrency: concurrency, DrainTimeout: worker.DrainTimeoutMin,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // writing the lines is part of the work
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() error { cancel(); return <-ended }, nil
}

// A benchProcess is a worker in a process of its own.
type benchProcess struct{ *exec.Cmd }

// startProcess starts one. rate is the limit of its calls; empty for one that is never
// reached.
func (e *env) startProcess(url string, end *benchEnd, apps []string, concurrency int, rate string) (*benchProcess, error) {
	type limit struct {
		Calls    string `json:"calls"`
		Messages string `json:"messages"`
	}
	type app struct {
		AppKey       string           `json:"app_key"`
		URL          string           `json:"easemob_url"`
		ClientID     string           `json:"client_id"`
		ClientSecret string           `json:"client_secret"`
		Limits       map[string]limit `json:"limits"`
	}
	if rate == "" {
		rate = benchLimit
	}
	settings := map[string]any{
		"redis_url": url, "concurrency": concurrency, "health": "off", "log_format": "json",
		"drain_timeout": worker.DrainTimeoutMin.String(),
	}
	all := map[string]app{}
	for _, alias := range apps {
		all[alias] = app{benchAppKey, end.url, "bench", "bench-secret", map[string]limit{string(tasks.EndpointMessagesUsers): {rate, benchLimit}}}
	}
	settings["apps"] = all
	dir, err := os.MkdirTemp("", "emq-bench-")
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, func() error { return os.RemoveAll(dir) })
	file := filepath.Join(dir, configFile)
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &benchProcess{exec.Command(self, "worker", "--config", file)}
	// Settings in the variables of whoever measures are not the benchmark's.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, varPrefix) {
			p.Env = append(p.Env, v)
		}
	}
	var errs bytes.Buffer
	p.Stdout, p.Stderr = nil, &errs
	if err := p.Start(); err != nil {
		return nil, err
	}
	e.closers = append(e.closers, func() error { _ = p.stop(); return nil })
	return p, nil
}

// stop ends the process and waits for it.
func (p *benchProcess) stop() error {
	if p.ProcessState != nil {
		return nil
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	err := p.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return nil // by our own signal
	}
	return err
}

// resident is the memory of a process in MB, and cpu the time it has used; ok is false
// where /proc is not to be had.
func resident(pid int) (mb float64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, false
	}
	kb, err := strconv.ParseFloat(fields[0], 64)
	return kb / 1024, err == nil
}

func cpuTime(pid int) (_ time.Duration, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const ticks = 100 // a second: USER_HZ, the same on every Linux
	return time.Duration(user+system) * time.Second / ticks, err1 == nil && err2 == nil
}

// startPlain is what a user would write on asynq alone: a server whose handler makes
// the same call.
func startPlain(b *benchRedis, end *benchEnd, concurrency int) (stop func(), _ error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}}
	server := asynq.NewServerFromRedisClient(b.plain, asynq.Config{
		Concurrency: concurrency, Queues: map[string]int{b.plainQueue(): 1}, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 2 * time.Second },
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		return plainCall(ctx, client, end.url+"/bench/emq/messages/users", t.Payload())
	}))
	return func() { server.Shutdown(); client.CloseIdleConnections() }, err
}

func plainCall(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer bench")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return err
}
