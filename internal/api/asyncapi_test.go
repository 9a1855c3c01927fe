package api

import (
	"encoding/json"
	"testing"
)

func TestAsyncAPI(t *testing.T) {
	w := call(t, newAPI(t, testConfig(), newFakeLog(), nil), "GET", "/asyncapi.json", "")
	var doc struct {
		AsyncAPI string         `json:"asyncapi"`
		Channels map[string]any `json:"channels"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 || doc.AsyncAPI != "3.0.0" || len(doc.Channels) < 5 {
		t.Errorf("%d, %v: %.200s", w.Code, err, w.Body)
	}
	if typ := w.Header().Get("Content-Type"); typ != "application/vnd.aai.asyncapi+json" {
		t.Errorf("it is %s", typ)
	}
}
