package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/worker"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// simulatorListen is where the simulator listens unless told otherwise.
const simulatorListen = "127.0.0.1:8620"

func newSimulatorCmd(e *env) *cobra.Command {
	var (
		listenAt, faults string
		tokenTTL         time.Duration
	)
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run an Easemob IM REST API on this machine, for trying and testing",
		Long: `simulator answers calls as Easemob documents them: tokens, users, groups, rooms and
messages, kept in memory. It plays faults on demand, from a file or through its
control endpoint below /_control/, and records what it executed. It serves the
configured apps; without any, the app ` + simulator.AppKeyDefault + ` with the client ID
` + simulator.ClientIDDefault + ` and the secret ` + simulator.ClientSecretDefault + `.

Its control endpoint asks for no credentials: keep it off addresses that others
reach.

A fault says which requests it meets

  app            app key, such as org#app (default: all)
  method         such as POST (default: all)
  path           path below /org/app; * is one segment, /** at the end all below
  body_contains  a text in the request's body
  skip           so many matching requests pass before
  times          applies to so many, then no more (default: no bound)
  probability    chance to apply to a matching request, above 0 to 1 (default: 1)

and what happens to them

  status         status of the answer, 200 to 599; the request is not executed
  body           with a status: the answer's body, as JSON
  body_text      with a status: the answer's body, as text
  header         headers of the answer, as {"name": "value"}
  not_json       answers a gateway's HTML page (status: 502 if not given)
  execute        with a status or not_json: executes the request all the same
  latency        wait before the answer or the cut, such as 200ms
  cut            "before" or "after": closes the connection before or after executing
  wrong_token    refuses the token; for /token, hands out one that is refused
  fail           targets for which the call fails, inside a 200

id names it. The first fault that matches applies. The file of --faults is a list of
them; one or a list is POSTed to /_control/faults, where GET shows how often each
applied, and DELETE removes them (with /ID, one).`,
		Example: `  emq simulator
  emq simulator --listen 127.0.0.1:9000 --faults faults.yaml --token-ttl 1m

  # three calls time out and are not executed; one is executed and its answer lost
  curl -d '{"path":"/messages/*","latency":"1h","cut":"before","times":3}' http://127.0.0.1:8620/_control/faults
  curl -d '{"path":"/messages/users","cut":"after","times":1}' http://127.0.0.1:8620/_control/faults`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			log, err := e.logger(cfg)
			if err != nil {
				return err
			}
			sim := simulator.Config{Apps: simulatedApps(cfg), TokenTTL: tokenTTL, Logger: log}
			if faults != "" {
				read := func() ([]simulator.Fault, error) { return simulator.LoadFaults(faults) }
				if sim.Faults, err = interruptible(cmd.Context(), read); err != nil {
					return &usageError{err}
				}
			}
			s, err := simulator.New(sim)
			if err != nil {
				return &usageError{err}
			}
			l, err := listen(cmd.Context(), listenAt)
			if err != nil {
				return fmt.Errorf("simulator: %w", err)
			}
			keys := make([]string, len(sim.Apps))
			for i, app := range sim.Apps {
				keys[i] = app.Key
			}
			if _, err := fmt.Fprintf(e.out, "simulator ready at http://%s for %s\n", l.Addr(), strings.Join(keys, ", ")); err != nil {
				return err
			}
			return s.Serve(cmd.Context(), l)
		},
	}
	cmd.Flags().StringVar(&listenAt, "listen", simulatorListen, "address to listen on")
	cmd.Flags().StringVar(&faults, "faults", "", "file with a list of faults, in YAML or JSON")
	_ = cmd.MarkFlagFilename("faults", "yaml", "yml", "json") // fails for an unknown flag only
	cmd.Flags().DurationVar(&tokenTTL, "token-ttl", simulator.TokenTTLDefault, "how long a token lives")
	settingFlags(cmd.Flags(), "app_key", "client_id", "client_secret", "log_format", "log_level")
	return cmd
}

// simulatedApps are the configured apps, with the simulator's own key and
// credentials where they have none.
func simulatedApps(cfg *config) []simulator.App {
	configured := cfg.Apps
	if len(configured) == 0 {
		configured = []worker.App{{}}
	}
	var apps []simulator.App
	for _, app := range configured {
		apps = append(apps, simulator.App{
			Key:          cmp.Or(app.Key, simulator.AppKeyDefault),
			ClientID:     cmp.Or(app.ClientID, simulator.ClientIDDefault),
			ClientSecret: cmp.Or(app.ClientSecret, simulator.ClientSecretDefault),
		})
	}
	return apps
}
