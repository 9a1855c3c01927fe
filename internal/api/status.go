package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Statuses is what operators ask of the mesh. Errors wrap wire.ErrUnavailable.
type Statuses interface {
	// EdgeStatus is what every edge says of itself, sorted by node.
	EdgeStatus(ctx context.Context) (edges []wire.EdgeStatus, complete bool, err error)
	// LogStatus is what the log holds.
	LogStatus(ctx context.Context) (wire.LogStatus, error)
}

// Status is the mesh as it is now.
type Status struct {
	Version  string       `json:"version" doc:"Of the program that answers."`
	Node     string       `json:"node" doc:"The node that answers."`
	Complete bool         `json:"complete" doc:"Every edge has answered within half a second, and the log within two."`
	Edges    []EdgeStatus `json:"edges" nullable:"false" doc:"Sorted by node."`
	Log      *LogStatus   `json:"log" doc:"What the log holds; null when it is out of reach."`
}

// EdgeStatus is one edge, as it sees itself.
type EdgeStatus struct {
	Node      string    `json:"node" example:"edge-0"`
	Version   string    `json:"version" doc:"Of its program."`
	Started   time.Time `json:"started"`
	Sessions  int       `json:"sessions" doc:"Signed in now." example:"123"`
	Draining  bool      `json:"draining" doc:"It takes no sessions any more and ends those that it has."`
	CaughtUp  bool      `json:"caught_up" doc:"It has reached the head of the log since it began."`
	Lag       uint64    `json:"lag" doc:"Messages that it is behind the log, as far as it knows."`
	RingBytes int       `json:"ring_bytes" doc:"The recent log in memory."`
	RingSpan  float64   `json:"ring_span_seconds" doc:"How far back that goes: who comes back within it is served from memory." example:"12.5"`
	Delivered uint64    `json:"delivered" doc:"Events written to sockets since it was started."`
}

// LogStatus is what the log holds, all its partitions together.
type LogStatus struct {
	Partitions int        `json:"partitions" example:"1"`
	Messages   uint64     `json:"messages"`
	Bytes      uint64     `json:"bytes" doc:"On one server's disk."`
	Last       uint64     `json:"last_sequence" doc:"The newest sequence; of several partitions their sum."`
	Oldest     *time.Time `json:"oldest,omitempty" doc:"When the oldest message was stored, without older ones that wait for their time. Missing when there is none."`
}

type statusAnswer struct{ Body Status }

// getStatus asks all edges and the log.
func (a *API) getStatus(ctx context.Context, q *request) (*statusAnswer, error) {
	if _, p := a.publisher(q.r); p != nil {
		return nil, p
	}
	log := make(chan *LogStatus, 1)
	go func() { log <- a.logStatus(ctx) }()
	edges, complete, err := a.edges.EdgeStatus(ctx)
	status := Status{Version: a.cfg.Version, Node: a.cfg.Node, Edges: make([]EdgeStatus, len(edges)), Log: <-log}
	if err != nil {
		return nil, a.edgesProblem(ctx, "asking the edges for their status", err)
	}
	status.Complete = complete && status.Log != nil
	for i, e := range edges {
		status.Edges[i] = EdgeStatus(e)
	}
	return &statusAnswer{status}, nil
}

// logStatus is nil when the log is out of reach, which must not hide the edges.
func (a *API) logStatus(ctx context.Context) *LogStatus {
	s, err := a.edges.LogStatus(ctx)
	if err != nil {
		a.logOf(ctx).Warn("asking the log for its status", "error", err)
		return nil
	}
	status := &LogStatus{Partitions: s.Partitions, Messages: s.Messages, Bytes: s.Bytes, Last: s.Last}
	if !s.Oldest.IsZero() {
		status.Oldest = &s.Oldest
	}
	return status
}

func (a *API) statusOperation(doc *huma.OpenAPI) huma.Operation {
	answer := doc.Components.Schemas.Schema(reflect.TypeFor[Status](), true, "Status")
	// Huma says of a pointer to a struct that it is the struct.
	log := doc.Components.Schemas.Map()["Status"].Properties
	log["log"] = literal(map[string]any{
		"anyOf":       []any{map[string]any{"$ref": schemaRef + "LogStatus"}, map[string]any{"type": "null"}},
		"description": "What the log holds; null when it is out of reach.",
	})
	return huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/ws/status", OperationID: "status", Tags: []string{"control"},
		Summary:     "The edges and the log",
		Description: "Asks every edge and the log, and answers when all have. Without `complete` an edge, or the log, may be missing.",
		Security:    []map[string][]string{{schemeSecret: {}}, {schemeBearer: {}}},
		Responses:   responses(http.StatusOK, "The mesh now.", answer, 401, 403, 500, 503),
	}
}
