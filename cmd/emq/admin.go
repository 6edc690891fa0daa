package main

import (
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/admin"
)

func newAdminCmd(e *env) *cobra.Command {
	var listenAt string
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Serve queues, holds, causes and dead letters as read-only JSON",
		Long: `admin serves health, queues, holds, causes and dead letters as JSON over HTTP:

  /healthz /readyz /api/v1/queues /api/v1/holds /api/v1/causes
  /api/v1/dead-letters /api/v1/dead-letters/APP/ID

It changes nothing. It knows no users, so it listens on this machine alone.`,
		Example: `  emq admin
  emq admin --listen 127.0.0.1:9000`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.open(cmd)
			if err != nil {
				return err
			}
			log, err := e.logger(b.cfg)
			if err != nil {
				return err
			}
			server, err := admin.New(admin.Config{Store: b.store, Listen: listenAt, Logger: log})
			if err != nil {
				return asUsage(err)
			}
			return server.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listenAt, "listen", admin.ListenDefault, "a loopback address to listen on")
	settingFlags(cmd.Flags(), "log_format", "log_level")
	return cmd
}
