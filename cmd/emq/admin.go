package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/admin"
)

func newAdminCmd(e *env) *cobra.Command {
	var (
		listenAt, credentials string
		readOnly, mask        bool
	)
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Serve the operators' web page and HTTP API",
		Long: `admin serves the operators' web page at / and the API at /api/v1, which
/api/v1/openapi.json describes; besides /healthz, /readyz and /metrics.

Without credentials it listens on this machine alone, and whoever reaches it there may
do everything. With a file of identities, which "emq admin token" makes lines for, it
listens anywhere: put a proxy with TLS before it. Viewers look, operators act on dead
letters, causes, operations, queues, holds and silences, admins set limits, export and
import too.`,
		Example: `  emq admin
  emq admin token ann --role operator
  emq admin --listen 0.0.0.0:8610 --credentials /etc/emq/credentials`,
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
			rules, err := e.rules(cmd.Context(), b.cfg)
			if err != nil {
				return err
			}
			info, _ := debug.ReadBuildInfo()
			cfg := admin.Config{
				Store: b.store, Redis: b.redis, Listen: listenAt, Logger: log, ReadOnly: readOnly, MaskPayloads: mask, Rules: rules, Limits: b.cfg.limits(), CheckRules: checkRules,
				Version: readBuild(version, info).Version,
			}
			if credentials != "" {
				raw, err := readFile(cmd.Context(), credentials, credentialsBytes)
				if err != nil {
					return &usageError{fmt.Errorf("--credentials: %w", err)}
				}
				if cfg.Identities, err = admin.ParseCredentials(raw); err != nil {
					return &usageError{fmt.Errorf("--credentials %s: %w", credentials, err)}
				}
			}
			server, err := admin.New(cfg)
			if err != nil {
				return asUsage(err)
			}
			return server.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listenAt, "listen", admin.ListenDefault, "the address to listen on; without --credentials a loopback one")
	flags.StringVar(&credentials, "credentials", "", "file of those who may come in")
	flags.BoolVar(&readOnly, "read-only", false, "refuse every change")
	flags.BoolVar(&mask, "mask-payloads", false, "hide from viewers what messages say")
	settingFlags(flags, "rules", "log_format", "log_level")
	cmd.AddCommand(newAdminTokenCmd(e))
	return cmd
}

// credentialsBytes bounds the file of identities.
const credentialsBytes = 1 << 20

func newAdminTokenCmd(e *env) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "token NAME --role ROLE",
		Short: "Make a token for a person, and the line that lets it in",
		Long: `token makes a random token and prints it, once, on the standard error; the line for the
file of --credentials, which holds only its hash, goes to the standard output.`,
		Example: `  emq admin token ann --role operator >> /etc/emq/credentials`,
		Args:    takes(1, 1, "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			token, line, err := admin.NewToken(args[0], admin.Role(role))
			if err != nil {
				return asUsage(err)
			}
			e.say("token of %s, shown only now: %s", args[0], token)
			_, err = fmt.Fprintln(e.out, line)
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", string(admin.RoleViewer), "viewer, operator or admin")
	oneOf(cmd, "role", string(admin.RoleViewer), string(admin.RoleOperator), string(admin.RoleAdmin))
	return cmd
}
