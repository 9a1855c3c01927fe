package api

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// registerControl adds what is asked of the edges.
func (a *API) registerControl(h huma.API, doc *huma.OpenAPI) {
	if a.edges == nil {
		return
	}
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "control", Description: "Who is connected, and who may not be any more."})
	register(h, a.presenceOperation(doc), a.getPresence)
	register(h, a.statusOperation(doc), a.getStatus)
	register(h, a.orderOperation(doc, reflect.TypeFor[Disconnected](), huma.Operation{
		Path: "/api/v1/ws/disconnect", OperationID: "disconnect", Summary: "End a person's sessions",
		Description: "Every edge closes them with 4403. The person may come back with the same token: revoke it first, if that is not wanted.",
	}, map[string]any{"user": "ada", "reason": "house rules"}, map[string]*huma.Schema{
		"reason": {Type: huma.TypeString, MaxLength: new(maxReason), Description: "What the close frame says."},
	}), a.postDisconnect)
	register(h, a.orderOperation(doc, reflect.TypeFor[RevokedTokens](), huma.Operation{
		Path: "/api/v1/ws/revoke", OperationID: "revoke", Summary: "Refuse a person's older tokens",
		Description: "Tokens issued before a time are refused everywhere for 24 hours, and the sessions that they were for are closed with 4401. " +
			"An earlier time than one that was given before takes nothing back.",
	}, map[string]any{"user": "mallory"}, map[string]*huma.Schema{
		"before": {
			OneOf:       []*huma.Schema{{Type: huma.TypeString, Format: "date-time"}, {Type: huma.TypeNumber}},
			Description: "That time, as RFC 3339 or in seconds since 1970. Left out: now.",
		},
	}), a.postRevoke)
}

func (a *API) presenceOperation(doc *huma.OpenAPI) huma.Operation {
	of := func(t reflect.Type) *huma.Schema { return doc.Components.Schemas.Schema(t, true, t.Name()) }
	answer := &huma.Schema{OneOf: []*huma.Schema{
		of(reflect.TypeFor[OnePresence]()), of(reflect.TypeFor[SeveralPresences]()), of(reflect.TypeFor[TopicPresence]()),
	}}
	return huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/ws/presence", OperationID: "presence", Tags: []string{"control"},
		Summary: "Who is connected",
		Description: "Asks every edge and answers when all have, after half a second at most. It takes what publishing takes; " +
			"a signed-in person may ask for himself or herself.",
		Security: []map[string][]string{{schemeSecret: {}}, {schemeBearer: {}}, {schemeQuery: {}}},
		Parameters: []*huma.Param{
			{
				Name: "user", In: "query", Description: fmt.Sprintf("A user id; up to %d times.", maxPresence), Explode: new(true),
				Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MaxItems: new(maxPresence)},
			},
			{Name: "topic", In: "query", Description: "Instead of users: a topic, whose members are counted.", Schema: &huma.Schema{Type: huma.TypeString}},
		},
		Responses: responses(http.StatusOK, "One person, several in a list, or a topic.", answer, 401, 403, 422, 500, 503),
	}
}

// orderOperation completes an operation on one person.
func (a *API) orderOperation(doc *huma.OpenAPI, answer reflect.Type, op huma.Operation, example map[string]any, fields map[string]*huma.Schema) huma.Operation {
	fields["user"] = &huma.Schema{Type: huma.TypeString, MinLength: new(1), Description: "A user id, at most 128 bytes."}
	body := &huma.Schema{Type: huma.TypeObject, Required: []string{"user"}, Properties: fields, AdditionalProperties: false}
	op.Method, op.DefaultStatus, op.Tags = http.MethodPost, http.StatusOK, []string{"control"}
	op.Security = []map[string][]string{{schemeSecret: {}}, {schemeBearer: {}}}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
		Schema: body, Examples: map[string]*huma.Example{"person": {Value: example}},
	}}}
	op.Responses = responses(http.StatusOK, "Done.", doc.Components.Schemas.Schema(answer, true, answer.Name()), 400, 401, 403, 413, 422, 500, 503)
	return op
}
