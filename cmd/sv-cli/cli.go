package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/socialvibes/vibemesh/internal/client"
)

// Exit codes, as --help documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
	exitIncomplete  = 5
)

const description = `Publish to a Vibemesh, listen to it, and see how it is.

Exit codes: 0 done; 1 failed, or a check of doctor did; 2 wrong usage; 3 the server refused (4xx, or a close code of 4400-4499); 4 the server is out of reach or broken (no connection, timeout, 5xx); 5 not every edge has answered, so the answer may lack something.`

// world is everything a command touches besides the network.
type world struct {
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)
	now            func() time.Time
	zone           *time.Location
	terminal       bool // stdout is one
	// openScreen takes the whole terminal; nil where stdout is none.
	openScreen func() (screen, error)
}

// colour reports whether escape sequences are welcome on stdout.
func (w world) colour() bool {
	noColour, _ := w.lookupEnv("NO_COLOR") // https://no-color.org: set and not empty
	term, _ := w.lookupEnv("TERM")
	return w.terminal && noColour == "" && term != "dumb"
}

// cli is the grammar. A flag's "from" tag names its environment variable; kong's
// own "env" would read the process's, which tests cannot replace.
type cli struct {
	globals `embed:""`

	Toast      toastCmd      `cmd:"" help:"Publish a toast: to everybody, or to those that --user or --topic names."`
	Event      eventCmd      `cmd:"" help:"Publish an event of any type."`
	Schedule   scheduleCmd   `cmd:"" help:"Publish a toast for later; or show what waits, by the id of its receipt."`
	Cancel     cancelCmd     `cmd:"" help:"Cancel what was published with --at and is not delivered yet."`
	Listen     listenCmd     `cmd:"" help:"Follow one person's session and print each event; survives disconnects."`
	History    historyCmd    `cmd:"" help:"Print one person's history, newest first."`
	Presence   presenceCmd   `cmd:"" help:"Say who is connected, and how many have joined a topic."`
	Disconnect disconnectCmd `cmd:"" help:"End a person's sessions; the person may come back."`
	Revoke     revokeCmd     `cmd:"" help:"Refuse a person's older tokens, and end the sessions that they were for."`
	Status     statusCmd     `cmd:"" help:"Show the edges: versions, sessions, lag, how far back their memory goes; and the log."`
	Doctor     doctorCmd     `cmd:"" help:"Check everything between this machine and a working mesh, and say what to fix."`
	Token      tokenCmd      `cmd:"" help:"Mint a development token, for servers with WS_AUTH=dev."`
	Completion completionCmd `cmd:"" help:"Print a completion script, for example: source <(sv-cli completion bash)"`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

type globals struct {
	URL     string        `help:"Base URL of the server, http://127.0.0.1:8080 unless told." default:"http://127.0.0.1:8080" from:"SV_URL" placeholder:"URL"`
	JSON    bool          `name:"json" help:"Print JSON: one document, or one line an event. Errors too, on stderr."`
	Timeout time.Duration `help:"Longest wait for an answer; for listen, for the first connection." default:"10s"`
}

// Validate is called by kong.
func (g globals) Validate() error {
	u, err := url.Parse(g.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("--url=%q (SV_URL) is not a server's URL; it looks like http://127.0.0.1:8080", g.URL)
	}
	if g.Timeout <= 0 {
		return fmt.Errorf("--timeout=%v must be more than 0, such as 10s", g.Timeout)
	}
	return nil
}

// exitError carries an exit code with an error.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

func usage(format string, args ...any) error {
	return exitError{fmt.Errorf(format, args...), exitUsage}
}

// run is the program: it parses args, runs the command and gives the exit code.
func run(ctx context.Context, w world, args []string) int {
	var c cli
	answered := false // --help or --version has been; the rest of the line does not matter
	parser, err := newParser(&c, w, func(int) { answered = true })
	if err != nil {
		fmt.Fprintln(w.stderr, "sv-cli:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if answered {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(w.stderr, "sv-cli: %v\nTry: sv-cli --help\n", err)
		return exitUsage
	}
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(w, c.globals, parser.Model); err != nil {
		report(w, c.globals, err)
		return exitCode(err)
	}
	return exitOK
}

func newParser(c *cli, w world, exit func(int)) (*kong.Kong, error) {
	return kong.New(
		c,
		kong.Name("sv-cli"),
		kong.Description(description),
		kong.Vars{"version": versionText()},
		kong.Writers(w.stdout, w.stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(func(v *kong.Value) string {
			if name := v.Tag.Get("from"); name != "" {
				return strings.TrimSuffix(v.Help, ".") + " ($" + name + ")."
			}
			return kong.DefaultHelpValueFormatter(v)
		}),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
			if name := flag.Tag.Get("from"); name != "" {
				if v, ok := w.lookupEnv(name); ok && v != "" {
					return v, nil
				}
			}
			return nil, nil
		})),
	)
}

// version is set by the linker in a release.
var version string

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if version != "" {
		return "sv-cli " + version
	}
	if !ok {
		return "sv-cli (unknown version)"
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			revision = " " + s.Value[:12]
		}
	}
	return "sv-cli " + info.Main.Version + revision + " " + info.GoVersion
}

// exitCode finds the exit code of an error.
func exitCode(err error) int {
	var (
		exit    exitError
		problem *problemError
		upgrade *client.UpgradeError
		closed  *client.CloseError
	)
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &problem):
		return codeOfStatus(problem.Status)
	case errors.As(err, &upgrade):
		return codeOfStatus(upgrade.Status)
	case errors.As(err, &closed):
		return exitRefused
	}
	return exitFailed
}

func codeOfStatus(status int) int {
	switch {
	case status >= 500:
		return exitUnreachable
	case status >= 400:
		return exitRefused
	}
	return exitFailed
}
