package edge

import (
	"context"
	"fmt"
	"sync"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TopicGate is a service that decides who may join which topic.
type TopicGate interface {
	// Known is what it has answered lately; known is false if it has to be asked. It
	// does not wait: loops call it.
	Known(uid, topic string) (allow, known bool)
	// Ask returns when the service has answered, or could not be asked.
	Ask(ctx context.Context, uid, topic string) (allow bool, err error)
}

// TopicRule is who may join which topic. The zero value lets everybody join any.
type TopicRule struct {
	Claim bool      // the person's token must allow it: see auth.Topics
	Gate  TopicGate // if it is there, it decides
}

// maxAsking bounds how many answers of the gate are waited for: each has a goroutine.
// They are not the pool's, in which nobody could sign in while the service hangs.
const maxAsking = 1024

// joining is what an edge knows of topics being joined.
type joining struct {
	rule   TopicRule
	asking chan struct{} // one for each goroutine that waits for the gate
}

func newJoining(rule TopicRule) joining {
	return joining{rule: rule, asking: make(chan struct{}, maxAsking)}
}

type ruling uint8

const (
	joinForbidden ruling = iota
	joinAllowed
	joinUnknown // the gate has to be asked
)

// judge decides what can be decided at once.
func (j *joining) judge(uid string, claimed auth.Topics, topic string) ruling {
	allow := true
	switch {
	case j.rule.Gate != nil:
		var known bool
		if allow, known = j.rule.Gate.Known(uid, topic); !known {
			return joinUnknown
		}
	case j.rule.Claim:
		allow = claimed.Allow(topic)
	}
	if allow {
		return joinAllowed
	}
	return joinForbidden
}

// askGate runs a job that waits for the gate, or reports that too many do already.
func (e *Edge) askGate(job func(ctx context.Context)) bool {
	select {
	case e.joining.asking <- struct{}{}:
	default:
		return false
	}
	e.work.wg.Go(func() {
		defer func() { <-e.joining.asking }()
		job(e.work.ctx)
	})
	return true
}

// asksGate reports whether a session cannot be set up without waiting for the gate.
func (e *Edge) asksGate(p *params) bool { return e.joining.rule.Gate != nil && len(p.topics) > 0 }

// trySetUp has a session set up by the pool, or by a goroutine of its own if that
// waits for the gate.
func (e *Edge) trySetUp(p *params, job func(ctx context.Context)) bool {
	if e.asksGate(p) {
		return e.askGate(job)
	}
	return e.work.try(job)
}

// admitTopics takes out of what a client asked for the topics that it may not join. It
// waits for the gate, as long as ctx lets it, or reports that it would have to.
func (e *Edge) admitTopics(ctx context.Context, wait bool, id auth.Identity, up opening) (opening, bool) {
	asked := up.params.topics
	if len(asked) == 0 || e.joining.rule == (TopicRule{}) {
		return up, true
	}
	answers := make([]joinAnswer, len(asked))
	var wg sync.WaitGroup
	for i, topic := range asked {
		v := e.joining.judge(id.UID, id.Topics, topic)
		answers[i] = joinAnswer{topic: topic, allow: v == joinAllowed}
		if v != joinUnknown {
			continue
		}
		if !wait {
			return up, false
		}
		wg.Go(func() { answers[i].allow, answers[i].err = e.joining.rule.Gate.Ask(ctx, id.UID, topic) })
	}
	wg.Wait()
	up.params.topics = nil
	for i := range answers {
		if refused := answers[i].refusal(); refused != nil {
			up.refused = append(up.refused, *refused)
		} else {
			up.params.topics = append(up.params.topics, answers[i].topic)
		}
	}
	return up, true
}

// appendRefused appends what a client is told of the topics that it did not get.
func appendRefused(dst []byte, up opening, cursor string) []byte {
	if len(up.refused) == 0 {
		return dst
	}
	for _, f := range up.refused {
		dst = appendServerFrame(dst, f)
	}
	return appendServerFrame(dst, wire.Subscribed{Topics: append([]string{}, up.params.topics...), Cursor: cursor})
}

// joinAnswer is what was decided of one person and one topic.
type joinAnswer struct {
	topic string
	allow bool
	err   error // it could not be decided
}

// refusal is what to tell who may not join, nil if it may.
func (a *joinAnswer) refusal() *wire.Error {
	switch {
	case a.err != nil:
		return &wire.Error{Code: wire.FrameErrUnavailable, Message: fmt.Sprintf("whether you may join the topic %q cannot be found out now", a.topic)}
	case !a.allow:
		return &wire.Error{Code: wire.FrameErrForbidden, Message: fmt.Sprintf("you may not join the topic %q", a.topic)}
	}
	return nil
}

// joins is a loop's share of joining.
type joins struct {
	// claims are what the tokens of sessions allow, by slot, if that decides.
	claims map[int32]auth.Topics
	// asked are the answers of the gate that somebody waits for.
	asked map[asked]struct{}
}

type asked struct {
	by    ref
	topic string
}

// claim notes what the token of a session allows.
func (l *loop) claim(slot int32, topics auth.Topics) {
	if topics != "" && l.edge.joining.rule.Claim {
		l.joins.claims[slot] = topics
	} else {
		delete(l.joins.claims, slot)
	}
}

// subscribe lets a session join a topic if it may.
func (l *loop) subscribe(r ref, c *conn, name string) {
	if c.more == nil || !c.more.holds(name) {
		switch l.edge.joining.judge(c.user, l.joins.claims[r.slot()], name) {
		case joinForbidden:
			l.answer(r, c, *(&joinAnswer{topic: name}).refusal())
			return
		case joinUnknown:
			l.askToJoin(r, c, name)
			return
		}
	}
	l.admit(r, c, name)
}

// askToJoin asks the gate, unless the same is being asked. Who unsubscribes meanwhile
// does not wait for the answer any more.
func (l *loop) askToJoin(r ref, c *conn, name string) {
	key := asked{r, name}
	if _, under := l.joins.asked[key]; under {
		return
	}
	e, uid := l.edge, c.user
	l.joins.asked[key] = struct{}{}
	started := e.askGate(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.SetupTimeout)
		defer cancel()
		a := joinAnswer{topic: name}
		a.allow, a.err = e.joining.rule.Gate.Ask(ctx, uid, name)
		l.do(func() { l.mayJoin(key, a) })
	})
	if !started {
		l.mayJoin(key, joinAnswer{topic: name, err: errAsking})
	}
}

var errAsking = fmt.Errorf("%w: too many answers of the topic service are waited for", wire.ErrUnavailable)

// mayJoin takes what the gate has answered.
func (l *loop) mayJoin(key asked, a joinAnswer) {
	_, waits := l.joins.asked[key]
	delete(l.joins.asked, key)
	c := l.session(key.by)
	if c == nil || !waits {
		return
	}
	if refused := a.refusal(); refused != nil {
		l.answer(key.by, c, *refused)
		return
	}
	l.admit(key.by, c, key.topic)
}

// session finds a signed-in session that is still there.
func (l *loop) session(r ref) *conn {
	if c := l.conns.get(r); c != nil {
		switch c.state {
		case stateLive, stateLagging, stateReplay:
			return c
		}
	}
	return nil
}

// narrow has a session leave the topics that its new token does not allow.
func (l *loop) narrow(r ref, c *conn) {
	if !l.edge.joining.rule.Claim || c.more == nil {
		return
	}
	left := false
	for i := len(c.more.topics) - 1; i >= 0; i-- {
		if !l.joins.claims[r.slot()].Allow(c.more.topics[i].topic.name) {
			l.deliver.leave(c, i)
			left = true
		}
	}
	if !left {
		return
	}
	l.answer(r, c, l.subscribed(c))
	if l.conns.get(r) != nil {
		c.settle()
	}
}
