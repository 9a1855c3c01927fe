package client

// recentIDs is how many event ids are remembered. Duplicates come from a resume
// that overlaps what was handled just before; a resume replays at most 1,000.
const recentIDs = 2048

// recent remembers the last recentIDs ids. Its zero value is empty.
type recent struct {
	set  map[string]struct{}
	ring []string
	next int
}

// add remembers id and reports whether it was there already.
func (r *recent) add(id string) (seen bool) {
	if _, seen = r.set[id]; seen {
		return true
	}
	if r.set == nil {
		r.set = make(map[string]struct{}, recentIDs)
	}
	if len(r.ring) < recentIDs {
		r.ring = append(r.ring, id)
	} else {
		delete(r.set, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % recentIDs
	}
	r.set[id] = struct{}{}
	return false
}
