package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	schemeBearer = "bearer"
	schemeQuery  = "queryToken"
	schemeSecret = "secret"
	schemaRef    = "#/components/schemas/"
)

// describe writes what all operations share: who may call, and the schemas.
func (a *API) describe(doc *huma.OpenAPI) error {
	doc.Info = &huma.Info{
		Title:   "Vibemesh",
		Version: a.cfg.Version,
		Description: "Publish events to people, and read what was sent to a person. Live events come over the " +
			"WebSocket at /api/v1/ws. Errors are RFC 9457 problem documents; one answer names every wrong field. " +
			"Pass over fields of an answer that you do not know: there may be more of them one day. " +
			"A request may name itself by `X-Request-Id`, and its trace by `traceparent`. HEAD is answered where GET is. An edge may " +
			"refuse a connection with 429 before it reads a request.",
	}
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		schemeBearer: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A Firebase ID token. Publishing needs the publish claim in it."},
		schemeQuery:  {Type: "apiKey", In: "query", Name: "token", Description: "The same token, for callers that cannot set a header."},
		schemeSecret: {Type: "apiKey", In: "header", Name: a.cfg.SecretHeader, Description: "The shared secret of backends. If it is sent, it counts, whatever else is."},
	}
	doc.Tags = []*huma.Tag{{Name: "publish", Description: "For backends."}, {Name: "read", Description: "For signed-in people."}}
	schemas := doc.Components.Schemas
	for _, typ := range []reflect.Type{reflect.TypeFor[Problem](), reflect.TypeFor[Receipt]()} {
		schemas.Schema(typ, true, typ.Name())
	}
	for _, typ := range a.schemas.Types() {
		s, err := contractSchema(a.schemas.JSON(typ))
		if err != nil {
			return fmt.Errorf("api: the schema of %s: %w", typ, err)
		}
		schemas.Map()[payloadName(typ)] = literal(s)
	}
	schemas.Map()["To"] = toSchema()
	schemas.Map()["Event"] = a.eventSchema()
	toast, err := a.toastRequest()
	if err != nil {
		return err
	}
	schemas.Map()["ToastRequest"] = toast
	return nil
}

// contractSchema is a schema of wire.Schemas as a part of a larger document.
func contractSchema(raw json.RawMessage) (map[string]any, error) {
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	delete(s, "$schema")
	delete(s, "$id")
	return s, nil
}

// literal is a schema in JSON Schema's own words: Huma's Schema lacks some of
// them, such as a type that is a list.
func literal(s map[string]any) *huma.Schema { return &huma.Schema{Extensions: s} }

func ref(name string) *huma.Schema { return &huma.Schema{Ref: schemaRef + name} }

func payloadName(typ string) string { return "payload." + typ }

// toastRequest is the toast's payload with "to" beside its fields.
func (a *API) toastRequest() (*huma.Schema, error) {
	s, err := contractSchema(a.schemas.JSON(wire.TypeToast))
	if err != nil {
		return nil, err
	}
	fields, ok := s["properties"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("api: the schema of %s has no properties", wire.TypeToast)
	}
	maps.Copy(fields, a.besidePayload())
	s["title"], s["additionalProperties"] = "ToastRequest", false
	return literal(s), nil
}

// besidePayload is what a publish says of an event besides what it is.
func (a *API) besidePayload() map[string]any {
	return map[string]any{
		"to": map[string]any{"$ref": schemaRef + "To"},
		"ttl": map[string]any{
			"type": "integer", "minimum": 1, "maximum": int64(maxTTL / time.Second),
			"description": "Seconds after its delivery in which it is shown; then it is in no history and no replay. Left out: as long as the log keeps it.",
		},
		"collapse": map[string]any{
			"type": "string", "pattern": "^[A-Za-z0-9_.:/-]{1,64}$",
			"description": "Takes the place of earlier events for the same audience with the same key.", "examples": []string{"order-7"},
		},
		"deliver_at": map[string]any{
			"type": "string", "format": "date-time",
			"description": fmt.Sprintf("When to deliver it, within %d hours from now. Left out, or past: now.", int64(a.longestDelay()/time.Hour)),
		},
	}
}

func toSchema() *huma.Schema {
	id := func(what string) map[string]any {
		return map[string]any{"type": "string", "minLength": 1, "maxLength": wire.MaxIDLen, "description": what + ", at most 128 bytes."}
	}
	return literal(map[string]any{
		"type":        "object",
		"description": "Whom it is for: one person, several, or the members of a topic. Left out: everybody.",
		"properties": map[string]any{
			"user": id("A user id"), "topic": id("A topic"),
			"users": map[string]any{"type": "array", "items": id("A user id"), "minItems": 1, "maxItems": maxUsers, "uniqueItems": true},
		},
		"additionalProperties": false, "minProperties": 1, "maxProperties": 1,
	})
}

// eventSchema is any event; one of a known type has the payload of its schema.
func (a *API) eventSchema() *huma.Schema {
	var rules []any
	for _, typ := range a.schemas.Types() {
		rules = append(rules, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"type": map[string]any{"const": typ}}, "required": []string{"type"}},
			"then": map[string]any{"properties": map[string]any{"payload": map[string]any{"$ref": schemaRef + payloadName(typ)}}},
		})
	}
	fields := a.besidePayload()
	fields["type"] = map[string]any{"type": "string", "pattern": "^[a-z][a-z0-9_.-]{0,63}$", "examples": []string{wire.TypeToast}}
	fields["payload"] = map[string]any{
		"type": "object", "description": fmt.Sprintf("Checked against the schema of its type, if that has one. At most %d levels deep.", wire.MaxDepth),
	}
	return literal(map[string]any{
		"type": "object", "required": []string{"type", "payload"}, "additionalProperties": false,
		"properties": fields,
		"allOf":      rules,
	})
}

func (a *API) toastOperation() huma.Operation {
	receipt, list := ref("Receipt"), &huma.Schema{Type: huma.TypeArray, Items: ref("Receipt")}
	op := a.publishOperation("/api/v1/ws/toast", ref("ToastRequest"), &huma.Schema{OneOf: []*huma.Schema{receipt, list}})
	op.OperationID, op.Summary = "publish-toast", "Show a toast"
	op.Description = "To everybody, unless `to` says otherwise. The answer comes after the log has acknowledged it: " +
		"one receipt, or with `to.users` a list of them in the order of the users. Several are stored all or none, by partition of the log."
	op.RequestBody.Content["application/json"].Examples = map[string]*huma.Example{
		"everybody": {Value: map[string]any{"title": "Summer meetup", "teaser": "Saturday at the lake", "action_url": "sv://event/7", "action_label": "Open"}},
		"person":    {Value: map[string]any{"title": "Ada liked your photo", "to": map[string]any{"user": "grace"}}},
	}
	return op
}

func (a *API) eventsOperation() huma.Operation {
	n, one := maxEvents, 1
	body := &huma.Schema{
		Type: huma.TypeObject, Required: []string{"events"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"events": {Type: huma.TypeArray, Items: ref("Event"), MinItems: &one, MaxItems: &n}},
	}
	op := a.publishOperation("/api/v1/ws/events", body, &huma.Schema{Type: huma.TypeArray, Items: ref("Receipt")})
	op.OperationID, op.Summary = "publish-events", fmt.Sprintf("Publish up to %d events", maxEvents)
	op.Description = fmt.Sprintf("Of any type. All are stored or none, by partition of the log. They may have %d recipients in all; "+
		"the answer has a receipt for each, in the order of the events and, within one, of its users.", maxUsers)
	ada := map[string]any{"user": "ada"}
	op.RequestBody.Content["application/json"].Examples = map[string]*huma.Example{
		"events": {Value: map[string]any{"events": []any{
			map[string]any{"type": wire.TypeToast, "payload": map[string]any{"title": "Order 8 has shipped"}, "to": ada, "ttl": 86400, "collapse": "order-8"},
			map[string]any{"type": "order.shipped", "payload": map[string]any{"order": 8}, "to": ada},
		}}},
	}
	return op
}

func (a *API) publishOperation(path string, body, answer *huma.Schema) huma.Operation {
	least, most := 1, maxKeyLen
	return huma.Operation{
		Method: http.MethodPost, Path: path, DefaultStatus: http.StatusCreated, Tags: []string{"publish"},
		Security: []map[string][]string{{schemeSecret: {}}, {schemeBearer: {}}},
		Parameters: []*huma.Param{{
			Name: idempotencyKey, In: "header",
			Description: "A name for this request. Sent again by the same publisher within the log's window, it stores nothing and gets the receipts of the first.",
			Schema:      &huma.Schema{Type: huma.TypeString, MinLength: &least, MaxLength: &most, Pattern: "^[!-~]+$"},
		}},
		RequestBody: &huma.RequestBody{
			Required: true, Description: fmt.Sprintf("At most %d bytes.", wire.MaxEnvelope),
			Content: map[string]*huma.MediaType{"application/json": {Schema: body}},
		},
		Responses: responses(http.StatusCreated, "Stored.", answer, 400, 401, 403, 413, 422, 429, 500, 503),
	}
}

func (a *API) historyOperation(doc *huma.OpenAPI) huma.Operation {
	one := 1.0
	return huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/ws/history", OperationID: "history", Tags: []string{"read"},
		Summary:     "What was sent to me and to everybody",
		Description: "Newest first, a page at a time.",
		Security:    []map[string][]string{{schemeBearer: {}}, {schemeQuery: {}}},
		Parameters: []*huma.Param{
			{
				Name: "limit", In: "query", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Default: a.cfg.HistorySize},
				Description: fmt.Sprintf("Events a page. Above %d it is %[1]d; 0 there means that the history is off and always empty.", a.cfg.HistorySize),
			},
			{Name: "before", In: "query", Description: "The `next` of the page before, or the id of any event.", Schema: &huma.Schema{Type: huma.TypeString}},
		},
		Responses: responses(http.StatusOK, "A page.", doc.Components.Schemas.Schema(reflect.TypeFor[HistoryPage](), true, "HistoryPage"), 401, 422, 500, 503),
	}
}

// problemTexts is what each status of a problem means.
var problemTexts = map[int]string{
	400: "The body is not JSON, or did not arrive.",
	401: "Credentials are missing or wrong.",
	403: "The token lacks the publish claim.",
	404: "There is nothing under this id.",
	413: "The body, or the event made of it, is too large.",
	422: "Fields are wrong; `errors` names every one. Nothing was done.",
	429: "This publisher sends more than it may. Nothing was done.",
	500: "A fault of this server.",
	503: "The log, or the check of tokens, is out of reach, or too many histories are being read. Try again, with the same Idempotency-Key.",
}

// textHeader is a header that every answer of a status has.
func textHeader(description string) *huma.Param {
	return &huma.Param{Description: description, Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
}

func responses(ok int, text string, body *huma.Schema, problems ...int) map[string]*huma.Response {
	id := textHeader("Names the request; the one that was sent, if it was of [A-Za-z0-9._-]{1,64}.")
	all := map[string]*huma.Response{strconv.Itoa(ok): {
		Description: text, Headers: map[string]*huma.Param{requestIDHeader: id},
	}}
	if body != nil {
		all[strconv.Itoa(ok)].Content = map[string]*huma.MediaType{"application/json": {Schema: body}}
	}
	for _, status := range problems {
		h := map[string]*huma.Param{requestIDHeader: id}
		switch status {
		case http.StatusUnauthorized, http.StatusForbidden:
			h["WWW-Authenticate"] = textHeader("RFC 6750")
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			h["Retry-After"] = textHeader("Seconds to wait.")
		}
		all[strconv.Itoa(status)] = &huma.Response{
			Description: problemTexts[status], Headers: h,
			Content: map[string]*huma.MediaType{problemType: {Schema: ref("Problem")}},
		}
	}
	return all
}
