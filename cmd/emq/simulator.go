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
reach.`,
		Example: `  emq simulator
  emq simulator --listen 127.0.0.1:9000 --faults faults.yaml --token-ttl 1m
  curl -d '{"path":"/messages/*","status":503,"times":3}' http://127.0.0.1:8620/_control/faults`,
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
