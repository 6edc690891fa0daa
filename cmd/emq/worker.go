package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/worker"
)

const (
	headerTimeout = 5 * time.Second
	// serveGrace is how long answers in flight may take when a server stops.
	serveGrace = time.Second
)

func newWorkerCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Make the calls that are queued",
		Long: `worker takes tasks from the queues of the configured apps, makes their calls, and
decides from each answer: done, again later, or a dead letter.

SIGINT or SIGTERM drains: no further task is taken, calls in flight may end
within --drain-timeout, and what takes longer goes back to its queue. No attempt
is spent. A second signal ends the process at once; its tasks run again later.
SIGHUP reads the file of rules again (--rules); one with faults is logged, and the
rules in force stay.

One app can be configured by the flags below or their variables, several by
emq.yaml. Credentials come from variables or files.`,
		Example: `  EMQ_CLIENT_SECRET_FILE=secret emq worker --app-key org#app --easemob-url https://a1.easemob.com --client-id YXA6
  emq worker --config /etc/emq.yaml --concurrency 32
  emq worker --health off`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			return e.runWorker(cmd.Context(), cfg)
		},
	}
	settingFlags(cmd.Flags(), "app", "app_key", "easemob_url", "client_id", "client_secret", "concurrency",
		"call_timeout", "drain_timeout", "id_retention", "dead_letters_keep", "dead_letters_warn", "audit_keep",
		"alert_link", "alert_backlog", "alert_pace", "alert_remind",
		"health", "rules", "log_format", "log_level", "otlp_endpoint", "otlp_headers", "trace_ratio")
	_ = cmd.MarkFlagFilename("rules", "yaml", "yml") // fails for an unknown flag only
	return cmd
}

// gcPercent lets the heap grow to five times what lives in it before Go collects. What
// lives in a worker's is a few megabytes, so that the usual double would be collected
// dozens of times a second.
const gcPercent = 400

// collectLess sets gcPercent, unless the variable GOGC says otherwise.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

func (e *env) runWorker(ctx context.Context, cfg *config) error {
	collectLess()
	log, err := e.logger(cfg)
	if err != nil {
		return err
	}
	// Before anything else, so that no SIGHUP ends a worker which is starting.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	rules, err := e.rules(ctx, cfg)
	if err != nil {
		return err
	}
	apps, err := cfg.servedApps()
	if err != nil {
		return &usageError{err}
	}
	alerts, err := e.alerts(cfg, apps, log)
	if err != nil {
		return &usageError{err}
	}
	provider, stopTracing, err := startTracing(ctx, cfg, func(text string) { log.Warn("traces are lost", "error", text) })
	if err != nil {
		return err
	}
	defer stopTracing()
	w, err := worker.New(worker.Config{
		Collectors: alerts.Collectors(),
		RedisURL:   cfg.RedisURL, Apps: apps, Concurrency: cfg.Concurrency, CallTimeout: cfg.CallTimeout,
		DrainTimeout: cfg.DrainTimeout, IDRetention: cfg.IDRetention, Rules: rules, Logger: log,
		DeadLettersKeep: cfg.DeadLettersKeep, DeadLettersWarn: cfg.DeadLettersWarn, AuditKeep: cfg.AuditKeep,
		TracerProvider: provider,
	})
	if err != nil {
		return &usageError{err}
	}
	log.Debug("settings", "settings", cfg)
	reading, stopReading := context.WithCancel(ctx)
	var follow sync.WaitGroup
	follow.Go(func() { followRules(reading, signals, cfg.Rules, w.SetRules, log) })
	follow.Go(func() { alerts.Run(reading) })
	defer follow.Wait()
	defer stopReading()
	if cfg.Health == "" {
		return w.Run(ctx)
	}
	listener, err := listen(ctx, cfg.Health)
	if err != nil {
		return fmt.Errorf("health endpoint: %w (choose another with --health, or --health off)", err)
	}
	// Health is answered until the drain is over: that is when it is asked most.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	go func() { failed <- serve(serving, listener, w.Handler()) }()
	err = w.Run(ctx)
	stop()
	return errors.Join(err, <-failed)
}

// listen opens a TCP port.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// serve answers on l until ctx ends, and closes it. It returns nil after an
// orderly end.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
