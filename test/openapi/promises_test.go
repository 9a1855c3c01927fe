package openapi_test

import (
	"maps"
	"slices"
	"strconv"
)

// promises are the names of all that the document says will be there.
func (j *judge) promises() map[string]bool {
	all, visited := map[string]bool{}, map[string]bool{}
	for _, op := range j.doc.operations {
		for _, p := range op.parameters {
			all[op.name+" parameter "+p.name] = true
		}
		for i := range op.security {
			all[op.name+" security "+strconv.Itoa(i)] = true
		}
		if op.body != "" {
			j.fields(op.body, all, visited)
		}
		for status, a := range op.answers {
			all[op.name+" "+status] = true
			for h := range a.headers {
				all[op.name+" "+status+" header "+h] = true
			}
			for typ, p := range a.content {
				all[op.name+" "+status+" "+typ] = true
				if p != "" {
					j.fields(p, all, visited)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object(object(j.doc.raw["components"])["schemas"]))) {
		all[pointer("components", "schemas", name)] = true
	}
	return all
}

// fields adds every field and branch below a schema.
func (j *judge) fields(p string, all, visited map[string]bool) {
	p, raw := j.doc.at(p)
	if visited[p] {
		return
	}
	visited[p] = true
	schema := object(raw)
	for _, typ := range list(schema["type"]) { // one of several
		all[p+" "+text(typ)] = true
	}
	for name := range object(schema["properties"]) {
		all[p+"/properties/"+name] = true
		j.fields(p+"/properties/"+name, all, visited)
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		for i := range list(schema[word]) {
			branch := p + "/" + word + "/" + strconv.Itoa(i)
			all[branch] = true
			j.fields(branch, all, visited)
		}
	}
	for i := range list(schema["allOf"]) {
		j.fields(p+"/allOf/"+strconv.Itoa(i), all, visited)
	}
	for _, word := range []string{"items", "then"} {
		if schema[word] != nil {
			j.fields(p+"/"+word, all, visited)
		}
	}
}

// kind is the type of a value, as schemas name it.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}
