package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// collect walks the tree of causes and turns its leaves into field errors.
func collect(found []FieldError, e *jsonschema.ValidationError, root any) []FieldError {
	field := fieldPath(root, e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			found = append(found, FieldError{join(field, name), "is required"})
		}
		return found
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			found = append(found, FieldError{join(field, name), "is required beside " + k.Prop})
		}
		return found
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			found = append(found, FieldError{join(field, name), "is not a known field"})
		}
		return found
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains:
		// What each branch wanted would contradict the others.
		return append(found, FieldError{field, message(e, root)})
	}
	if len(e.Causes) == 0 {
		return append(found, FieldError{field, message(e, root)})
	}
	for _, cause := range e.Causes {
		found = collect(found, cause, root)
	}
	return found
}

func message(e *jsonschema.ValidationError, root any) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return "must be " + oneOf(k.Want) + ", not " + article(k.Got)
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("has %s, at least %d are needed", count(k.Got, "character"), k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %s, at most %d are allowed", count(k.Got, "character"), k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %s, at least %d are needed", count(k.Got, "item"), k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %s, at most %d are allowed", count(k.Got, "item"), k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("has the same item twice, at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.MinProperties:
		return fmt.Sprintf("has %s, at least %d are needed", count(k.Got, "field"), k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has %s, at most %d are allowed", count(k.Got, "field"), k.Want)
	case *kind.Enum:
		return "must be one of " + list(k.Want)
	case *kind.Const:
		return "must be " + list([]any{k.Want})
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.ExclusiveMinimum:
		return "must be more than " + k.Want.RatString()
	case *kind.ExclusiveMaximum:
		return "must be less than " + k.Want.RatString()
	case *kind.MultipleOf:
		return "must be a multiple of " + k.Want.RatString()
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.Pattern:
		return patternMessage(k.Want)
	case *kind.Not:
		return notMessage(valueAt(root, e.InstanceLocation))
	case *kind.AnyOf, *kind.OneOf:
		return "has none of the forms that are allowed here"
	}
	return "is not allowed by the schema of this event type"
}

// patternMessage puts the patterns of wire.Schemas into words; a pattern that it
// does not know is shown as it stands.
func patternMessage(pattern string) string {
	switch {
	case strings.HasPrefix(pattern, "^https://"):
		return "must be an https URL without spaces, such as https://example.com/a.png"
	case strings.HasPrefix(pattern, "^[a-z][a-z0-9+.-]*://"):
		return "must be an https URL or the link of an app, such as sv://profile/7"
	}
	return "must match the pattern " + pattern
}

// notMessage explains the one use of "not" in wire.Schemas: schemes that a link
// may not have.
func notMessage(value any) string {
	text, _ := value.(string)
	if scheme, _, ok := strings.Cut(text, "://"); ok && len(scheme) <= 20 {
		return "may not be a " + scheme + ": link; use https or the scheme of an app, such as sv://"
	}
	return "has a value that is not allowed"
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func article(typ string) string {
	switch typ {
	case "null":
		return "null"
	case "array", "object", "integer":
		return "an " + typ
	}
	return "a " + typ
}

// oneOf names the types that are wanted, null last whatever the schema's order.
func oneOf(types []string) string {
	var words []string
	null := ""
	for _, t := range types {
		if t == "null" {
			null = " or null"
			continue
		}
		words = append(words, article(t))
	}
	if len(words) == 0 {
		return "null"
	}
	return strings.Join(words, " or ") + null
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("?")
		}
		words[i] = string(text)
	}
	return strings.Join(words, ", ")
}
