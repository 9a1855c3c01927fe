package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options say what a run does.
type Options struct {
	Seed       uint64
	Faults     []*Fault
	Short      bool // holds and pauses are cut
	Crowd      Crowd
	Load       Load
	Bin        string    // folder of built programs; empty: they are built
	Partitions int       // of the log; 0: one
	Env        []string  // further settings of vibemesh, NAME=VALUE
	Namespaces bool      // network namespaces in place of proxies; needs root
	Dir        string    // for stores and logs; empty: a temporary one, removed after a run without findings
	Out        io.Writer // what happens, line by line
}

// Run is a cluster under load, while faults are taken.
type Run struct {
	cluster    *Cluster
	fleet      *Fleet
	publishers *Publishers
	out        io.Writer

	mu    sync.Mutex
	notes []string // of the fault that is being taken
}

const (
	edges       = 3
	startLimit  = 2 * time.Minute
	settleLimit = 90 * time.Second // for everybody to have everything after a fault
)

// Chaos takes the faults one after the other and judges. Its error says that the
// run itself could not be made; what it found is in the report.
func Chaos(ctx context.Context, o Options) (report *Report, err error) {
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "vibemesh-chaos-"); err != nil {
			return nil, err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if o.Dir == "" && err == nil && report.OK() {
			os.RemoveAll(dir)
		} else {
			fmt.Fprintln(o.Out, "stores and logs are in", dir)
		}
	}()
	steps := Plan(o.Faults, o.Seed, o.Short)
	fmt.Fprintf(o.Out, "seed %d, %d sessions, %.0f messages a second\n", o.Seed, o.Crowd.Sessions, o.Load.Rate)
	for i, s := range steps {
		fmt.Fprintf(o.Out, "  %2d. %s: target %d, for %v, after %v\n", i+1, s.Name, s.Target, s.Hold, s.Pause)
	}
	r := &Run{out: o.Out}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	r.cluster, err = StartCluster(starting, Build{Bin: o.Bin, Dir: dir, Edges: edges, Partitions: max(o.Partitions, 1), Env: o.Env, Namespaces: o.Namespaces})
	defer r.cluster.Close()
	if err != nil {
		return nil, err
	}
	if err := r.begin(starting, o); err != nil {
		return nil, err
	}
	defer r.fleet.Stop()
	report = &Report{Seed: o.Seed, Sessions: o.Crowd.Sessions, Rate: o.Load.Rate}
	for _, s := range append([]Step{calm}, steps...) {
		row := r.take(ctx, s)
		report.Rows = append(report.Rows, row)
		fmt.Fprintln(o.Out, row)
		if ctx.Err() != nil {
			break
		}
	}
	r.finish(ctx, report)
	return report, ctx.Err()
}

// calm is the first row of every table: nothing is broken.
var calm = Step{Fault: &Fault{Name: "nothing", run: func(ctx context.Context, _ *Run, s Step) error { return sleep(ctx, s.Hold) }}, Hold: 3 * time.Second}

// begin has all clients sign in, and then begins to publish.
func (r *Run) begin(ctx context.Context, o Options) (err error) {
	if r.fleet, err = NewFleet(o.Crowd, r.cluster.Edges, time.Now(), o.Seed); err != nil {
		return err
	}
	r.fleet.Start()
	if err := eventually(ctx, startLimit, "all signed in", r.allConnected); err != nil {
		r.fleet.Stop()
		return err
	}
	if r.publishers, err = NewPublishers(r.cluster, r.fleet, o.Load, o.Seed); err != nil {
		r.fleet.Stop()
		return err
	}
	r.publishers.Start()
	return nil
}

func (r *Run) allConnected(context.Context) error {
	if n, all := r.fleet.connected.Load(), len(r.fleet.sessions); int(n) < all {
		return fmt.Errorf("%d of %d sessions are connected", n, all)
	}
	return nil
}

// note adds to what the row of the fault says besides figures.
func (r *Run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// take takes one fault, from the pause before it until all is as it was.
func (r *Run) take(ctx context.Context, s Step) Row {
	row := Row{Fault: s.Name, About: s.About}
	if err := sleep(ctx, s.Pause); err != nil {
		row.Wrong = append(row.Wrong, err.Error())
		return row
	}
	f := r.fleet
	row.Began = f.now()
	before := r.count()
	f.silence.Store(0)
	err := s.run(ctx, r, s)
	healed := f.now()
	row.Lasted = healed - row.Began
	var no *skipped
	if errors.As(err, &no) {
		row.Skipped = no.why
	} else if err != nil {
		row.Wrong = append(row.Wrong, err.Error())
	}
	upTo, err := r.settle(ctx, healed)
	row.Recovered = f.now() - healed
	if err != nil {
		row.Wrong = append(row.Wrong, err.Error())
	}
	row.Lost = f.missing(upTo)
	row.Silence = time.Duration(f.silence.Load())
	row.counts = r.count().minus(before)
	r.mu.Lock()
	row.Notes, r.notes = r.notes, nil
	r.mu.Unlock()
	// Not part of the recovery that clients notice, but two faults must not become one.
	if err := r.cluster.awaitReady(ctx); err != nil {
		row.Wrong = append(row.Wrong, err.Error())
	}
	return row
}

// settle waits until every session is connected, every publisher has had an
// acknowledgement for a message that it began after the fault, and every session has
// all that was acknowledged up to then.
func (r *Run) settle(ctx context.Context, healed time.Duration) (upTo []uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	err = eventually(ctx, settleLimit, "flowing again", func(ctx context.Context) error {
		if !r.publishers.flowing(healed) {
			return errors.New("a publisher waits for its acknowledgement")
		}
		return r.allConnected(ctx)
	})
	upTo = r.fleet.acknowledged()
	return upTo, errors.Join(err, eventually(ctx, settleLimit, "delivered", func(context.Context) error {
		if n := r.fleet.missing(upTo); n > 0 {
			return fmt.Errorf("%d messages have not come", n)
		}
		return nil
	}))
}

// finish ends publishing, lets the clients drain, and has everything checked.
func (r *Run) finish(ctx context.Context, report *Report) {
	r.publishers.Stop()
	r.fleet.hurry.Store(true)
	if _, err := r.drain(ctx); err != nil {
		report.Wrong = append(report.Wrong, err.Error())
	}
	report.Wrong = append(report.Wrong, r.publishers.wrong.all()...)
	report.Findings = Check(r.fleet.ledger, r.fleet.records())
	report.Total = r.count()
	report.Attempts = int(r.publishers.failures.Load())
}

// lastWords is how long clients listen on after they have everything: what should
// not come might still.
const lastWords = time.Second

func (r *Run) drain(ctx context.Context) (upTo []uint32, err error) {
	upTo = r.fleet.acknowledged()
	err = eventually(ctx, settleLimit, "drained", func(context.Context) error {
		if n := r.fleet.missing(upTo); n > 0 {
			return fmt.Errorf("%d messages have not come", n)
		}
		return nil
	})
	return upTo, errors.Join(err, sleep(ctx, lastWords))
}

// count is what has been counted up to now.
func (r *Run) count() counts {
	f := r.fleet
	return counts{
		Acknowledged: f.ledger.Acknowledged(), Delivered: int(f.delivered.Load()), Before: int(f.before.Load()),
		After: int(f.after.Load()), Gaps: int(f.gaps.Load()), Disconnects: int(f.disconnects.Load()),
	}
}
