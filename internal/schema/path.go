package schema

import (
	"strconv"
	"strings"
)

// maxPath bounds a path in bytes: names in it come from the payload.
const maxPath = 200

// fieldPath writes the place of a value as people do: "lines[2].text".
func fieldPath(root any, tokens []string) string {
	path := ""
	for _, token := range tokens {
		if _, array := root.([]any); array {
			path += "[" + token + "]"
		} else {
			path = join(path, token)
		}
		root = child(root, token)
	}
	return path
}

func join(path, name string) string {
	if path != "" {
		name = path + "." + name
	}
	if len(name) > maxPath {
		name = strings.ToValidUTF8(name[:maxPath], "") + "…"
	}
	return name
}

func valueAt(root any, tokens []string) any {
	for _, token := range tokens {
		root = child(root, token)
	}
	return root
}

func child(v any, token string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
