package mesh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// LogConfig is what settings say about the log. How many partitions it has is part
// of Config.
type LogConfig struct {
	Replicas   int
	MaxAge     time.Duration
	MaxBytes   int64 // over all partitions; 0: no limit
	ReadMirror bool
	AllowLoss  bool // remove stored messages where the new settings ask for it
}

// ErrRefused is wrapped by the error of a provisioning that would lose messages, or
// that NATS is not prepared for. Its text says what to do.
var ErrRefused = errors.New("not provisioned")

// Provision creates the log and what belongs to it, or changes them to what the
// settings say, and returns the state of the log's first partition. It is safe to
// call again, by several processes at once. It changes nothing if a part of it is
// refused: the error then wraps ErrRefused.
func (m *Mesh) Provision(ctx context.Context, cfg LogConfig) (wire.LogState, error) {
	refused, err := m.checkMapping(ctx)
	if err != nil {
		return wire.LogState{}, err
	}
	if len(refused) > 0 {
		return wire.LogState{}, m.refuse(ctx, cfg, refused)
	}
	until, rounds := time.Now().Add(settleTime), 0
	var why error // it has not succeeded so far
	for {
		plan, err := m.step(ctx, cfg)
		if err != nil && ctx.Err() == nil {
			why = err
		}
		switch {
		case err == nil && plan.UpToDate():
			m.log.Info("the log is provisioned", "stream", plan.Changes[0].Stream, "partitions", m.cfg.Subjects.Partitions(),
				"messages", plan.messages, "replicas", cfg.Replicas, "age", cfg.MaxAge.String())
			return plan.first, nil
		case err == nil && rounds == mostRounds:
			return wire.LogState{}, errors.New("another process keeps changing the log back: do all of them have the same settings?")
		case err == nil:
			until, rounds = time.Now().Add(settleTime), rounds+1
		case !passing(err) || time.Now().After(until):
			return wire.LogState{}, err
		}
		select {
		case <-ctx.Done():
			return wire.LogState{}, unavailable(errors.Join(ctx.Err(), why))
		case <-time.After(stepPause):
		}
	}
}

// refuse is the error for what NATS is not prepared for. What the streams themselves say
// against it comes first: who prepared NATS for another number of partitions beside a log
// that is in use would end it.
func (m *Mesh) refuse(ctx context.Context, cfg LogConfig, refused []string) error {
	ctx, cancel := context.WithTimeout(ctx, refuseTime)
	defer cancel()
	plan, err := m.planStreams(ctx, cfg)
	if err != nil { // these credentials may not look at them
		plan = &Plan{}
	}
	plan.Refused = append(plan.Refused, refused...)
	return plan.Err()
}

// A cluster that has just started, or whose leaders change, refuses for a while, and
// what was changed shows a moment later.
const (
	settleTime = 15 * time.Second
	stepPause  = 50 * time.Millisecond
	mostRounds = 20
	callTime   = 5 * time.Second // for one answer of JetStream
	refuseTime = 2 * time.Second // for a look at the streams, which who is refused may not have
)

// step does what is still to be done. Its plan says what that was.
func (m *Mesh) step(ctx context.Context, cfg LogConfig) (*Plan, error) {
	plan, err := m.planStreams(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := plan.Err(); err != nil {
		return nil, err
	}
	for i := range plan.Changes {
		c := &plan.Changes[i]
		if c.Action == Keep {
			continue
		}
		if err := m.apply(ctx, c); err != nil {
			return nil, m.provisionError(c.Stream, err)
		}
		m.log.Info("provisioned", "stream", c.Stream, "action", string(c.Action), "fields", c.summary())
	}
	return plan, nil
}

func (m *Mesh) apply(ctx context.Context, c *Change) (err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	js := m.pub.js
	if c.Action == Remove || c.Action == Replace {
		if err := js.DeleteStream(ctx, c.Stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
	}
	switch c.Action {
	case Create, Replace:
		_, err = js.CreateStream(ctx, c.config)
	case Update:
		_, err = js.UpdateStream(ctx, c.config)
	}
	return err
}

// passing reports whether an error may pass by itself: the cluster is about to choose
// a leader, or another process has been quicker.
func passing(err error) bool {
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case errIncomplete, errNoPeers, errNotAssigned, errNotAvailable, errNotLeader, errStreamOffline:
		return true
	}
	return false
}

// Error codes of JetStream that nats.go has no names for.
const (
	errIncomplete    jetstream.ErrorCode = 10004
	errNoPeers       jetstream.ErrorCode = 10005
	errNotAssigned   jetstream.ErrorCode = 10007
	errNotAvailable  jetstream.ErrorCode = 10008
	errNotLeader     jetstream.ErrorCode = 10009
	errNoCluster     jetstream.ErrorCode = 10074
	errStreamOffline jetstream.ErrorCode = 10118
)

// provisionError says what to do about an error of JetStream, where that is known.
func (m *Mesh) provisionError(stream string, err error) error {
	var api *jetstream.APIError
	hint := ""
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case errNoPeers:
			hint = ": WS_REPLICAS needs as many servers with JetStream, and with room for the log"
		case errNoCluster:
			hint = ": set WS_REPLICAS=1, or give a cluster in WS_NATS_URL"
		case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
			hint = ": turn JetStream on in the servers, and for the account"
		}
	}
	return fmt.Errorf("provisioning %s: %w%s", stream, unavailable(err), hint)
}

// base is what the names of all that belongs to one log begin with.
func (m *Mesh) base() string {
	return strings.ToUpper(strings.ReplaceAll(m.cfg.Subjects.Prefix(), ".", "_"))
}

func stateOf(info *jetstream.StreamInfo) wire.LogState {
	s := wire.LogState{
		Life: uint64(info.Created.UnixMilli()), First: info.State.FirstSeq, Last: info.State.LastSeq,
		Replicated: info.Config.Replicas > 1,
	}
	if s.First == 0 { // a stream that never held anything
		s.First = 1
	}
	return s
}
