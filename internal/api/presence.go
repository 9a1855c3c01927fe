package api

import (
	"context"
	"maps"
	"slices"
)

// Presence is whether one person is connected. Of several there is a list.
type Presence struct {
	User    string   `json:"user"`
	Online  bool     `json:"online"`
	Devices int      `json:"devices" doc:"Sessions now." example:"2"`
	Edges   []string `json:"edges" nullable:"false" doc:"The edges that have them."`
}

// OnePresence, SeveralPresences and TopicPresence are the answers to a question.
type OnePresence struct {
	Presence
	Complete bool `json:"complete" doc:"Every edge has answered within half a second. Otherwise there may be more."`
}

// SeveralPresences is the answer when several people were asked for.
type SeveralPresences struct {
	Users    []Presence `json:"users" nullable:"false" doc:"In the order of the question."`
	Complete bool       `json:"complete"`
}

// TopicPresence is the answer when a topic was asked for.
type TopicPresence struct {
	Topic    string `json:"topic"`
	Members  int    `json:"members" doc:"Sessions that have joined it." example:"17"`
	Complete bool   `json:"complete"`
}

type presenceAnswer struct{ Body any }

// getPresence says who is connected, by asking every edge.
func (a *API) getPresence(ctx context.Context, q *request) (*presenceAnswer, error) {
	uids, topic, p := presenceOf(q.r.URL.Query())
	if who := a.mayAsk(q.r, uids); who != nil {
		return nil, who // before what is wrong with the question
	}
	if p != nil {
		return nil, p
	}
	if topic != "" {
		members, complete, err := a.edges.Members(ctx, topic)
		if err != nil {
			return nil, a.edgesProblem(ctx, "counting the members of a topic", err)
		}
		return &presenceAnswer{TopicPresence{topic, members, complete}}, nil
	}
	sessions, complete, err := a.edges.Presence(ctx, uids)
	if err != nil {
		return nil, a.edgesProblem(ctx, "looking for people", err)
	}
	all := make([]Presence, len(uids))
	for i, uid := range uids {
		n, edges := sum(sessions[i])
		all[i] = Presence{User: uid, Online: n > 0, Devices: n, Edges: edges}
	}
	if len(all) == 1 {
		return &presenceAnswer{OnePresence{all[0], complete}}, nil
	}
	return &presenceAnswer{SeveralPresences{all, complete}}, nil
}

// sum adds the sessions of all nodes, and names these.
func sum(sessions map[string]int) (n int, nodes []string) {
	for _, of := range sessions {
		n += of
	}
	return n, append([]string{}, slices.Sorted(maps.Keys(sessions))...)
}
