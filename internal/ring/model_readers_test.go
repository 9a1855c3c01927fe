package ring_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/ring"
)

const (
	readerUsers = 4
	readerParts = 3
	readerKeys  = 8
	// replacedBy is how many positions later an entry's place is taken.
	replacedBy = readerUsers * readerKeys
)

// replaceable is the entry at a position of a log in which each is replaced.
func replaceable(pos uint64) ring.Entry {
	user := pos % readerUsers
	return ring.Entry{
		Part: uint8(user % readerParts), Seq: pos, Time: time.Unix(1, 0), Kind: kindUser, ID: fmt.Sprint(user),
		Collapse: fmt.Sprint(pos / readerUsers % readerKeys), Frame: fmt.Appendf(nil, "%040d", pos),
	}
}

// TestReadersOfWhatIsReplaced has readers follow a ring whose entries are replaced and
// evicted all the time. An entry is missing only when the one that took its place is
// there, and what is there is whole.
func TestReadersOfWhatIsReplaced(t *testing.T) {
	const entries = 20_000
	r := ring.New(48<<10, make([]uint64, readerParts))
	var wg sync.WaitGroup
	for user := range uint64(readerUsers) {
		wg.Go(func() {
			keys := []ring.Key{r.Key(kindUser, fmt.Sprint(user))}
			var buf []uint64
			for pos := uint64(0); pos < entries; {
				v := r.View()
				if pos < v.Floor() {
					pos = v.Floor()
				}
				var ok bool
				if buf, ok = v.Collect(buf[:0], keys, pos, v.Head(), entries); !ok {
					continue
				}
				if err := checkReplaced(r, &v, user, pos, buf); err != nil {
					t.Error(err)
					return
				}
				pos = v.Head()
			}
		})
	}
	for pos := uint64(1); pos <= entries; pos++ {
		r.Append(replaceable(pos))
	}
	wg.Wait()
}

// checkReplaced checks what was collected for a user after a position.
func checkReplaced(r *ring.Ring, v *ring.View, user, after uint64, got []uint64) error {
	head := r.Head() // later than what was collected: what was missing then has its successor by now
	for pos := after + 1; pos <= v.Head(); pos++ {
		if pos%readerUsers != user {
			continue
		}
		if len(got) == 0 || got[0] != pos {
			if pos+replacedBy > head+1 { // the one that is being appended hides it just after it counts
				return fmt.Errorf("%d is missing, and what replaces it is not there: the head is %d", pos, head)
			}
			continue
		}
		got = got[1:]
		it, want := v.At(pos), replaceable(pos)
		if it.Seq != pos || it.Part != want.Part || !slices.Equal(it.Frame, want.Frame) {
			return fmt.Errorf("at %d: %d %q", pos, it.Seq, it.Frame)
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("%v are nobody's, or come twice, or out of order", got)
	}
	pos := v.Floor() + (v.Head()-v.Floor())/2
	if at, mixed, ok := v.Find(v.SeqsAt(nil, pos)); !ok || at != pos || mixed < pos {
		return fmt.Errorf("the place at %d is found at %d, mixed up to %d, %t", pos, at, mixed, ok)
	}
	return nil
}
