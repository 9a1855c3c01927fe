package mesh

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	definitions "github.com/socialvibes/vibemesh/nats"
)

// target is a stream as the definitions and the settings want it.
type target struct {
	name       string
	definition []byte   // of nats/
	subjects   []string // empty: a mirror
	mirrors    string   // the stream that it is a copy of
	mirrored   []string // the subjects that it copies
	partitions int      // of the log that it is a part of; 0: of none
	cfg        LogConfig
}

// partitionsKey is where a partition's metadata says how many there are. The stream
// of a log of one partition does not.
const partitionsKey = "vibemesh_partitions"

// targets are all streams that the settings ask for: the log's partitions, their
// mirrors, the bucket.
func (m *Mesh) targets(cfg LogConfig) []target {
	partitions := m.cfg.Subjects.Partitions()
	if cfg.MaxBytes > 0 {
		cfg.MaxBytes = max(cfg.MaxBytes/int64(partitions), 1)
	}
	var all []target
	for p := range partitions {
		all = append(all, target{
			name: m.streamNameOf(p), definition: definitions.Stream, subjects: m.storedSubjects(p), partitions: partitions, cfg: cfg,
		})
	}
	if cfg.ReadMirror {
		for p := range partitions {
			all = append(all, target{
				name: m.mirrorNameOf(p), definition: definitions.Mirror, mirrors: m.streamNameOf(p), mirrored: m.audiences(p), partitions: partitions, cfg: cfg,
			})
		}
	}
	return append(all, target{
		name: "KV_" + m.RevokedBucket(), definition: definitions.Revoked, subjects: []string{"$KV." + m.RevokedBucket() + ".>"},
		cfg: LogConfig{Replicas: cfg.Replicas, AllowLoss: cfg.AllowLoss},
	})
}

// streamNameOf is the name of the stream that holds a partition.
func (m *Mesh) streamNameOf(p int) string {
	return m.base() + "_LOG" + m.suffix(p)
}

func (m *Mesh) mirrorNameOf(p int) string {
	return m.base() + "_LOG_READ" + m.suffix(p)
}

func (m *Mesh) suffix(p int) string {
	if m.cfg.Subjects.Partitions() == 1 {
		return ""
	}
	return "_" + strconv.Itoa(p)
}

// RevokedBucket is the name of the key-value bucket that holds which tokens are
// refused.
func (m *Mesh) RevokedBucket() string { return m.base() + "_REVOKED" }

// storedSubjects are the subjects that a partition stores. Where there are several,
// nothing but what the contract names comes to them.
func (m *Mesh) storedSubjects(p int) []string {
	if m.cfg.Subjects.Partitions() == 1 {
		return []string{m.cfg.Subjects.Log(p)}
	}
	return append(m.audiences(p), m.stem(p)+"schedule.*")
}

// audiences are the subjects of what is for somebody. A mirror has these alone: it does
// not notice that the log removes a schedule, and would keep all of them.
func (m *Mesh) audiences(p int) []string {
	var subjects []string
	for _, s := range []string{"broadcast", "user.*", "topic.*", "read.*"} {
		subjects = append(subjects, m.stem(p)+s)
	}
	return subjects
}

func (m *Mesh) stem(p int) string { return strings.TrimSuffix(m.cfg.Subjects.Log(p), ">") }

// config is what a stream is to be like that is like from now. What neither the
// definition nor the settings speak of stays as it is: placement, compression,
// metadata and whatever else an operator has chosen.
func (t *target) config(from jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	c := from
	if err := json.Unmarshal(t.definition, &c); err != nil {
		return c, fmt.Errorf("the definition of %s: %w", t.name, err)
	}
	c.Name, c.Subjects, c.Replicas = t.name, t.subjects, t.cfg.Replicas
	if t.partitions > 0 {
		c.MaxAge, c.MaxBytes = t.cfg.MaxAge, -1
		if t.cfg.MaxBytes > 0 {
			c.MaxBytes = t.cfg.MaxBytes
		}
		c.Metadata = t.metadata(from.Metadata)
	}
	if c.MaxAge > 0 {
		c.Duplicates = min(c.Duplicates, c.MaxAge) // JetStream wants it so
	}
	if t.mirrors != "" && (c.Mirror == nil || c.Mirror.Name != t.mirrors) {
		c.Mirror = &jetstream.StreamSource{Name: t.mirrors}
		for _, s := range t.mirrored {
			c.Mirror.SubjectTransforms = append(c.Mirror.SubjectTransforms, jetstream.SubjectTransformConfig{Source: s})
		}
	}
	return c, nil
}

func (t *target) metadata(from map[string]string) map[string]string {
	to := map[string]string{}
	for k, v := range from {
		if k != partitionsKey {
			to[k] = v
		}
	}
	if t.partitions > 1 {
		to[partitionsKey] = strconv.Itoa(t.partitions)
	}
	if len(to) == 0 {
		return nil
	}
	return to
}

// partOf finds the place of a stream in a log by its name: in a log of one partition
// -1. ok is false for a stream that is no part of this log.
func (m *Mesh) partOf(name string) (partition int, mirror, ok bool) {
	rest, ok := strings.CutPrefix(name, m.base()+"_LOG")
	if !ok {
		return 0, false, false
	}
	rest, mirror = strings.CutPrefix(rest, "_READ")
	if rest == "" {
		return -1, mirror, true
	}
	p, err := strconv.Atoi(strings.TrimPrefix(rest, "_"))
	return p, mirror, err == nil && p >= 0 && rest == "_"+strconv.Itoa(p)
}

// isLog reports whether a stream stores subjects of this log.
func (m *Mesh) isLog(info *jetstream.StreamInfo) bool {
	return slices.ContainsFunc(info.Config.Subjects, func(s string) bool {
		return covers(m.cfg.Subjects.Prefix()+".ws.>", s) || covers(m.cfg.Subjects.Prefix()+".log.>", s)
	})
}

// stored is the wildcard of all that the partitions store.
func (m *Mesh) stored() string {
	if m.cfg.Subjects.Partitions() == 1 {
		return m.cfg.Subjects.Log(0)
	}
	return m.cfg.Subjects.Prefix() + ".log.>"
}

// partitionsOf is how many partitions the log has whose part a stream is; 0 if that
// cannot be told.
func partitionsOf(partition int, info *jetstream.StreamInfo) int {
	if partition < 0 {
		return 1
	}
	n, err := strconv.Atoi(info.Config.Metadata[partitionsKey])
	if err != nil {
		return 0
	}
	return n
}

// serverTime is when a server made an info, by its own clock.
func serverTime(info *jetstream.StreamInfo) time.Time {
	if info.TimeStamp.IsZero() {
		return time.Now()
	}
	return info.TimeStamp
}
