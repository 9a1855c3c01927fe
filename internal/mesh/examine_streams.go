package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// streams compares each stream that is ours with what provisioning would make of it.
func (e *examiner) streams(ctx context.Context) {
	found, denied, ok := e.findStreams(ctx)
	if !ok {
		return
	}
	if denied {
		e.skip("nats streams", fmt.Sprintf("the role %s may not look at them; examine with the credentials of an operator", e.role))
		e.skip("nats clock", "a server tells its time with a stream")
		return
	}
	if e.otherLog(ctx, found) {
		return
	}
	targets := e.mesh.targets(e.settings(found))
	replicas := 0
	for i := range targets {
		t := &targets[i]
		info := found[t.name]
		check := "nats stream " + t.name
		if info == nil {
			e.fail(check, "it is not there", "create it with `vibemesh provision`, with the WS_SUBJECT_PREFIX and WS_PARTITIONS of the mesh")
			continue
		}
		c, err := e.mesh.change(t, found)
		if err != nil {
			e.fail(check, err.Error(), "")
			continue
		}
		if e.judgeStream(check, &c) {
			e.ok(check, "as it is to be: %s, %s, kept for %s", count(info.State.Msgs, "message"), replicasText(info.Config.Replicas), ageText(info.Config.MaxAge))
		}
		e.judgeHealth(check, info)
		if i == 0 {
			replicas = info.Config.Replicas
		}
	}
	if e.nc.ConnectedClusterName() != "" && replicas == 1 {
		e.warn("nats streams", "the servers are a cluster, and the log has one replica", "set WS_REPLICAS=3 and run `vibemesh provision`: the log is away while its one server is")
	}
}

func ageText(d time.Duration) string {
	if d == 0 {
		return "ever"
	}
	return d.String()
}

// findStreams reads what there is of the streams that the settings ask for. The first
// answer also tells the server's time.
func (e *examiner) findStreams(ctx context.Context) (found map[string]*jetstream.StreamInfo, denied, ok bool) {
	found = map[string]*jetstream.StreamInfo{}
	settings := LogConfig{Replicas: 1, ReadMirror: true}
	timed := false
	for _, t := range e.mesh.targets(settings) {
		before := time.Now()
		info, refused, err := e.info(ctx, t.name)
		after := time.Now()
		switch {
		case refused && strings.Contains(t.name, "_LOG_READ"):
			continue // not every role may see the mirrors, and they may not exist
		case refused:
			return nil, true, true
		case err != nil:
			e.fail("nats stream "+t.name, err.Error(), "look at the server's log: is there a quorum of the servers with JetStream?")
			return nil, false, false
		case info == nil:
			continue
		}
		found[t.name] = info
		if !timed && !info.TimeStamp.IsZero() {
			timed = true
			took := after.Sub(before)
			now := e.cfg.Now()
			e.clock(info.TimeStamp, now.Add(-took), now)
		}
	}
	if !timed {
		e.skip("nats clock", "a server tells its time with a stream, and there is none")
	}
	return found, false, true
}

// info is a stream, nil if there is none of this name.
func (e *examiner) info(ctx context.Context, name string) (info *jetstream.StreamInfo, denied bool, err error) {
	answer, refused, err := e.ask(ctx, "$JS.API.STREAM.INFO."+name, "", nil, true)
	switch {
	case refused != nil:
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	var got struct {
		jetstream.StreamInfo
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return nil, false, fmt.Errorf("the answer about %s cannot be read: %w", name, err)
	}
	if got.Error == nil {
		return &got.StreamInfo, false, nil
	}
	if errors.Is(got.Error, jetstream.ErrStreamNotFound) || got.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound {
		return nil, false, nil
	}
	return nil, false, got.Error
}

// settings are those of the log as far as they are known, and else as it is found.
func (e *examiner) settings(found map[string]*jetstream.StreamInfo) LogConfig {
	cfg := LogConfig{Replicas: e.cfg.Log.Replicas, MaxAge: e.cfg.Log.MaxAge, MaxBytes: e.cfg.Log.MaxBytes}
	_, cfg.ReadMirror = found[e.mesh.mirrorNameOf(0)]
	if log := found[e.mesh.streamNameOf(0)]; log != nil {
		if cfg.Replicas == 0 {
			cfg.Replicas = log.Config.Replicas
		}
		if cfg.MaxAge == 0 {
			cfg.MaxAge = log.Config.MaxAge
		}
		if cfg.MaxBytes == 0 && log.Config.MaxBytes > 0 {
			cfg.MaxBytes = log.Config.MaxBytes * int64(e.cfg.Subjects.Partitions())
		}
	}
	cfg.Replicas = max(cfg.Replicas, 1)
	return cfg
}

// otherLog finds a log of another number of partitions than was said.
func (e *examiner) otherLog(ctx context.Context, found map[string]*jetstream.StreamInfo) bool {
	if found[e.mesh.streamNameOf(0)] != nil {
		return false
	}
	name := e.mesh.base() + "_LOG"
	if e.cfg.Subjects.Partitions() == 1 {
		name += "_0"
	}
	info, denied, err := e.info(ctx, name)
	if err != nil || denied || info == nil {
		return false
	}
	n := 1
	if e.cfg.Subjects.Partitions() == 1 {
		n = partitionsOf(0, info)
	}
	e.fail("nats streams", fmt.Sprintf("the log has %s, and was said to have %d", count(n, "partition"), e.cfg.Subjects.Partitions()),
		fmt.Sprintf("give --partitions %d, and WS_PARTITIONS=%d to every process", n, n))
	return true
}

// soft are fields that change what is kept and for how long, not whether it works.
var soft = []string{"num_replicas", "max_age", "max_bytes", "duplicate_window", "description", "metadata", "max_consumers", "max_msgs", "max_msgs_per_subject"}

// judgeStream tells what provisioning would change; it reports that there is nothing.
func (e *examiner) judgeStream(check string, c *Change) bool {
	if len(c.Refused) > 0 {
		e.fail(check, "provisioning would be refused: "+strings.Join(c.Refused, "; "), "see the text; `vibemesh provision --dry-run` says it again")
		return false
	}
	if to := c.config.RePublish; to != nil {
		e.warn(check, fmt.Sprintf("what it stores is sent to %s as well: whoever may hear that reads it", to.Destination), "if nobody means it so, `nats stream edit "+c.Stream+" --no-republish` (with provision.creds), and ask who could change streams")
		return false
	}
	if len(c.Fields) == 0 {
		return true
	}
	hard := slices.ContainsFunc(c.Fields, func(f Field) bool { return !slices.Contains(soft, f.Name) })
	text := fmt.Sprintf("it is not as it is to be: %s", c.summary())
	const fix = "run `vibemesh provision --dry-run`, then without --dry-run"
	if hard {
		e.fail(check, text, fix)
	} else {
		e.warn(check, text, fix)
	}
	return false
}

// judgeHealth tells of replicas that are away or behind.
func (e *examiner) judgeHealth(check string, info *jetstream.StreamInfo) {
	if info.Cluster == nil {
		return
	}
	if info.Cluster.Leader == "" {
		e.fail(check, "it has no leader", "bring its servers back: more than half of its replicas must be there")
	}
	for _, r := range info.Cluster.Replicas {
		switch {
		case r.Offline:
			e.warn(check, fmt.Sprintf("the replica on %s is away", r.Name), "bring that server back, or move the replica with `nats stream cluster peer-remove`")
		case !r.Current:
			e.warn(check, fmt.Sprintf("the replica on %s is %s behind", r.Name, count(r.Lag, "operation")), "wait; if it stays so, look at that server's disk and network")
		}
	}
}

func replicasText(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}
