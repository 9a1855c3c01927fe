package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Fleet is all clients, and what they count together.
type Fleet struct {
	edges    []*Edge
	ledger   *Ledger
	sessions []*Session
	began    time.Time

	connected   atomic.Int64 // sessions that have had their hello
	disconnects atomic.Int64
	delivered   atomic.Int64 // messages, each counted once a session
	before      atomic.Int64 // messages sent again although the cursor covered them
	after       atomic.Int64 // messages sent again beyond the cursor
	gaps        atomic.Int64
	silence     atomic.Int64 // the longest, since it was last taken

	hurry atomic.Bool // nobody reads slowly any more

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Crowd says who the clients are.
type Crowd struct {
	Sessions int
	Topics   int // each user joins joined of them
}

// joined is how many topics a user has joined.
const joined = 2

// NewFleet makes the clients and the ledger of the subjects they listen to: the
// broadcast, the topics and the users, in this order. Every third user has one
// device, the others two.
func NewFleet(c Crowd, edges []*Edge, began time.Time, seed uint64) (*Fleet, error) {
	f := &Fleet{edges: edges, ledger: &Ledger{}, began: began}
	everybody := f.subject("sv.ws.broadcast", wire.Broadcast())
	var topics []*Subject
	for i := range c.Topics {
		name := fmt.Sprint("t", i+1)
		topics = append(topics, f.subject("sv.ws.topic."+name, wire.Topic(name)))
	}
	for user := 0; len(f.sessions) < c.Sessions; user++ {
		uid := fmt.Sprint("u", user+1)
		subjects := []*Subject{everybody, f.subject("sv.ws.user."+uid, wire.User(uid))}
		var names []string
		for i := range min(joined, len(topics)) {
			topic := topics[(user+i*(1+user/len(topics)))%len(topics)]
			if i > 0 && topic == subjects[len(subjects)-1] {
				continue
			}
			subjects, names = append(subjects, topic), append(names, topic.Audience.ID)
		}
		// Issued in the past and for long: clocks jump in these runs.
		token, err := auth.MintDev(auth.DevClaims{UID: uid, TTL: 48 * time.Hour}, time.Now().Add(-24*time.Hour))
		if err != nil {
			return nil, err
		}
		devices := 2
		if user%3 == 0 {
			devices = 1
		}
		for device := range min(devices, c.Sessions-len(f.sessions)) {
			n := len(f.sessions)
			s := &Session{
				fleet: f, token: token, topics: names, record: NewRecord(fmt.Sprintf("%s/%d", uid, device+1), subjects),
				rnd: rand.New(rand.NewPCG(seed, uint64(n))), habit: habit{keepEvery: 1},
			}
			if n%3 == 2 {
				s.habit.keepEvery = 8
			}
			if n%20 == 7 {
				s.habit.wander = time.Minute
			}
			f.sessions = append(f.sessions, s)
		}
	}
	return f, nil
}

func (f *Fleet) subject(name string, a wire.Audience) *Subject {
	s := &Subject{Index: len(f.ledger.Subjects), Name: name, Audience: a}
	f.ledger.Subjects = append(f.ledger.Subjects, s)
	return s
}

// now is the time since the run began.
func (f *Fleet) now() time.Duration { return time.Since(f.began) }

// Start has all clients sign in. They begin spread over a second or so.
func (f *Fleet) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	for i, s := range f.sessions {
		f.wg.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(i) * time.Millisecond):
				s.run(ctx)
			}
		})
	}
}

// Stop ends all clients.
func (f *Fleet) Stop() {
	f.stop()
	f.wg.Wait()
}

// silent notes how long a client heard nothing although there was something.
func (f *Fleet) silent(d time.Duration) {
	for {
		longest := f.silence.Load()
		if int64(d) <= longest || f.silence.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// acknowledged is the last number of each subject that was acknowledged.
func (f *Fleet) acknowledged() []uint32 {
	upTo := make([]uint32, len(f.ledger.Subjects))
	for i, s := range f.ledger.Subjects {
		upTo[i] = s.Acknowledged()
	}
	return upTo
}

// missing counts what sessions have not received of the messages up to upTo.
func (f *Fleet) missing(upTo []uint32) (n int) {
	for _, s := range f.sessions {
		n += s.record.missing(upTo)
	}
	return n
}

// records are those of all sessions.
func (f *Fleet) records() []*Record {
	var records []*Record
	for _, s := range f.sessions {
		records = append(records, s.record)
	}
	return records
}

// payload is what a message carries: its subject and number in the title, and a
// text of a length that both decide.
func payload(subject *Subject, number uint32) map[string]string {
	return map[string]string{
		"title":       fmt.Sprintf("%d %d", subject.Index, number),
		"description": filler(subject, number),
	}
}

const longest = 1200 // bytes of the text

func filler(subject *Subject, number uint32) string {
	return strings.Repeat("x", (subject.Index*131+int(number)*7919)%longest)
}

// parse finds the subject and number of a message, and checks that it came whole
// and for whom it was.
func (f *Fleet) parse(e *frame) (*Subject, uint32, error) {
	var index int
	var number uint32
	if n, err := fmt.Sscanf(e.Payload.Title, "%d %d", &index, &number); n != 2 {
		return nil, 0, err
	}
	if index < 0 || index >= len(f.ledger.Subjects) {
		return nil, 0, errors.New("there is no such subject")
	}
	subject := f.ledger.Subjects[index]
	if e.To != subject.Audience.To() {
		return nil, 0, fmt.Errorf("it is to %q", subject.Audience.To())
	}
	if e.Payload.Description != filler(subject, number) {
		return nil, 0, errors.New("its text is damaged")
	}
	return subject, number, nil
}
