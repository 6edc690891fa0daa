package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/admin"
	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/worker"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

const (
	devTrialApp    = "trial" // alias of the app whose plan is used up
	devTrialKey    = "demo#trial"
	devCallTimeout = 2 * time.Second
	// devPatience bounds each wait of the sample: far more than it needs, so
	// that a run which is stuck ends all the same.
	devPatience = 2 * time.Minute
	devTrickle  = 10 * time.Second // between two messages once the sample is through
)

func newDevCmd(e *env) *cobra.Command {
	var once bool
	var data string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run all of emq in one process, with a simulated Easemob and sample traffic",
		Long: `dev runs a Redis, a simulated Easemob and a worker in this process, feeds them a
sample of realistic traffic, good and bad, and shows what becomes of it. It stays
up, and prints the commands to look at it from a second terminal.

The Redis is in memory and forgets everything at the end. With --data it is a real
redis-server with an append-only file in that directory, if one is installed. The
one of the settings is left alone.

With --once it runs the sample to its end, mends the faults, resends the dead
letters, and checks by the simulator's own record that nothing was lost or sent
twice. It exits 0 only if so.`,
		Example: `  emq dev                  look around
  emq dev --once           prove that it works
  emq dev --data ./data    keep the queues on disk`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("redis-url") {
				return usagef("--redis-url: dev runs a Redis of its own; --data DIR keeps it on disk")
			}
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			rules, err := e.rules(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return runDev(cmd.Context(), e, rules, once, data)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "run the sample to its end, resend, check, and exit")
	cmd.Flags().StringVar(&data, "data", "", "directory for a real redis-server's append-only file")
	settingFlags(cmd.Flags(), "rules")
	_ = cmd.MarkFlagFilename("rules", "yaml", "yml") // fails for an unknown flag only
	return cmd
}

// dev is everything in one process.
type dev struct {
	out      io.Writer
	redisURL string
	rdb      redis.UniversalClient
	client   *tasks.Client
	store    *dlq.Store
	sim      *simulator.Simulator
	simURL   string
	pageURL  string // of the operators' page
	view     *devView
	sample   *devSample
}

func runDev(ctx context.Context, e *env, rules *errclass.Table, once bool, data string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &dev{out: e.out, view: &devView{out: e.out, start: e.now(), ends: map[string]map[string]int{}}}

	stopRedis, err := d.startRedis(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRedis()) }()
	if d.rdb, err = tasks.OpenRedis(d.redisURL); err != nil {
		return err
	}
	defer func() { _ = d.rdb.Close() }()
	if d.client, err = tasks.NewClient(tasks.ClientConfig{Redis: d.rdb}); err != nil {
		return err
	}
	if d.store, err = dlq.New(dlq.Config{Redis: d.rdb, Client: d.client}); err != nil {
		return err
	}

	simDone, err := d.startSimulator(ctx)
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, <-simDone) }()
	workerDone, err := d.startWorker(ctx, rules)
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, <-workerDone) }()

	if !once {
		pageDone, err := d.startPage(ctx, rules)
		if err != nil {
			return err
		}
		defer func() { cancel(); err = errors.Join(err, <-pageDone) }()
	}
	if err := d.feed(ctx); err != nil {
		return err
	}
	if once {
		return d.proveSample(ctx)
	}
	d.invite()
	d.trickle(ctx)
	return nil
}

// startRedis runs a Redis: in memory, or on disk when a directory is given.
func (d *dev) startRedis(ctx context.Context, data string) (stop func() error, err error) {
	if data != "" {
		dir, err := filepath.Abs(data)
		if err != nil {
			return nil, fmt.Errorf("--data %q: %w", data, err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("--data %q: %w", data, err)
		}
		server, err := redisserver.Start(ctx, redisserver.Options{Dir: dir, AppendFsync: "always"})
		if err != nil {
			return nil, fmt.Errorf("--data needs a redis-server: %w", err)
		}
		d.redisURL = server.URL()
		d.printf("Redis      redis-server with an append-only file in %s\n", dir)
		return server.Stop, nil
	}
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start the Redis in memory: %w", err)
	}
	d.redisURL = "redis://" + mini.Addr()
	// Keys expire in miniredis only as its clock is moved forward.
	clock := time.NewTicker(time.Second)
	stopped := make(chan struct{})
	go func() {
		for {
			select {
			case <-clock.C:
				mini.FastForward(time.Second)
			case <-stopped:
				return
			}
		}
	}()
	d.printf("Redis      in memory at %s; nothing here outlives this process\n", mini.Addr())
	return func() error {
		clock.Stop()
		close(stopped)
		mini.Close()
		return nil
	}, nil
}

func (d *dev) startSimulator(ctx context.Context) (<-chan error, error) {
	var err error
	d.sim, err = simulator.New(simulator.Config{Apps: []simulator.App{
		{Key: simulator.AppKeyDefault, ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
		{Key: devTrialKey, ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
	}})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated Easemob: %w", err)
	}
	d.simURL = "http://" + listener.Addr().String()
	d.printf("Easemob    simulated at %s\n", d.simURL)
	done := make(chan error, 1)
	go func() { done <- d.sim.Serve(ctx, listener) }()
	return done, nil
}

func (d *dev) startWorker(ctx context.Context, rules *errclass.Table) (<-chan error, error) {
	app := func(alias, key string) worker.App {
		return worker.App{
			Alias: alias, Key: key, URL: d.simURL,
			ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault,
		}
	}
	w, err := worker.New(worker.Config{
		RedisURL: d.redisURL, Concurrency: 16, CallTimeout: devCallTimeout, DrainTimeout: 5 * time.Second,
		Apps:   []worker.App{app(tasks.AppDefault, simulator.AppKeyDefault), app(devTrialApp, devTrialKey)},
		Rules:  rules,
		Logger: slog.New(d.view), Name: "dev",
	})
	if err != nil {
		return nil, err
	}
	alerts, err := alert.New(alert.Config{
		Store: d.store, Redis: d.rdb, Apps: []string{tasks.AppDefault, devTrialApp}, Logger: slog.New(d.view), Name: "dev",
	})
	if err != nil {
		return nil, err
	}
	d.printf("Worker     apps %q and %q\n\n", tasks.AppDefault, devTrialApp)
	done := make(chan error, 1)
	go func() {
		var telling sync.WaitGroup
		telling.Go(func() { alerts.Run(ctx) })
		err := w.Run(ctx)
		telling.Wait()
		done <- err
	}()
	return done, nil
}

// startPage serves the operators' page, which is for a person who stays.
func (d *dev) startPage(ctx context.Context, rules *errclass.Table) (<-chan error, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the page: %w", err)
	}
	d.pageURL = "http://" + listener.Addr().String()
	server, err := admin.New(admin.Config{Store: d.store, Redis: d.rdb, Rules: rules, CheckRules: checkRules, Version: version, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	return done, nil
}

// invite says how to look around from a second terminal.
func (d *dev) invite() {
	emq := devCommand()
	d.printf(`
The sample is through, apart from what waits for you. Look at %[9]s in a browser,
or in a second terminal:

  export EMQ_REDIS_URL=%[1]s
  %[2]s dlq causes                  what went wrong, grouped, and what to do
  %[2]s dlq list                    the dead letters
  %[2]s dlq show %[3]s    one of them, with its history
  %[2]s hold list                   why app %[4]q stands still
  %[2]s alert list                  what a person would have been told
  %[2]s queue list

Register dave, who is to join the group; give the group to ann, because eve is no
member; take the faults of the simulated Easemob away. Then resend what is left:

  echo '%[6]s' | %[2]s enqueue -f -
  echo '%[7]s' | %[2]s dlq edit %[8]s --payload -
  curl -X DELETE %[5]s/_control/faults
  %[2]s dlq resend --all --yes --wait
  %[2]s hold clear %[4]s

Ctrl-C ends it.

`, d.redisURL, emq, d.sample.exhausted, devTrialApp, d.simURL,
		`{"kind":"user.register","payload":{"username":"dave","password":"s3cret"}}`,
		fmt.Sprintf(`{"group_id":%q,"newowner":"ann"}`, d.sample.group), d.sample.handOver, d.pageURL)
}

// devCommand is how the user called emq, to be printed in examples.
func devCommand() string {
	if exe, err := os.Executable(); err != nil || strings.Contains(exe, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/emq"
	}
	return os.Args[0]
}

// trickle sends a message now and then until ctx ends.
func (d *dev) trickle(ctx context.Context) {
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(devTrickle):
		}
		_, err := d.client.Enqueue(ctx, devMessage("u1", fmt.Sprintf("still here (%d)", n)), tasks.ID(d.sample.id(fmt.Sprintf("trickle-%d", n))))
		if err != nil && ctx.Err() == nil {
			d.printf("could not enqueue: %v\n", err)
		}
	}
}

func (d *dev) printf(format string, args ...any) { d.view.printf(format, args...) }
