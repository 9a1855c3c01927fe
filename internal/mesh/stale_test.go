package mesh

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestStaleLeader: a replicated log that ends before what was read of it is not believed
// at once, nor is a leader that hears nobody; a log without replicas is.
func TestStaleLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		created := time.Now()
		p := &partition{stream: "SV_LOG"}
		p.tail.begin(wire.LogState{Life: uint64(created.UnixMilli())}, 100)
		says := func(last uint64, heard ...time.Duration) error {
			info := &jetstream.StreamInfo{Created: created, Config: jetstream.StreamConfig{Replicas: len(heard) + 1}, Cluster: &jetstream.ClusterInfo{Leader: "n1"}}
			info.State.LastSeq = last
			for _, ago := range heard {
				info.Cluster.Replicas = append(info.Cluster.Replicas, &jetstream.PeerInfo{Active: ago})
			}
			return p.upToDate(info)
		}
		believed := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		doubted := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, wire.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", what, err)
			}
		}
		const soon, long = time.Second, 10 * time.Second
		believed("one server that lost its end", says(50))
		believed("all is well", says(100, soon, soon))
		believed("one replica is away", says(100, soon, long))
		doubted("both are away", says(100, long, long))
		doubted("it ends before what was read", says(99, soon, soon))
		time.Sleep(lostAfter - time.Second)
		doubted("it still does", says(99, soon, soon))
		believed("another leader knows the rest", says(101, soon, soon))
		time.Sleep(2 * time.Second)
		doubted("it begins anew", says(99, soon, soon))
		time.Sleep(lostAfter)
		believed("it has said so for long enough", says(99, soon, soon))
		created = created.Add(time.Hour)
		believed("another life of the log", says(1, soon, soon))
	})
}

// TestLed: the answer of a stream whose majority is gone is nobody's word, though every
// connection is well: what is left goes on answering for minutes.
func TestLed(t *testing.T) {
	for _, tc := range []struct {
		what   string
		info   jetstream.StreamInfo
		doubts bool
	}{
		{"one server, no cluster", jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 1}}, false},
		{"one replica on a cluster", jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 1}, Cluster: &jetstream.ClusterInfo{Leader: "n1"}}, false},
		{"three", jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}, Cluster: &jetstream.ClusterInfo{
			Leader: "n1", Replicas: []*jetstream.PeerInfo{{Active: time.Second}, {Offline: true}},
		}}, false},
		{"a leader that hears nobody", jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}, Cluster: &jetstream.ClusterInfo{
			Leader: "n1", Replicas: []*jetstream.PeerInfo{{Active: time.Minute}, {Offline: true}},
		}}, true},
		{"no leader", jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}, Cluster: &jetstream.ClusterInfo{
			Replicas: []*jetstream.PeerInfo{{Active: time.Second}, {Active: time.Minute}, {Active: time.Minute}},
		}}, true},
	} {
		if err := led("SV_LOG", &tc.info); errors.Is(err, wire.ErrUnavailable) != tc.doubts {
			t.Errorf("%s: %v, doubted: want %v", tc.what, err, tc.doubts)
		}
	}
}
