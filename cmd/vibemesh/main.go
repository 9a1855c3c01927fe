// Command vibemesh runs the mesh: all of it in one process, or one part.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/joho/godotenv"
	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/trace"
	"golang.org/x/term"
)

// version is set by the linker in a release.
var version = "dev"

type cli struct {
	Run       settings  `cmd:"" help:"Run everything in one process: edge, API, and a nats-server of its own unless WS_NATS_URL names a cluster."`
	Edge      settings  `cmd:"" help:"Run an edge: it holds the sockets."`
	API       settings  `cmd:"" name:"api" help:"Run the HTTP API: publishing and history."`
	Provision provision `cmd:"" help:"Create the log in NATS, or change it to fit the settings, and exit."`

	Credentials credentialsCommand `cmd:"" help:"Make the accounts and users of a nats-server: keys, permissions of each role, credentials files."`

	Healthcheck healthcheck `cmd:"" help:"Ask the process on this machine whether it is well; exit code 0 or 1."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

type settings struct{ config.Config }

type provision struct {
	config.Config
	DryRun        bool `name:"dry-run" help:"Print what would be changed, and change nothing."`
	PrintMappings bool `name:"print-mappings" help:"Print the subject mappings that a cluster needs for WS_PARTITIONS, and change nothing."`
}

const description = `Vibemesh pushes notifications to people the moment they happen, and loses none.

Every setting is a flag, an environment variable of the name shown, and a line in .env, in this order of precedence.`

var roles = map[string]config.Role{
	"run":       {Edge: true, API: true, Provision: true},
	"edge":      {Edge: true},
	"api":       {API: true},
	"provision": {Provision: true},
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with an exit status: 0 after a clean end, 1 after a failure, 2 if
// the settings are wrong, 3 if provisioning is refused. Only after 1 may another try do.
func run(args []string, stdout, stderr io.Writer) int {
	if err := godotenv.Load(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stderr, "vibemesh: .env:", err)
		return 2
	}
	var c cli
	parser, err := kong.New(&c, kong.Name("vibemesh"), kong.Description(description), kong.UsageOnError(),
		kong.Vars{"version": "vibemesh " + version}, kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "vibemesh:", err)
		return 1
	}
	chosen, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "vibemesh: %v\nvibemesh --help lists the commands and settings.\n", err)
		return 2
	}
	if chosen.Command() == "credentials" {
		return makeCredentials(&c.Credentials, stdout, stderr)
	}
	if chosen.Command() == "healthcheck" {
		return c.Healthcheck.run(stdout, stderr)
	}
	cfg := map[string]config.Config{
		"run": c.Run.Config, "edge": c.Edge.Config, "api": c.API.Config, "provision": c.Provision.Config,
	}[chosen.Command()]
	role := roles[chosen.Command()]
	if c.Provision.PrintMappings {
		role = config.Role{}
	}
	if err := cfg.Validate(role); err != nil {
		fmt.Fprintf(stderr, "vibemesh: the settings are not usable:\n%v\n", err)
		return 2
	}
	switch log := newLog(cfg, stderr); {
	case c.Provision.PrintMappings:
		return printMappings(cfg, stdout, log)
	case c.Provision.DryRun:
		return dryRun(cfg, stdout, log)
	default:
		return serve(cfg, role, stderr, log)
	}
}

func serve(cfg config.Config, role config.Role, stderr io.Writer, log *slog.Logger) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	starting, startCancel := context.WithTimeout(ctx, startTimeout)
	defer startCancel()
	a, err := app.Start(starting, cfg, role, version, log)
	if errors.Is(err, trace.ErrSettings) {
		fmt.Fprintf(stderr, "vibemesh: the settings are not usable:\n%v\n", err)
		return 2
	}
	if err != nil {
		log.Error("cannot start", "err", err)
		return failure(err)
	}
	status := 0
	if role.Edge || role.API {
		select {
		case <-ctx.Done():
			log.Info("stopping; a second signal ends it at once")
		case err := <-a.Failed():
			log.Error("stopping", "err", err)
			status = 1
		}
	}
	cancel() // gives the second signal back to the system, which ends the process
	stopping, stopCancel := context.WithTimeout(context.Background(), cfg.DrainTimeout+15*time.Second)
	defer stopCancel()
	if err := a.Stop(stopping); err != nil {
		log.Error("stopping", "err", err)
		return 1
	}
	if status == 0 {
		log.Info("stopped")
	}
	return status
}

// failure is the exit status after an error.
func failure(err error) int {
	if errors.Is(err, app.ErrRefused) {
		return 3
	}
	return 1
}

// startTimeout is how long a start may wait for NATS.
const startTimeout = 60 * time.Second

func newLog(cfg config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	f, isFile := w.(*os.File)
	text := cfg.LogFormat == "text" || cfg.LogFormat == "auto" && isFile && term.IsTerminal(int(f.Fd()))
	opts := &slog.HandlerOptions{Level: level}
	if text {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts)).With("node", cfg.Node)
}
