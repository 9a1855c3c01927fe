package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// ErrRefused is wrapped by the error of a start that does not make the log what the
// settings say, since that would lose messages or is not possible.
var ErrRefused = mesh.ErrRefused

// provision makes the log fit the settings. A process that is only an edge or
// only an API waits for a log that another one provisions.
func (a *App) provision(ctx context.Context) error {
	if !a.role.Provision {
		return nil
	}
	_, err := a.mesh.Provision(ctx, a.logConfig())
	return err
}

func (a *App) logConfig() mesh.LogConfig {
	return mesh.LogConfig{
		Replicas: a.cfg.Replicas, MaxAge: a.cfg.HistoryAge, MaxBytes: int64(a.cfg.HistoryBytes),
		ReadMirror: a.cfg.ReadMirror, AllowLoss: a.cfg.AllowLoss,
	}
}

// Plan says what provisioning would change, and changes nothing. cfg must have been
// validated for Role{Provision: true}.
func Plan(ctx context.Context, cfg config.Config, version string, log *slog.Logger) (*mesh.Plan, error) {
	a := &App{cfg: cfg, role: config.Role{Provision: true}, log: log, version: version, metrics: newRegistry(version)}
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	plan, err := a.mesh.Plan(ctx, a.logConfig())
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return plan, errors.Join(err, a.unwind(stopping))
}

// Mappings is what the configuration of each nats-server needs for the log's
// partitions.
func Mappings(cfg *config.Config) (string, error) {
	subjects, err := logSubjects(cfg)
	if err != nil {
		return "", err
	}
	return mesh.MappingText(subjects), nil
}

func logSubjects(cfg *config.Config) (wire.Subjects, error) {
	s, err := wire.NewSubjects(cfg.Prefix)
	return s.Partitioned(cfg.Partitions), err
}
