package wire_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

type registry struct {
	Close []struct {
		Code  int    `json:"code"`
		Name  string `json:"name"`
		Retry string `json:"retry"`
		Text  string `json:"text"`
	} `json:"close"`
	Frame []struct {
		Code string `json:"code"`
		Text string `json:"text"`
	} `json:"frame"`
	Problem []struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
		Text   string `json:"text"`
	} `json:"problem"`
}

func readRegistry(t testing.TB) registry {
	t.Helper()
	f, err := os.Open("errors.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var r registry
	if err := d.Decode(&r); err != nil {
		t.Fatalf("errors.json: %v", err)
	}
	return r
}

// once reports what was seen before.
type once map[any]bool

func (o once) again(v any) bool {
	defer func() { o[v] = true }()
	return o[v]
}

// checkText: a text is one line, so that it fits a comment and a log.
func checkText(t *testing.T, of, text string) {
	t.Helper()
	if text == "" || strings.ContainsAny(text, "\n\r") || strings.Contains(text, "*/") || strings.HasSuffix(text, ".") {
		t.Errorf("%s: text %q: one line without a full stop", of, text)
	}
}

func TestRegistryClose(t *testing.T) {
	retries := map[string]wire.Retry{"backoff": wire.RetryBackoff, "changed": wire.RetryChanged, "never": wire.RetryNever}
	codes, names, last := once{}, once{}, 0
	for _, c := range readRegistry(t).Close {
		checkText(t, c.Name, c.Text)
		if codes.again(c.Code) || names.again(c.Name) || c.Code < last {
			t.Errorf("close %d %s: codes and names are unique and in order", c.Code, c.Name)
		}
		last = c.Code
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(c.Name) {
			t.Errorf("close %d: name %q", c.Code, c.Name)
		}
		want := "backoff"
		switch {
		case c.Code == 1000:
			want = "never"
		case c.Code >= 4400 && c.Code <= 4499:
			want = "changed"
		}
		if c.Retry != want || wire.RetryAfterClose(c.Code) != retries[c.Retry] {
			t.Errorf("close %d %s: retry %q, and its range says %q", c.Code, c.Name, c.Retry, want)
		}
		// RFC 6455, 7.4: these may be sent; 4500–4999 has no meaning here.
		sendable := c.Code >= 1000 && c.Code <= 1014 && c.Code != 1004 && c.Code != 1005 && c.Code != 1006
		if !sendable && (c.Code < 4000 || c.Code > 4499) {
			t.Errorf("close %d %s: a server may not send this code", c.Code, c.Name)
		}
	}
}

func TestRegistryFrameAndProblem(t *testing.T) {
	kebab, snake := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	r := readRegistry(t)
	codes := once{}
	for _, f := range r.Frame {
		checkText(t, f.Code, f.Text)
		if codes.again(f.Code) || !snake.MatchString(f.Code) {
			t.Errorf("frame code %q: unique, in lower case and _", f.Code)
		}
	}
	problems, statuses := once{}, once{}
	for _, p := range r.Problem {
		checkText(t, p.Code, p.Text)
		if problems.again(p.Code) || statuses.again(p.Status) || !kebab.MatchString(p.Code) {
			t.Errorf("problem %q (%d): code and status unique, code in lower case and -", p.Code, p.Status)
		}
		if p.Status < 400 || p.Status > 599 || wire.ProblemOf(p.Status) != p.Code {
			t.Errorf("problem %q: ProblemOf(%d) = %q", p.Code, p.Status, wire.ProblemOf(p.Status))
		}
	}
	if got := wire.ProblemOf(200) + wire.ProblemOf(500); got != "" {
		t.Errorf("statuses without a problem have %q", got)
	}
	if len(r.Close) == 0 || len(r.Frame) == 0 || len(r.Problem) == 0 {
		t.Error("errors.json lacks a section")
	}
}

// Every schema names an event type that may be one.
func TestSchemasNameEventTypes(t *testing.T) {
	files, err := wire.Schemas.ReadDir("schemas")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d schemas, error %v", len(files), err)
	}
	toast := false
	for _, f := range files {
		event, isJSON := strings.CutSuffix(f.Name(), ".json")
		if err := wire.CheckEventType(event); err != nil || !isJSON {
			t.Errorf("schemas/%s: %v", f.Name(), err)
		}
		text, err := wire.Schemas.ReadFile("schemas/" + f.Name())
		if err != nil || !json.Valid(text) {
			t.Errorf("schemas/%s: not JSON (%v)", f.Name(), err)
		}
		toast = toast || event == wire.TypeToast
	}
	if !toast {
		t.Error("the toast has no schema")
	}
}
