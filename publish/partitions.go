package publish

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// subjectsFor is the subjects for some messages, with the partitions of the log where
// they matter. The server maps what is published to them, so only a batch, which must not
// cross them, and a schedule, which names where it is to be stored, need to know how many
// there are. That never changes while the log holds messages, so it is asked once.
func (p *Publisher) subjectsFor(ctx context.Context, msgs []wire.Message) (wire.Subjects, error) {
	if len(msgs) == 1 && !msgs[0].At.After(time.Now()) {
		return p.subjects, nil
	}
	count := int(p.partitions.Load())
	if count == 0 {
		var err error
		if count, err = p.countPartitions(ctx); err != nil {
			return wire.Subjects{}, fmt.Errorf("finding the partitions of the log: %w", err)
		}
		p.partitions.Store(int32(count))
	}
	return p.subjects.Partitioned(count), nil
}

// probes is how many ids are asked for: a number of partitions that is wrong is right
// for one id in two at most.
const probes = 48

// countPartitions finds out by asking who would store messages for some ids. They are
// said to be for another stream, so that each is refused, by the stream that it came to.
func (p *Publisher) countPartitions(ctx context.Context) (int, error) {
	inbox := p.log.NC.NewInbox()
	answers, err := p.log.NC.SubscribeSync(inbox + ".*")
	if err != nil {
		return 0, message.Explain(err)
	}
	defer answers.Unsubscribe() //nolint:errcheck // it fails with the connection only
	for range probes {
		id := rand.Text()
		probe := nats.NewMsg(p.subjects.Prefix() + ".ws.user." + id)
		probe.Reply = inbox + "." + id
		probe.Header.Set(jetstream.ExpectedStreamHeader, id)
		if err := p.log.NC.PublishMsg(probe); err != nil {
			return 0, message.Explain(err)
		}
	}
	streams := make(map[string]string, probes) // by id: who would have stored it
	for len(streams) < probes {
		answer, err := answers.NextMsgWithContext(ctx)
		if err == nil && answer.Header.Get("Status") == "503" {
			err = nats.ErrNoResponders
		}
		if err != nil {
			return 0, message.Explain(err)
		}
		var ack struct {
			Stream string `json:"stream"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return 0, message.Explain(fmt.Errorf("the answer to a probe: %w", err))
		}
		streams[strings.TrimPrefix(answer.Subject, inbox+".")] = ack.Stream
	}
	return countOf(p.subjects, streams)
}

// countOf is the number of partitions with which each id belongs to the stream that it
// came to: <PREFIX>_LOG, or with several <PREFIX>_LOG_<partition>.
func countOf(s wire.Subjects, streams map[string]string) (int, error) {
	for n := 1; n <= wire.MaxPartitions; n++ {
		fits := true
		for id, stream := range streams {
			end := "_LOG"
			if n > 1 {
				end = fmt.Sprint("_LOG_", s.Partitioned(n).Partition(wire.User(id)))
			}
			fits = fits && strings.HasSuffix(stream, end)
		}
		if fits {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: the streams that store %s.ws.> are not those of a Vibemesh", wire.ErrUnavailable, s.Prefix())
}
