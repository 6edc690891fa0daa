package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

const (
	healthTimeoutDefault = 3 * time.Second
	healthBodyBytes      = 200
)

func newHealthCmd(e *env) *cobra.Command {
	var (
		target  string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a worker or an admin server whether it is well, as a container's health check",
		Long: `health asks the worker on this machine whether it is ready: whether it takes tasks
and reaches Redis. It exits 0 if so, else 1. With --url it asks any health
endpoint, for example that of emq admin.`,
		Example: `  emq health
  emq health --url http://127.0.0.1:8611/healthz`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if target == "" {
				cfg, err := e.config(cmd)
				if err != nil {
					return err
				}
				if cfg.Health == "" {
					return usagef("the worker's health endpoint is off: give --url")
				}
				target = "http://" + cfg.Health + "/readyz"
			}
			if u, err := url.Parse(target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return usagef("--url %q: must be http://HOST:PORT/PATH", target)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			answer, err := askHealth(ctx, target)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, answer)
			return err
		},
	}
	cmd.Flags().StringVar(&target, "url", "", "the endpoint to ask (default: /readyz at the worker's --health)")
	cmd.Flags().DurationVar(&timeout, "timeout", healthTimeoutDefault, "how long to wait for the answer")
	settingFlags(cmd.Flags(), "health")
	return cmd
}

// askHealth returns the endpoint's words, or an error when it is not well.
func askHealth(ctx context.Context, target string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the target is named
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("not well: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthBodyBytes))
	if err != nil {
		return "", fmt.Errorf("not well: %w", err)
	}
	answer := strings.TrimSpace(tasks.Printable(string(body), healthBodyBytes))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not well: %s answered %d: %s", target, resp.StatusCode, answer)
	}
	return answer, nil
}
