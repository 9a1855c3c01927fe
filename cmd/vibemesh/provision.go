package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/config"
)

// dryRun prints what provisioning would change. Its status is 0 whether there is
// something to change or not, 1 after a failure, and 3 if provisioning would be refused.
func dryRun(cfg config.Config, stdout io.Writer, log *slog.Logger) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	plan, err := app.Plan(ctx, cfg, version, log)
	if err != nil {
		log.Error("cannot plan", "err", err)
		return 1
	}
	if _, err := fmt.Fprint(stdout, plan); err != nil {
		return 1
	}
	if err := plan.Err(); err != nil {
		return failure(err)
	}
	return 0
}

func printMappings(cfg config.Config, stdout io.Writer, log *slog.Logger) int {
	text, err := app.Mappings(&cfg)
	if err == nil {
		_, err = fmt.Fprint(stdout, text)
	}
	if err != nil {
		log.Error("cannot print the mappings", "err", err)
		return 1
	}
	return 0
}
