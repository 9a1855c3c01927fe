package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// MappingText is what the configuration of each nats-server must have for a log of
// several partitions, with a comment that says where.
func MappingText(s wire.Subjects) string {
	all := s.Mappings()
	if len(all) == 0 {
		return "# A log of one partition needs no mapping.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# For a log of %d partitions, on every nats-server: in the account of Vibemesh, or at the top\n"+
		"# where there are no accounts. Then `nats-server --signal reload`.\nmappings: {\n", s.Partitions())
	for _, m := range all {
		fmt.Fprintf(&b, "  %q: %q\n", m.From, m.To)
	}
	b.WriteString("}\n")
	return b.String()
}

// checkMapping says why the subject mapping in force is not that of the log's
// partitions. It asks every server of the cluster that it knows: each maps what its own
// clients publish.
func (m *Mesh) checkMapping(ctx context.Context) (refused []string, err error) {
	servers := []string{m.pub.nc.ConnectedUrl()}
	if m.cfg.Subjects.Partitions() > 1 && m.cfg.Server == nil {
		for _, s := range m.pub.nc.Servers() {
			if !slices.Contains(servers, s) {
				servers = append(servers, s)
			}
		}
	}
	for i, server := range servers {
		nc, err := m.dialOnce(server)
		if err != nil && i > 0 {
			m.log.Warn("this server of the cluster was not asked whether it maps subjects to partitions", "server", hostOf(server), "err", err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("asking %s for its subject mapping: %w", hostOf(server), unavailable(err))
		}
		wrong, err := m.probe(ctx, nc)
		nc.Close()
		if errors.Is(err, nats.ErrPermissionViolation) {
			// The other servers have the same accounts.
			return []string{fmt.Sprintf("the nats-server %s does not let these credentials do what provisioning takes (%v): WS_NATS_CREDS has to name those of the role provision, or run, "+
				"and accounts.conf has to be made for WS_PARTITIONS=%d and this prefix (`vibemesh credentials --partitions`)",
				hostOf(server), err, m.cfg.Subjects.Partitions())}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("asking %s for its subject mapping: %w", hostOf(server), unavailable(err))
		}
		if wrong != "" {
			refused = append(refused, fmt.Sprintf("the nats-server %s %s", hostOf(server), wrong))
		}
	}
	if len(refused) > 0 && m.cfg.Subjects.Partitions() > 1 {
		refused[len(refused)-1] += "\nEvery nats-server needs this in its configuration:\n" + MappingText(m.cfg.Subjects)
	}
	return refused, nil
}

// dialOnce connects to one server with the credentials of the others.
func (m *Mesh) dialOnce(server string) (*nats.Conn, error) {
	opts := m.pub.nc.Opts
	opts.Url, opts.Servers, opts.Name = server, nil, "vibemesh provision "+m.cfg.Node
	opts.AllowReconnect, opts.RetryOnFailedConnect = false, false
	opts.ReconnectedCB = nil
	opts.DisconnectedErrCB = nil
	opts.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {} // probe reads LastError
	opts.TLSConfig = m.tlsFor(server, opts.TLSConfig)
	for _, u := range m.cfg.URLs {
		// Servers() has no user names and tokens; they may be in any of the URLs.
		if p, err := url.Parse(u); err == nil && p.User != nil {
			if at, err := url.Parse(server); err == nil {
				at.User = p.User
				opts.Url = at.String()
			}
			break
		}
	}
	return opts.Connect()
}

// probes is how many ids are tried: a mapping to twice as many partitions does one in
// two as it should.
const probes = 32

// probe publishes messages that no stream takes, since they are said to be for another,
// and sees where the server maps them. wrong is empty if that is right. The error wraps
// nats.ErrPermissionViolation if the user may not try.
func (m *Mesh) probe(ctx context.Context, nc *nats.Conn) (wrong string, err error) {
	s := m.cfg.Subjects
	log := s.Prefix() + ".log."
	sent := map[string]string{} // by probe: where it is to arrive, or nothing
	var subs []*nats.Subscription
	for _, subject := range []string{log + "*.probe.*", log + "0.broadcast"} {
		if s.Partitions() == 1 && len(subs) == 1 {
			break
		}
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			return "", err
		}
		subs = append(subs, sub)
	}
	send := func(subject, to string) error {
		msg := nats.NewMsg(subject)
		id := rand.Text()
		sent[id] = to
		msg.Header.Set(jetstream.ExpectedStreamHeader, id)
		return nc.PublishMsg(msg)
	}
	if s.Partitions() == 1 {
		err = send(s.Prefix()+".ws.probe."+rand.Text(), "")
	} else {
		err = send(s.Prefix()+".ws.broadcast", log+"0.broadcast")
		for i := 0; i < probes && err == nil; i++ {
			id := rand.Text()
			err = send(s.Prefix()+".ws.probe."+id, fmt.Sprintf("%s%d.probe.%s", log, s.Partition(wire.User(id)), id))
		}
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil { // all that was to arrive has arrived
		return "", err
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) { // the server has said so before the pong
		return "", err
	}
	arrived, err := collect(subs, sent)
	if err != nil {
		return "", err
	}
	return m.verdict(sent, arrived), nil
}

// collect is where each of our own probes has arrived.
func collect(subs []*nats.Subscription, sent map[string]string) (arrived map[string]string, err error) {
	arrived = map[string]string{}
	for _, sub := range subs {
		for {
			msg, err := sub.NextMsg(time.Nanosecond)
			if errors.Is(err, nats.ErrTimeout) {
				break
			}
			if err != nil {
				return nil, err
			}
			id := msg.Header.Get(jetstream.ExpectedStreamHeader)
			if _, ours := sent[id]; ours {
				arrived[id] = msg.Subject
			}
		}
	}
	return arrived, nil
}

func (m *Mesh) verdict(sent, arrived map[string]string) (wrong string) {
	right := 0
	for id, to := range sent {
		if arrived[id] == to {
			right++
		}
	}
	switch n := m.cfg.Subjects.Partitions(); {
	case right == len(sent):
		return ""
	case n == 1:
		return "maps the subjects of the log to partitions, and WS_PARTITIONS is 1: remove the mapping of " +
			m.cfg.Subjects.Prefix() + ".ws.*.* from the configuration of every server, or set WS_PARTITIONS to what it is for"
	case len(arrived) == 0:
		return fmt.Sprintf("does not map the subjects of the log to the %d of WS_PARTITIONS", n)
	default:
		return fmt.Sprintf("maps the subjects of the log to partitions, but not to the %d of WS_PARTITIONS: %d of %d probes arrived where they should", n, right, len(sent))
	}
}
