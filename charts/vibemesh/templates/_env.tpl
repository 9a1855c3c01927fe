{{/* Environment of a process that serves, beside its settings and extraEnv. Takes root, component, values, kernel. */}}
{{- define "vibemesh.env" -}}
{{- $root := .root -}}
{{- $v := .values -}}
- name: WS_NODE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: WS_ADDR, value: ":8080"}
- {name: WS_OPS_ADDR, value: ":9090"}
- {name: WS_DRAIN_TIMEOUT, value: {{ $v.drainTimeoutSeconds }}s}
{{- if eq .component "edge" }}
- {name: WS_CONNECTION_THRESHOLD, value: {{ int64 $v.maxSessions | quote }}}
- {name: WS_RING_BYTES, value: {{ $v.ringMiB }}MiB}
{{- end }}
{{- $limit := include "vibemesh.gomemlimit" (dict "resources" $v.resources "kernel" .kernel) }}
{{- range $v.extraEnv }}
{{- if eq .name "GOMEMLIMIT" }}{{ $limit = "" }}{{ end }}
{{- end }}
{{- with $limit }}
- {name: GOMEMLIMIT, value: {{ . | quote }}}
{{- end }}
{{- include "vibemesh.natsEnv" (dict "root" $root "role" .component) | nindent 0 }}
{{- /* An edge publishes for nobody. */}}
{{- if and (eq .component "api") (or $root.Values.publishSecret.existingSecret $root.Values.publishSecret.value) }}
- name: WS_PUBLISH_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ default (include "vibemesh.fullname" $root) $root.Values.publishSecret.existingSecret | quote }}
      key: {{ ternary $root.Values.publishSecret.key "WS_PUBLISH_SECRET" (ne $root.Values.publishSecret.existingSecret "") | quote }}
{{- end }}
{{- if $root.Values.tls.existingSecret }}
- {name: WS_TLS_CERT, value: /etc/vibemesh/tls/tls.crt}
- {name: WS_TLS_KEY, value: /etc/vibemesh/tls/tls.key}
{{- end }}
{{- include "vibemesh.otelEnv" $root | nindent 0 }}
{{- end -}}

{{/* What extraEnv names a second time, a line each. */}}
{{- define "vibemesh.wrongEnv" -}}
{{- range $component, $kernel := dict "edge" (include "vibemesh.edgeKernelBytes" .) "api" 0 }}
{{- $values := index $.Values $component }}
{{- $names := list }}
{{- range include "vibemesh.env" (dict "root" $ "component" $component "values" $values "kernel" $kernel) | fromYamlArray }}
{{- $names = append $names .name }}
{{- end }}
{{- range $values.extraEnv }}
{{- if has .name $names }}
{{ printf "%s.extraEnv has %s, which is there already: it is set by other values" $component .name }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}
{{- end -}}
