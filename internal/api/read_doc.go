package api

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func (a *API) readOperation(doc *huma.OpenAPI) huma.Operation {
	ids := func(text string) map[string]any {
		return map[string]any{"type": "array", "maxItems": wire.MaxReadIDs, "items": map[string]any{"type": "string"}, "description": text}
	}
	doc.Components.Schemas.Map()["ReadRequest"] = literal(map[string]any{
		"type": "object", "additionalProperties": false,
		"description": fmt.Sprintf("What was done. Without a field nothing is; read and unread name at most %d events together.", wire.MaxReadIDs),
		"properties": map[string]any{
			"all":    map[string]any{"type": "boolean", "description": "All is read that the log holds now."},
			"up_to":  map[string]any{"type": "string", "description": "All is read up to this event."},
			"read":   ids("These events are read."),
			"unread": ids("These events are unread, even if another field says that they are read."),
			"at": map[string]any{
				"type": "integer", "minimum": 0,
				"description": "When the person did it, milliseconds since 1970, for a device that was offline. Of what two devices say of an event the later counts. 0, none and the future: now.",
			},
		},
	})
	return huma.Operation{
		Method: http.MethodPost, Path: "/api/v1/ws/read", OperationID: "read", Tags: []string{"read"},
		Summary:     "What I have read, or not",
		Description: "Changes what the person has read, for all their devices: those that are connected get a `read` frame. An empty object changes nothing; the answer is the state either way.",
		Security:    []map[string][]string{{schemeBearer: {}}, {schemeQuery: {}}},
		RequestBody: &huma.RequestBody{
			Required: true, Description: fmt.Sprintf("At most %d bytes.", wire.MaxEnvelope),
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: ref("ReadRequest"), Examples: map[string]*huma.Example{"all": {Value: map[string]any{"all": true}}},
			}},
		},
		Responses: responses(http.StatusOK, "The whole state.", doc.Components.Schemas.Schema(reflect.TypeFor[ReadAnswer](), true, "ReadAnswer"), 400, 401, 413, 422, 500, 503),
	}
}
