package mesh

import (
	"context"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Bounds of what is remembered of what was sent to everybody: enough for the pages and
// the counts of nearly everyone (MaxUnread), and for what a resume replays at most.
const (
	recentMsgs  = 1280
	recentBytes = 4 << 20
	// recentAge is how long what is remembered is believed when messages have been removed
	// from their partition: they may be among these.
	recentAge = time.Minute
)

// recent remembers the newest of what was sent to everybody. It is part of every history,
// so it is read once a process, and from then on only what is new.
type recent struct {
	m    *Mesh
	part *partition
	view atomic.Pointer[recentView] // nil: nothing yet
	turn chan struct{}              // holds a token of who changes the view

	doubted atomic.Bool

	mu      sync.Mutex
	loading *recentLoad      // nil: none
	cuts    map[int]seqOfCut // by partition

	ctx  context.Context // ends with the mesh
	stop context.CancelFunc
}

// recentView is what is remembered at one time. It does not change.
type recentView struct {
	life    uint64
	from    uint64   // complete after this sequence,
	through uint64   // and up to this one
	msgs    []stored // oldest first
	all     bool     // there is no use in going further back
	removed int64    // messages that the partition lacked, when this was begun
	began   time.Time
}

func newRecent(m *Mesh) *recent {
	r := &recent{m: m, part: m.of(wire.Broadcast()), turn: make(chan struct{}, 1), cuts: map[int]seqOfCut{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *recent) close() { r.stop() }

// doubt is for when a server has come back: it may have lost the end of the log.
func (r *recent) doubt() { r.doubted.Store(true) }

// current is the view. One that is in doubt is kept, up to its newest message, if the log
// still has that.
func (r *recent) current(ctx context.Context) (*recentView, error) {
	v := r.view.Load()
	if v == nil || !r.doubted.Load() {
		return v, nil
	}
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	if v = r.view.Load(); v == nil || !r.doubted.CompareAndSwap(true, false) {
		return v, nil
	}
	var kept *recentView
	if n := len(v.msgs); n > 0 {
		newest := v.msgs[n-1]
		s, ok, err := r.m.reader.one(ctx, r.part, request{Seq: newest.seq, NextBy: newest.subject})
		if err != nil {
			r.doubt()
			return nil, err
		}
		if ok && s.seq == newest.seq && s.at.Equal(newest.at) {
			// What came behind it was for others, and may have been lost: its sequences
			// are then given again, and are to be read again.
			again := *v
			again.through = newest.seq
			kept = &again
		}
	}
	r.view.CompareAndSwap(v, kept)
	return r.view.Load(), nil
}

// run is what is remembered after a sequence, up to another. ok is false where it does
// not reach: then the log is to be asked.
func (r *recent) run(ctx context.Context, after, upTo uint64, limit, maxBytes int) (_ run, ok bool, err error) {
	v, err := r.current(ctx)
	if v == nil || err != nil || after < v.from {
		return run{}, false, err
	}
	if v, err = r.readOn(ctx, v, upTo); v == nil || err != nil || after < v.from {
		return run{}, false, err
	}
	msgs := between(v.msgs, after, upTo)
	out := run{msgs: msgs, through: upTo, life: v.life}
	bytes := 0
	for i := range msgs {
		if i == limit || maxBytes > 0 && bytes >= maxBytes {
			out.msgs, out.through = msgs[:i], msgs[i-1].seq
			break
		}
		bytes += msgs[i].size()
	}
	return out, true, nil
}

// between are those of some messages, in order, that come after a sequence, up to another.
func between(msgs []stored, after, upTo uint64) []stored {
	first := sort.Search(len(msgs), func(i int) bool { return msgs[i].seq > after })
	end := sort.Search(len(msgs), func(i int) bool { return msgs[i].seq > upTo })
	return msgs[first:max(first, end):max(first, end)]
}

// stretch is how long a stretch that comes after a sequence is to be to have some
// messages. What is remembered costs nothing.
func (r *recent) stretch(after uint64, msgs int) uint64 {
	v := r.view.Load()
	switch {
	case v == nil:
		return firstStretch
	case after >= v.from:
		return math.MaxUint64
	default:
		return stretchFor(msgs, v.through-v.from, uint64(len(v.msgs)))
	}
}

// readOn makes a view reach a sequence, for all who wait for that. It is nil if the view
// has been forgotten.
func (r *recent) readOn(ctx context.Context, v *recentView, upTo uint64) (*recentView, error) {
	if v.through >= upTo {
		return v, nil
	}
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	if v = r.view.Load(); v == nil || v.through >= upTo {
		return v, nil
	}
	for v.through < upTo {
		got, err := r.m.runOfLog(ctx, r.part, wire.Broadcast(), v.through, upTo, maxBatch, stretchBytes)
		if err != nil {
			return nil, err
		}
		if got.pending > recentMsgs { // none of this would be kept: it is quicker from the end
			r.view.CompareAndSwap(v, nil)
			return nil, nil
		}
		next := *v
		// Behind what the views before this one can see.
		next.msgs = append(next.msgs, r.parse(got.msgs, next.life)...)
		next.through = got.through
		next.trim()
		// At once: the next who has little time goes on from here.
		if !r.view.CompareAndSwap(v, &next) {
			return nil, nil
		}
		v = &next
	}
	return v, nil
}

func (r *recent) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

func (r *recent) leave() { <-r.turn }

// parse makes entries of messages, once and not for each page that has them.
func (r *recent) parse(msgs []stored, life uint64) []stored {
	for i := range msgs {
		e, err := r.m.parseEntry(r.part, life, &msgs[i])
		msgs[i].parsed = &parsed{life, e, err}
		msgs[i].header = nil // publishers may have put much into it
	}
	return msgs
}

// trim forgets the oldest that are too many.
func (v *recentView) trim() {
	keep, bytes := 0, 0
	for keep < min(len(v.msgs), recentMsgs) && bytes < recentBytes {
		keep++
		bytes += v.msgs[len(v.msgs)-keep].size()
	}
	if drop := len(v.msgs) - keep; drop > 0 {
		v.from, v.all = v.msgs[drop-1].seq, true
		v.msgs = slices.Clone(v.msgs[drop:])
	}
}

// forgetBut forgets what is of another life of the log: nobody else may ask for it.
func (r *recent) forgetBut(life uint64) {
	if v := r.view.Load(); v != nil && v.life != life {
		r.view.CompareAndSwap(v, nil)
	}
}

// size is about what a message takes of memory, in bytes.
func (s *stored) size() int { return len(s.data) + len(s.subject) }

// upTo is a view of the log up to a state that has enough, or all that is to be
// remembered.
func (r *recent) upTo(ctx context.Context, state wire.LogState, enough func(*recentView) bool) (*recentView, error) {
	for {
		v, err := r.current(ctx)
		if err != nil {
			return nil, err
		}
		if v != nil && (v.life != state.Life || r.part.states.removed.Load() != v.removed && time.Since(v.began) > recentAge) {
			r.view.CompareAndSwap(v, nil)
			continue
		}
		if v != nil {
			if v, err = r.readOn(ctx, v, state.Last); err != nil {
				return nil, err
			}
		}
		if v != nil && (enough(v) || v.all) {
			return v, nil
		}
		step := r.load(state)
		select {
		case <-step.next:
			if step.err != nil {
				return nil, step.err
			}
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
	}
}
