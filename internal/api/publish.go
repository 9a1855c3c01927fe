package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	maxEvents      = 1000 // of one batch
	idempotencyKey = "Idempotency-Key"
	maxKeyLen      = 128
)

// Receipt is the answer for one recipient of a publish.
type Receipt struct {
	ID        string     `json:"id" doc:"The event's id, which its recipients see, too. Of what is still to be delivered: the schedule's, to cancel it by." example:"0-mi8kq1z2-2s"`
	Seq       uint64     `json:"seq" doc:"Its sequence in the log." example:"100"`
	Subject   string     `json:"subject" doc:"The NATS subject of its audience." example:"sv.ws.user.ada"`
	Duplicate bool       `json:"duplicate" doc:"The same Idempotency-Key stored it before; this is the receipt of then."`
	DeliverAt *time.Time `json:"deliver_at,omitempty" doc:"When it was asked to be delivered, if it was."`
}

// created is an answer: a Receipt, or a list of them.
type created struct{ Body any }

// toastFields is what the toast's schema says of its fields.
type toastFields struct {
	known    []string
	required []string
}

func newToastFields(raw json.RawMessage) (toastFields, error) {
	var s struct {
		Required   []string `json:"required"`
		Properties object   `json:"properties"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return toastFields{}, fmt.Errorf("api: the schema of %s: %w", wire.TypeToast, err)
	}
	return toastFields{known: s.Properties.names(), required: s.Required}, nil
}

// dropNulls removes optional fields that are null: old clients send all of them.
func (t toastFields) dropNulls(payload object) {
	for name, value := range payload {
		if string(value) == "null" && slices.Contains(t.known, name) && !slices.Contains(t.required, name) {
			delete(payload, name)
		}
	}
}

// publication reads what every publish begins with: who it is, the idempotency key
// and the body.
func (a *API) publication(f *faults, r *http.Request) (who caller, key string, body object, p *Problem) {
	if who, p = a.publisher(r); p != nil {
		return who, "", nil, p
	}
	if body, p = readBody(r); p != nil {
		return who, "", nil, p
	}
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if namesAudience(name) { // passed over, it would become a broadcast
			f.add("query."+shortName(name), `whom it is for is said in the body, such as "to":{"user":"ada"}`, nil)
		}
	}
	return who, parseKey(f, r), body, nil
}

// namesAudience reports whether a parameter looks like whom something is for, as
// somebody may call it who has not read how it is done. Others are passed over, as the
// notifier before this one did.
func namesAudience(name string) bool {
	switch strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name)) {
	case "to", "user", "users", "userid", "userids", "uid", "uids", "topic", "topics", "audience", "recipient", "recipients":
		return true
	}
	return false
}

// postToast stores a toast for each of its recipients.
func (a *API) postToast(ctx context.Context, q *request) (*created, error) {
	var f faults
	who, key, body, p := a.publication(&f, q.r)
	if p != nil {
		return nil, p
	}
	to, several := parseTo(&f, "body.to", body["to"])
	delete(body, "to")
	how := a.parseDelivery(&f, "body", body)
	for _, name := range body.names() {
		if !slices.Contains(a.toast.known, name) {
			f.add("body."+shortName(name), "is not a known field of a toast", body[name])
			delete(body, name)
		}
	}
	env, p := a.envelope(&f, "body", wire.TypeToast, body)
	if p == nil {
		p = f.problem()
	}
	if p != nil {
		return nil, p
	}
	if p := a.limitRate(who, len(to)); p != nil {
		return nil, p
	}
	receipts, p := a.store(ctx, messages(nil, to, env, how, msgID{who.principal, key, "toast", 0}), key)
	if p != nil {
		return nil, p
	}
	if several {
		return &created{receipts}, nil
	}
	return &created{receipts[0]}, nil
}

// postEvents stores a batch of events of any type: all are checked before the
// first is stored.
func (a *API) postEvents(ctx context.Context, q *request) (*created, error) {
	var f faults
	who, key, body, p := a.publication(&f, q.r)
	if p != nil {
		return nil, p
	}
	body.unknown(&f, "body", "events")
	var events []json.RawMessage
	if err := json.Unmarshal(body["events"], &events); body["events"] == nil || err != nil || events == nil {
		f.add("body.events", "must be an array of events", body["events"])
	} else if n := len(events); n < 1 || n > maxEvents {
		f.add("body.events", fmt.Sprintf("has %d events; 1 to %d are allowed", n, maxEvents), nil)
		events = nil
	}
	var msgs []wire.Message
	for i, raw := range events {
		env, to, how, p := a.event(&f, fmt.Sprintf("body.events[%d]", i), raw)
		if p != nil {
			return nil, p
		}
		msgs = messages(msgs, to, env, how, msgID{who.principal, key, "events", i})
	}
	if len(msgs) > maxUsers {
		f.add("body.events", fmt.Sprintf("has %d recipients in all; at most %d are allowed", len(msgs), maxUsers), nil)
	}
	if p := f.problem(); p != nil {
		return nil, p
	}
	if p := a.limitRate(who, len(msgs)); p != nil {
		return nil, p
	}
	receipts, p := a.store(ctx, msgs, key)
	if p != nil {
		return nil, p
	}
	return &created{receipts}, nil
}

// event reads one event of a batch.
func (a *API) event(f *faults, location string, raw json.RawMessage) (env wire.Envelope, to []wire.Audience, how delivery, p *Problem) {
	o := asObject(raw)
	if o == nil {
		f.add(location, `must be an object such as {"type":"toast","payload":{"title":"Hi"}}`, raw)
		return env, nil, how, nil
	}
	o.unknown(f, location, append([]string{"type", "payload", "to"}, deliveryFields...)...)
	how = a.parseDelivery(f, location, o)
	to, _ = parseTo(f, location+".to", o["to"])
	typ, ok := asString(o["type"])
	switch {
	case o["type"] == nil:
		f.add(location+".type", "is required", nil)
	case !ok || wire.CheckEventType(typ) != nil:
		ok = false
		f.add(location+".type", "must be 1 to 64 characters of a-z, 0-9, _ . and -, a letter first, and not the name of a protocol frame", o["type"])
	}
	payload := asObject(o["payload"])
	switch {
	case o["payload"] == nil:
		f.add(location+".payload", "is required", nil)
	case payload == nil:
		f.add(location+".payload", "must be an object", o["payload"])
	case ok:
		env, p = a.envelope(f, location+".payload", typ, payload)
	}
	return env, to, how, p
}

// envelope checks a payload against the schema of its type and makes the envelope
// that the log will carry. What is wrong with the payload goes to f.
func (a *API) envelope(f *faults, location, typ string, payload object) (wire.Envelope, *Problem) {
	if typ == wire.TypeToast {
		a.toast.dropNulls(payload)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // text goes on as it was written
	if err := enc.Encode(payload); err != nil {
		return wire.Envelope{}, problem(http.StatusBadRequest, "The payload cannot be written as JSON.")
	}
	f.addSchema(location, a.schemas.Check(typ, text.Bytes()), payload)
	whole, err := json.Marshal(typ)
	if err != nil {
		return wire.Envelope{}, problem(http.StatusBadRequest, "The type cannot be written as JSON.")
	}
	whole = append(append([]byte(`{"type":`), whole...), `,"payload":`...)
	whole = append(append(whole, bytes.TrimSpace(text.Bytes())...), '}')
	env, err := wire.ParseEnvelope(whole)
	switch {
	case errors.Is(err, wire.ErrEnvelopeSize):
		return env, tooLarge()
	case errors.Is(err, wire.ErrDepth):
		f.add(location, fmt.Sprintf("must nest at most %d levels deep", wire.MaxDepth), nil)
	case err != nil:
		f.add(location, "is not a payload: "+err.Error(), nil)
	}
	return env, nil
}

// msgID is what an idempotency key is scoped by besides the recipient.
type msgID struct {
	who   principal
	key   string // empty: no idempotency
	route string
	index int // in a batch
}

// of hashes the scope and a recipient, each part with its length, so that no two
// scopes make the same text.
func (m msgID) of(a wire.Audience) string {
	if m.key == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{string(m.who), m.key, m.route, a.To(), a.ID} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(binary.AppendUvarint(nil, uint64(m.index)))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func messages(msgs []wire.Message, to []wire.Audience, env wire.Envelope, how delivery, id msgID) []wire.Message {
	for _, a := range to {
		msgs = append(msgs, wire.Message{
			Audience: a, Envelope: env, MsgID: id.of(a), TTL: how.ttl, Collapse: how.collapse, At: how.at,
		})
	}
	return msgs
}

// parseKey reads the idempotency key; empty: none was sent.
func parseKey(f *faults, r *http.Request) string {
	given := r.Header.Values(idempotencyKey)
	if len(given) == 0 {
		return ""
	}
	key := given[0]
	ok := len(given) == 1 && len(key) >= 1 && len(key) <= maxKeyLen
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > ' ' && key[i] <= '~'
	}
	if !ok {
		f.add("header."+idempotencyKey, fmt.Sprintf("must be 1 to %d visible ASCII characters, once", maxKeyLen), nil)
	}
	return key
}

// store publishes messages and answers with their receipts.
func (a *API) store(ctx context.Context, msgs []wire.Message, key string) ([]Receipt, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	got, err := a.publish.Publish(ctx, msgs)
	if err == nil && len(got) != len(msgs) {
		err = fmt.Errorf("%d receipts for %d messages", len(got), len(msgs))
	}
	if err != nil {
		return nil, a.logProblem(ctx, "publishing", err, retryAdvice(key))
	}
	a.metrics.count(msgs, got)
	receipts := make([]Receipt, len(got))
	for i, r := range got {
		receipts[i] = Receipt{ID: r.ID.String(), Seq: r.ID.Seq, Subject: r.Subject, Duplicate: r.Duplicate}
		if at := msgs[i].At; !at.IsZero() {
			receipts[i].DeliverAt = &at
		}
	}
	return receipts, nil
}

func retryAdvice(key string) string {
	if key == "" {
		return "The log did not acknowledge in time. Try again; with an Idempotency-Key nothing can be stored twice."
	}
	return "The log did not acknowledge in time. Try again with the same Idempotency-Key."
}

// logProblem is the answer to an error of the log: 503 when it is out of reach.
func (a *API) logProblem(ctx context.Context, doing string, err error, advice string) *Problem {
	if errors.Is(err, wire.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		a.logOf(ctx).Warn(doing, "error", err)
		return unavailable(advice)
	}
	a.logOf(ctx).Error(doing, "error", err)
	return problem(http.StatusInternalServerError, "Something went wrong in the log. The server's own log knows more.")
}
