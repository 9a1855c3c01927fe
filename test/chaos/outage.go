package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// allNodesKill has no NATS at all for a time, and asserts how the mesh stands it:
// sessions stay open, edges and API say why they are not ready, publishing answers
// 503 with Retry-After and stores nothing half, and everything goes on by itself.
func allNodesKill(ctx context.Context, r *Run, s Step) error {
	c := r.cluster
	var all []*Process
	for _, n := range c.Nodes {
		all = append(all, &n.Process)
	}
	// Nobody is in the audience of these: they are looked for in the log.
	probe := fmt.Sprintf("outage%d", r.fleet.now().Milliseconds())
	disconnects := r.fleet.disconnects.Load()
	for _, p := range all {
		p.Kill()
	}
	var wrong []error
	wrong = append(wrong, r.notReady(ctx), r.refusesToPublish(ctx, probe))
	wrong = append(wrong, hold(ctx, s.Hold, func() error {
		if left := r.fleet.disconnects.Load() - disconnects; left > 0 {
			wrong = append(wrong, fmt.Errorf("%d sessions were disconnected while all nodes were away", left))
		}
		var errs []error
		for _, p := range all {
			errs = append(errs, p.Start())
		}
		return errors.Join(errs...)
	}))
	wrong = append(wrong, c.awaitReady(ctx), r.publishesOnce(ctx, probe))
	return errors.Join(wrong...)
}

// notReady waits until every process says that it is not ready, and why.
func (r *Run) notReady(ctx context.Context) error {
	var errs []error
	for _, e := range r.cluster.served() {
		errs = append(errs, eventually(ctx, 20*time.Second, "unready", func(ctx context.Context) error {
			status, body, err := get(ctx, "http://"+e.Ops+"/readyz")
			switch {
			case err != nil:
				return err
			case status != http.StatusServiceUnavailable || body == "":
				return fmt.Errorf("%s without NATS: /readyz answers %d %q", e.Name, status, body)
			case e == r.cluster.Edges[0]:
				r.note("/readyz: %s", body)
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// probes are what is published for a user of the outage: one message, and a batch for three.
func probes(probe string) []struct {
	path string
	body any
} {
	toast := map[string]string{"title": "outage"}
	var events []map[string]any
	for i := range 3 {
		events = append(events, map[string]any{"type": "toast", "payload": toast, "to": map[string]string{"user": fmt.Sprintf("%s-%d", probe, i)}})
	}
	return []struct {
		path string
		body any
	}{
		{"/api/v1/ws/toast", map[string]any{"title": "outage", "to": map[string]string{"user": probe + "-one"}}},
		{"/api/v1/ws/events", map[string]any{"events": events}},
	}
}

const probeMessages = 4 // of all probes

func (r *Run) refusesToPublish(ctx context.Context, probe string) error {
	client := &http.Client{Timeout: 30 * time.Second}
	var errs []error
	for _, p := range probes(probe) {
		status, header, answer, err := post(ctx, client, r.cluster.API.Addr, p.path, probe, p.body)
		if err == nil && (status != http.StatusServiceUnavailable || header.Get("Retry-After") == "") {
			err = fmt.Errorf("POST %s without NATS answers %d, Retry-After %q, %s", p.path, status, header.Get("Retry-After"), answer)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// publishesOnce looks that nothing of what was refused is in the log, publishes it
// again under the same keys, and looks that it is there once.
func (r *Run) publishesOnce(ctx context.Context, probe string) error {
	if n, err := r.stored(ctx, probe); err != nil || n != 0 {
		return fmt.Errorf("%d messages that were refused with 503 are in the log: %w", n, err)
	}
	client := &http.Client{Timeout: attemptLimit}
	for range 2 { // the second time under the same key changes nothing
		for _, p := range probes(probe) {
			err := eventually(ctx, patience, "published", func(ctx context.Context) error {
				status, _, answer, err := post(ctx, client, r.cluster.API.Addr, p.path, probe, p.body)
				if err == nil && status != http.StatusCreated {
					err = fmt.Errorf("POST %s: %d %s", p.path, status, answer)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	if n, err := r.stored(ctx, probe); err != nil || n != probeMessages {
		return fmt.Errorf("%d messages were published, each twice under one key, and %d are in the log: %w", probeMessages, n, err)
	}
	return nil
}

// stored counts the messages of the log whose subject belongs to a probe.
func (r *Run) stored(ctx context.Context, probe string) (n int, err error) {
	subjects := "sv.ws.user."
	if r.cluster.build.Partitions > 1 {
		subjects = "sv.log.*.user."
	}
	for partition := range r.cluster.build.Partitions {
		for _, user := range []string{"-one", "-0", "-1", "-2"} {
			err = eventually(ctx, patience, "counted", func(ctx context.Context) error {
				some, err := r.countSubject(ctx, r.cluster.stream(partition), subjects+probe+user)
				n += some
				return err
			})
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// countSubject counts the messages of a stream under a subject.
func (r *Run) countSubject(ctx context.Context, stream, subject string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var answer struct {
		State jetstream.StreamState `json:"state"`
	}
	if err := r.cluster.ask(ctx, "$JS.API.STREAM.INFO."+stream, map[string]string{"subjects_filter": subject}, &answer); err != nil {
		return 0, err
	}
	for _, count := range answer.State.Subjects {
		n += int(count)
	}
	return n, nil
}
