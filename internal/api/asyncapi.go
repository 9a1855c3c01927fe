package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// asyncAPIType is the media type that AsyncAPI gives its documents.
const asyncAPIType = "application/vnd.aai.asyncapi+json"

// asyncAPIOperation describes where the document of NATS and of the socket is.
func asyncAPIOperation() huma.Operation {
	return plainOperation("/asyncapi.json", "asyncapi", "The AsyncAPI document: what goes over NATS, and the frames of the socket",
		map[string]*huma.MediaType{asyncAPIType: {Schema: &huma.Schema{Type: huma.TypeObject}}})
}

func getAsyncAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", asyncAPIType)
	w.Write(wire.AsyncAPI) //nolint:errcheck // the client is gone
}
