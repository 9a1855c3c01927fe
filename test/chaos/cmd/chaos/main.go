// Command chaos runs the chaos suite: it breaks a cluster of whole processes in many ways, under
// load, and checks that no message is lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/socialvibes/vibemesh/test/chaos"
)

func main() {
	if err := chaos.Launch(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Chaos starts three nats-servers, three edges and an API as processes of their own, has
clients and publishers work with them, breaks them in many ways, one after another, and
checks that every message that was acknowledged reached every client it was for, once
and in order. It prints one line a fault, a table at the end, and what was lost, if
anything was. The exit code is 0 when the promise was kept, 1 when it was broken, 2 when
the run could not be made.

  chaos                        all faults, in a random order
  chaos --seed 7               the order, targets and times of seed 7
  chaos --faults short         the faults of the short form
  chaos --faults leader-kill,edge-partition
  chaos --soak 30m             no faults: clients come and go, and the edges' memory,
                               open files and goroutines are compared, first and last

Options:
`

// run is main with an exit status.
func run(args []string, stdout, stderr io.Writer) int {
	var o chaos.Options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.Uint64Var(&o.Seed, "seed", 0, "decides order, targets and times; 0: a random one, which is printed")
	flags.IntVar(&o.Crowd.Sessions, "sessions", 1500, "client sessions; users have one or two each")
	flags.IntVar(&o.Crowd.Topics, "topics", 20, "topics; each user joins two")
	flags.Float64Var(&o.Load.Rate, "rate", 150, "messages a second that are published, at most")
	names := flags.String("faults", "", "faults by name, separated by commas, or short; empty: all")
	list := flags.Bool("list", false, "name the faults and exit")
	flags.StringVar(&o.Bin, "bin", "", "`folder` of the programs vibemesh and nats-server; empty: built from the source")
	flags.StringVar(&o.Dir, "dir", "", "`folder` for stores and logs; empty: a temporary one, kept after a failure")
	flags.IntVar(&o.Partitions, "partitions", 1, "partitions of the log")
	flags.BoolVar(&o.Namespaces, "namespaces", false, "part processes by the kernel's network namespaces, not by proxies; needs root and iproute2")
	flags.Func("env", "a further setting of vibemesh, `NAME=VALUE`; may be given often", func(text string) error {
		o.Env = append(o.Env, text)
		return nil
	})
	flags.BoolVar(&o.Short, "quick", false, "cut times: each fault lasts a third as long")
	asJSON := flags.String("json", "", "write the report to this `file`, too")
	soak := flags.Duration("soak", 0, "soak for as long instead, without faults")
	soakEdges := flags.Int("edges", 3, "edges of a soak, 1 or more")
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return 0
		}
		return 2
	}
	if *list {
		for _, f := range append(chaos.Faults, chaos.Sabotage) {
			fmt.Fprintf(stdout, "%-19s %s\n", f.Name, f.About)
		}
		return 0
	}
	if flags.NArg() > 0 || o.Crowd.Sessions < 1 || o.Crowd.Topics < 1 || o.Load.Rate <= 0 || *soakEdges < 1 {
		fmt.Fprintln(stderr, "chaos: these options make no sense; chaos --help explains them")
		return 2
	}
	if o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) + 1
	}
	o.Out = stdout
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *soak > 0 {
		report, err := chaos.Soak(ctx, chaos.SoakOptions{Options: o, Duration: *soak, Edges: *soakEdges})
		if report == nil {
			return status(err, false, stderr)
		}
		report.Print(stdout)
		return status(errors.Join(err, writeJSON(*asJSON, report)), report.OK(), stderr)
	}
	var err error
	if o.Faults, err = chaos.Select(*names); err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	report, err := chaos.Chaos(ctx, o)
	if report == nil {
		return status(err, false, stderr)
	}
	report.Print(stdout)
	return status(errors.Join(err, writeJSON(*asJSON, report)), report.OK(), stderr)
}

func status(err error, ok bool, stderr io.Writer) int {
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	case !ok:
		return 1
	}
	return 0
}

// writeJSON writes a report for machines; nothing without a name.
func writeJSON(name string, report any) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
