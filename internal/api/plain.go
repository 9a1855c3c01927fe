package api

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// registerPlain adds the routes whose answers are not JSON of ours: the document itself,
// the page that shows it, and the socket, whose upgrades never come this far.
func (a *API) registerPlain(doc *huma.OpenAPI) {
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "about", Description: "The socket, and this document."})
	a.plain(doc, socketOperation(), notUpgraded)
	a.plain(doc, plainOperation("/openapi.json", "openapi", "This document", map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: huma.TypeObject}}}), a.getOpenAPI)
	a.plain(doc, asyncAPIOperation(), getAsyncAPI)
	a.plain(doc, docsOperation("/docs", "docs", "This document as a page", "text/html; charset=utf-8"), a.getDocs)
	files := docsOperation("/docs/{file}", "docs-file", "A file of that page", "text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/png")
	var names []any
	for _, name := range slices.Sorted(maps.Keys(a.docs)) {
		if name != "" {
			names = append(names, name)
		}
	}
	files.Parameters = append(files.Parameters, &huma.Param{Name: "file", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString, Enum: names}})
	files.Responses["404"] = responses(0, "", nil, 404)["404"]
	a.plain(doc, files, a.getDocs)
}

// plain adds a route that Huma does not serve.
func (a *API) plain(doc *huma.OpenAPI, op huma.Operation, handler http.HandlerFunc) {
	doc.AddOperation(&op)
	a.mux.HandleFunc(op.Method+" "+op.Path, handler)
}

func plainOperation(path, id, summary string, content map[string]*huma.MediaType) huma.Operation {
	op := huma.Operation{
		Method: http.MethodGet, Path: path, OperationID: id, Summary: summary, Tags: []string{"about"},
		Security: []map[string][]string{}, Responses: responses(http.StatusOK, "It.", nil),
	}
	op.Responses["200"].Content = content
	return op
}

func docsOperation(path, id, summary string, types ...string) huma.Operation {
	content := map[string]*huma.MediaType{}
	for _, typ := range types {
		content[typ] = &huma.MediaType{}
	}
	op := plainOperation(path, id, summary, content)
	op.Parameters = []*huma.Param{{
		Name: "If-None-Match", In: "header", Description: "The ETag of what the caller has.", Schema: &huma.Schema{Type: huma.TypeString},
	}}
	op.Responses["304"] = responses(http.StatusNotModified, "It is still that.", nil)["304"]
	for _, status := range []string{"200", "304"} {
		op.Responses[status].Headers["ETag"] = textHeader("Changes only with the program.")
	}
	return op
}

// socketOperation describes the upgrade, which the edge answers before net/http sees it.
func socketOperation() huma.Operation {
	query := func(name, description string, s *huma.Schema) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: description, Schema: s}
	}
	text, number := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger, Minimum: new(0.0)}
	flag := &huma.Schema{Type: huma.TypeString, Enum: []any{"0", "1"}}
	refusal := func(description string, headers map[string]*huma.Param) *huma.Response {
		return &huma.Response{Description: description, Headers: headers}
	}
	wait := func() map[string]*huma.Param {
		return map[string]*huma.Param{"Retry-After": textHeader("Seconds to wait.")}
	}
	op := huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/ws", OperationID: "socket", Tags: []string{"about"},
		Summary: "The socket",
		Description: "A WebSocket (RFC 6455), where an edge serves this port. What is wrong with the token or the query is told by " +
			"the close code after the upgrade, where a browser can see it. The token may also come as the subprotocols `vibemesh.v1, bearer.<token>`.",
		Security: []map[string][]string{{schemeBearer: {}}, {schemeQuery: {}}},
		Parameters: []*huma.Param{
			query("cursor", "The last position that the client has seen: the session goes on after it.", text),
			query("replay", "How many of the newest events to begin with, where there is no cursor.", number),
			query("topics", "Topics to join, a comma list of at most 64.", text),
			query("unread", "1: the hello says how many events are unread.", flag),
			query("signals", "1: the session gets signals, too.", flag),
		},
		Responses: responses(http.StatusUpgradeRequired, "The request is no upgrade, or not of version 13.", nil),
	}
	// An edge speaks of the version, an API of what to upgrade to.
	op.Responses["426"].Headers = map[string]*huma.Param{}
	for name, description := range map[string]string{"Upgrade": "websocket", "Sec-WebSocket-Version": "13", requestIDHeader: "Names the request."} {
		op.Responses["426"].Headers[name] = &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op.Responses["426"].Content = map[string]*huma.MediaType{
		problemType: {Schema: ref("Problem")}, "text/plain; charset=utf-8": {},
	}
	op.Responses["101"] = refusal("The socket is open: `hello` is its first frame.", map[string]*huma.Param{"Sec-WebSocket-Accept": textHeader("RFC 6455, 4.2.2"), "Upgrade": textHeader("websocket")})
	op.Responses["400"] = refusal("The request is malformed.", nil)
	op.Responses["403"] = refusal("A page of this origin may not connect.", nil)
	op.Responses["404"] = responses(0, "", nil, http.StatusNotFound)["404"]
	op.Responses["404"].Description = "The process that was asked is no edge."
	op.Responses["429"] = refusal("Too many connections, of this address or of all together.", wait())
	op.Responses["503"] = refusal("The edge is full, is draining, or has not reached the log yet.", wait())
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusServiceUnavailable} {
		op.Responses[strconv.Itoa(status)].Content = map[string]*huma.MediaType{"text/plain; charset=utf-8": {}}
	}
	return op
}

func (a *API) getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	w.Write(a.openapi) //nolint:errcheck // the client is gone
}

// notUpgraded answers who opens the socket's path as a page, and upgrades that were sent to
// a process without an edge.
func notUpgraded(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		problem(http.StatusNotFound, "There is no edge in this process: send /api/v1/ws to those that are edges.").write(w)
		return
	}
	p := problem(http.StatusUpgradeRequired, "This path speaks WebSocket: connect with a WebSocket client, version 13.")
	p.with("Upgrade", "websocket").with("Connection", "Upgrade").write(w)
}
