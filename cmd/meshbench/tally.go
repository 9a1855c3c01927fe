//go:build linux

package main

// tally is what has arrived since a worker was armed.
type tally struct {
	got, bytes, wire  int64
	broadcasts, users recorder // by kind, from the publish to the read
	core              recorder
	first             recorder // see kindFirst
}

// arrived counts a message, and says so when it was the last that was awaited.
func (w *worker) arrived(m stamp, size int, now int64) {
	t := &w.tally
	switch took := now - m.at; m.kind {
	case kindUser:
		t.users.add(took)
	case kindCore:
		t.core.add(took)
	default:
		t.broadcasts.add(took)
	}
	t.bytes += int64(size)
	if t.got++; t.got == w.target {
		_ = w.say(t.done(w.faults)) // a broken pipe shows at the next read of stdin
	}
}

func (t *tally) done(faults map[string]int64) answer {
	a := answer{Op: "done", N: t.got, Bytes: t.bytes, Wire: t.wire, Faults: faults, Kinds: map[string]hist{}}
	for kind, r := range map[string]*recorder{
		string(kindBroadcast): &t.broadcasts, string(kindUser): &t.users, string(kindCore): &t.core,
	} {
		if r.n > 0 {
			a.Kinds[kind] = r.take()
			a.Hist.merge(a.Kinds[kind])
		}
	}
	if t.first.n > 0 {
		a.Kinds[kindFirst] = t.first.take()
	}
	return a
}

// add makes a the sum of both. What the second says of the whole run is left out.
func (a *answer) add(o answer) {
	a.N += o.N
	a.Resumed += o.Resumed
	a.Bytes += o.Bytes
	a.Wire += o.Wire
	a.Hist.merge(o.Hist)
	a.addKinds(o)
}

func (a *answer) addKinds(o answer) {
	if a.Kinds == nil {
		a.Kinds = map[string]hist{}
	}
	for kind, h := range o.Kinds {
		sum := a.Kinds[kind]
		sum.merge(h)
		a.Kinds[kind] = sum
	}
}
