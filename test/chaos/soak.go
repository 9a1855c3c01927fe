package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SoakOptions say how a soak is run. Faults are not used.
type SoakOptions struct {
	Options
	Duration time.Duration
	Edges    int
}

// Sample is what the edges use at one moment, all of them together.
type Sample struct {
	At         time.Duration `json:"at_ns"`
	RSS        float64       `json:"rss"` // bytes
	FDs        float64       `json:"fds"`
	Goroutines float64       `json:"goroutines"`
	Sessions   int           `json:"sessions"` // connected
	Delivered  int           `json:"delivered"`
}

// SoakReport is the outcome of a soak.
type SoakReport struct {
	Report
	Samples []Sample `json:"samples"`
}

// Soak has clients come, go and read slowly for a time, nothing being broken, and
// looks whether what the edges use stays as it was.
func Soak(ctx context.Context, o SoakOptions) (report *SoakReport, err error) {
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "vibemesh-soak-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	r := &Run{out: o.Out}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// A ring that is full soon: until it is, memory grows as it should.
	r.cluster, err = StartCluster(starting, Build{
		Bin: o.Bin, Dir: dir, Edges: o.Edges, Partitions: max(o.Partitions, 1), Env: append([]string{"WS_RING_BYTES=8MiB"}, o.Env...),
	})
	defer r.cluster.Close()
	if err != nil {
		return nil, err
	}
	if r.fleet, err = NewFleet(o.Crowd, r.cluster.Edges, time.Now(), o.Seed); err != nil {
		return nil, err
	}
	for i, s := range r.fleet.sessions {
		switch i % 4 {
		case 0, 1: // at any time some are just coming or going
			s.habit.wander = time.Minute
		case 2:
			if i%40 == 2 {
				s.habit.slow = 10 * time.Second
			}
		}
	}
	r.fleet.Start()
	defer r.fleet.Stop()
	if err := eventually(starting, startLimit, "all signed in", r.mostConnected); err != nil {
		return nil, err
	}
	if r.publishers, err = NewPublishers(r.cluster, r.fleet, o.Load, o.Seed); err != nil {
		return nil, err
	}
	r.publishers.Start()
	report = &SoakReport{Report: Report{Seed: o.Seed, Sessions: o.Crowd.Sessions, Rate: o.Load.Rate}}
	every := max(o.Duration/60, time.Second)
	for r.fleet.now() < o.Duration && sleep(ctx, every) == nil {
		s, err := r.sample(ctx)
		if err != nil {
			return report, err
		}
		report.Samples = append(report.Samples, s)
		fmt.Fprintln(o.Out, s)
	}
	r.finish(ctx, &report.Report)
	return report, ctx.Err()
}

// mostConnected: with clients that come and go, never are all of them there.
func (r *Run) mostConnected(context.Context) error {
	if n, all := r.fleet.connected.Load(), len(r.fleet.sessions); int(n) < all*9/10 {
		return fmt.Errorf("%d of %d sessions are connected", n, all)
	}
	return nil
}

func (s Sample) String() string {
	return fmt.Sprintf("%s RSS %.1f MB, %.0f open files, %.0f goroutines, %d sessions, %d delivered",
		clock(s.At), s.RSS/1e6, s.FDs, s.Goroutines, s.Sessions, s.Delivered)
}

// sample adds up what the edges say of themselves.
func (r *Run) sample(ctx context.Context) (Sample, error) {
	s := Sample{At: r.fleet.now(), Sessions: int(r.fleet.connected.Load()), Delivered: int(r.fleet.delivered.Load())}
	for _, e := range r.cluster.Edges {
		status, body, err := get(ctx, "http://"+e.Ops+"/metrics")
		if err != nil || status != 200 {
			return s, fmt.Errorf("%s: /metrics: %d %w", e.Name, status, err)
		}
		lines := bufio.NewScanner(strings.NewReader(body))
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			for metric, sum := range map[string]*float64{
				"process_resident_memory_bytes": &s.RSS, "process_open_fds": &s.FDs, "go_goroutines": &s.Goroutines,
			} {
				if name != metric {
					continue
				}
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return s, err
				}
				*sum += v
			}
		}
	}
	return s, nil
}

// flat compares the first settled part of the samples with the last: the medians of a
// fifth each, the first fifth left out.
func (r *SoakReport) flat() (rows []string, ok bool) {
	n := len(r.Samples) / 5
	if n == 0 {
		return []string{"too few samples"}, false
	}
	first, last := r.Samples[n:2*n], r.Samples[len(r.Samples)-n:]
	ok = true
	for _, q := range []struct {
		name  string
		unit  float64
		slack float64 // allowed beside a tenth: noise of small figures
		of    func(Sample) float64
	}{
		{"RSS, MB", 1e6, 8e6, func(s Sample) float64 { return s.RSS }},
		{"open files", 1, 50, func(s Sample) float64 { return s.FDs }},
		{"goroutines", 1, 20, func(s Sample) float64 { return s.Goroutines }},
	} {
		before, after := median(first, q.of), median(last, q.of)
		verdict := "flat"
		if after > before*1.1+q.slack {
			verdict, ok = "GROWS", false
		}
		rows = append(rows, fmt.Sprintf("| %s | %.1f | %.1f | %s |", q.name, before/q.unit, after/q.unit, verdict))
	}
	return rows, ok
}

func median(samples []Sample, of func(Sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// OK reports whether nothing grew and the promise was kept.
func (r *SoakReport) OK() bool {
	_, flat := r.flat()
	return flat && r.Report.OK()
}

// Print writes the comparison as Markdown, and what was found.
func (r *SoakReport) Print(w io.Writer) {
	rows, _ := r.flat()
	fmt.Fprintf(w, "\n| all edges together | second fifth | last fifth | |\n|---|---|---|---|\n%s\n\n", strings.Join(rows, "\n"))
	r.Report.Print(w)
}
