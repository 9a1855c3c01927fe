package chaos

import (
	"fmt"
	"strings"
)

// Kind is what a Finding is about.
type Kind string

// The kinds of findings. Each breaks the promise.
const (
	Lost       Kind = "lost"       // acknowledged, and not received
	Doubled    Kind = "doubled"    // one message is in the log twice, under two ids
	Disordered Kind = "disordered" // received behind a later message of its subject
	Repeated   Kind = "repeated"   // sent although the session's cursor covered it
	BareGap    Kind = "gap"        // said, although nothing was removed from the log
	Strange    Kind = "strange"    // never published, for somebody else, damaged; or the session was turned away for good
)

// Finding is one thing that broke the promise.
type Finding struct {
	Kind    Kind
	Session string
	Subject string // empty when it is about none
	From    uint32 // numbers of the subject
	To      uint32
	Text    string // the whole of it, with times since the run began
}

// Check compares what every session received with what was acknowledged. It is to
// be called when publishing has ended and the sessions had time to receive all.
func Check(ledger *Ledger, records []*Record) (findings []Finding) {
	for _, r := range records {
		findings = append(findings, r.check(ledger)...)
	}
	return findings
}

// check judges one session.
func (r *Record) check(ledger *Ledger) (found []Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(kind Kind, s span, format string, args ...any) {
		f := Finding{Kind: kind, Session: r.Session, From: s.from, To: s.to}
		if s.subject >= 0 {
			f.Subject = r.Subjects[s.subject].Name
		}
		f.Text = fmt.Sprintf("%s: session %s: %s", kind, r.Session, fmt.Sprintf(format, args...))
		found = append(found, f)
	}
	for _, s := range r.lost(ledger) {
		subject := r.Subjects[s.subject]
		first, _ := subject.When(s.from)
		last, _ := subject.When(s.to)
		add(Lost, s, "%s %s, acknowledged at %s to %s (sequences %d to %d of the log)", subject.Name, s.numbers(), clock(first), clock(last), subject.sequence(s.from), subject.sequence(s.to))
	}
	for _, l := range r.late {
		add(Disordered, span{l.subject, l.number, l.number}, "%s %d came at %s behind %d", r.Subjects[l.subject].Name, l.number, clock(l.at), l.after)
	}
	for _, a := range r.again {
		one := span{a.subject, a.number, a.number}
		switch {
		case a.seq != a.known:
			add(Doubled, one, "%s %d came at %s with the sequence %d, and is known under %d", r.Subjects[a.subject].Name, a.number, clock(a.at), a.seq, a.known)
		case a.covered:
			add(Repeated, one, "%s %d came again at %s although the cursor covered it", r.Subjects[a.subject].Name, a.number, clock(a.at))
		}
	}
	for _, g := range r.gaps {
		if _, any := ledger.removedThrough(g.at); !any || g.reason != "retention" {
			add(BareGap, span{subject: -1}, "a gap of reason %q at %s, and nothing was removed", g.reason, clock(g.at))
		}
	}
	for _, s := range r.strange {
		add(Strange, span{subject: -1}, "%s", s)
	}
	if len(found) > 0 {
		found[len(found)-1].Text += "\n    " + strings.Join(r.trail, "\n    ")
	}
	return found
}

// lost are the numbers that were acknowledged and have not come, and that no
// removal which the session was told of excuses.
func (r *Record) lost(ledger *Ledger) (lost []span) {
	spans := append([]span(nil), r.skipped...)
	for i, s := range r.Subjects {
		spans = append(spans, span{i, r.last[i] + 1, s.Acknowledged()})
	}
	excused := uint64(0) // sequences up to it may be missing
	for _, g := range r.gaps {
		seq, _ := ledger.removedThrough(g.at)
		excused = max(excused, seq)
	}
	for _, s := range spans {
		subject := r.Subjects[s.subject]
		s.to = min(s.to, subject.Acknowledged())
		for s.from <= s.to && subject.sequence(s.from) <= excused {
			s.from++
		}
		if s.from <= s.to {
			lost = append(lost, s)
		}
	}
	return lost
}

func (s span) numbers() string {
	if s.from == s.to {
		return fmt.Sprint(s.from)
	}
	return fmt.Sprintf("%d to %d (%d messages)", s.from, s.to, s.to-s.from+1)
}
