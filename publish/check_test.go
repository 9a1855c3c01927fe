package publish_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/publish"
)

// TestInvalid: everything that is wrong is named at once, and nothing is sent.
func TestInvalid(t *testing.T) {
	w := start(t, 1)
	p := w.backend(t)
	ada, toast := publish.ToUser("ada"), publish.Toast{Title: "Hi"}
	long := strings.Repeat("x", 129)
	for name, tt := range map[string]struct {
		event publish.Event
		want  []publish.FieldError
	}{
		"nobody":      {publish.NewEvent(publish.Audience{}, "toast", toast), []publish.FieldError{{"to", "is missing: use ToUser, ToTopic or ToEverybody"}}},
		"empty id":    {publish.NewEvent(publish.ToUser(""), "toast", toast), []publish.FieldError{{"to", "has an id of 0 bytes; 1 to 128 are allowed"}}},
		"long id":     {publish.NewEvent(publish.ToTopic(long), "toast", toast), []publish.FieldError{{"to", "has an id of 129 bytes; 1 to 128 are allowed"}}},
		"no UTF-8":    {publish.NewEvent(publish.ToUser("z\xff"), "toast", toast), []publish.FieldError{{"to", "has an id that is not UTF-8"}}},
		"type":        {publish.NewEvent(ada, "hello", toast), []publish.FieldError{{"type", "must be 1 to 64 characters of a-z, 0-9, _ . and -, a letter first, and not the name of a protocol frame"}}},
		"no object":   {publish.NewEvent(ada, "x", []int{1}), []publish.FieldError{{"payload", "must be an object"}}},
		"null":        {publish.NewEvent(ada, "toast", nil), []publish.FieldError{{"payload", "must be an object"}}},
		"no JSON":     {publish.NewEvent(ada, "x", func() {}), []publish.FieldError{{"payload", "cannot be written as JSON: json: unsupported type: func()"}}},
		"too large":   {publish.NewEvent(ada, "x", map[string]string{"a": strings.Repeat("x", 65<<10)}), []publish.FieldError{{"payload", "is too large: an event has at most 65536 bytes"}}},
		"grown":       {publish.NewEvent(ada, "x", map[string]string{"a": strings.Repeat("<", 20000)}), []publish.FieldError{{"payload", "is too large: an event has at most 65536 bytes"}}},
		"too deep":    {publish.NewEvent(ada, "x", json.RawMessage(strings.Repeat(`{"a":`, 32)+"{}"+strings.Repeat("}", 32))), []publish.FieldError{{"payload", "must nest at most 32 levels deep"}}},
		"nanoseconds": {publish.NewEvent(ada, "toast", toast, publish.ExpiresIn(600)), []publish.FieldError{{"expires_in", "is 600ns; a second to 30 days are allowed"}}},
		"everything": {
			publish.NewEvent(publish.Audience{}, "toast", publish.Toast{ImageURL: "http://a/b.png"}, publish.ExpiresIn(1000*time.Hour),
				publish.Collapse("a b"), publish.At(time.Now().AddDate(2, 0, 0)), publish.IdempotencyKey("")),
			[]publish.FieldError{
				{"to", "is missing: use ToUser, ToTopic or ToEverybody"},
				{"expires_in", "is 1000h0m0s; a second to 30 days are allowed"},
				{"collapse", "must be 1 to 64 of A-Z, a-z, 0-9 and _ . : / -"},
				{"at", "must be within a year from now"},
				{"idempotency_key", "must be 1 to 128 visible ASCII characters"},
				{"image_url", "must be an https URL without spaces, such as https://example.com/a.png"},
				{"title", "must not be empty"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Batch(t.Context(), publish.NewEvent(ada, "toast", toast), tt.event)
			var invalid *publish.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("%v, want an *InvalidError", err)
			}
			for i := range tt.want {
				tt.want[i].Field = "events[1]." + tt.want[i].Field
			}
			if diff := cmp.Diff(tt.want, invalid.Fields); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	_, err := p.Toast(t.Context(), ada, publish.Toast{}, publish.IdempotencyKey("a b"))
	const want = "publish: idempotency_key must be 1 to 128 visible ASCII characters; title must not be empty"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for _, n := range []int{0, 1001} {
		if _, err := p.ToastUsers(t.Context(), people(0, n), toast); err == nil || !strings.Contains(err.Error(), "1 to 1000 are allowed") {
			t.Errorf("%d people: %v", n, err)
		}
	}
	var twice *publish.InvalidError
	_, err = p.ToastUsers(t.Context(), []string{"ada", "bob", "ada", "ada"}, toast)
	wrong := []publish.FieldError{{"events[2].to", "is the same as events[0]'s"}, {"events[3].to", "is the same as events[0]'s"}}
	if !errors.As(err, &twice) || !cmp.Equal(twice.Fields, wrong) {
		t.Errorf("somebody twice: %v", err)
	}
	if n := w.count(t); n != 0 {
		t.Errorf("the log holds %d messages", n)
	}
}
