{{/* A value of `settings` as the program reads it: lists with commas, and no 1e+06. */}}
{{- define "vibemesh.setting" -}}
{{- if kindIs "slice" . -}}{{ join "," . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}
{{- else -}}{{ toString . }}
{{- end -}}
{{- end -}}

{{/* What the log may take of a server's volume unless it is said otherwise: four fifths, or the mirror's half of them. Beyond it the
oldest go, as an alert tells before; a store that is full takes nothing more. */}}
{{- define "vibemesh.historyBytes" -}}
{{- $copies := ternary 2 1 (eq (toString .Values.settings.WS_READ_MIRROR) "true") -}}
{{- div (mul (include "vibemesh.bytes" .Values.nats.storage.size | int64) 4) (mul 5 $copies) -}}
{{- end -}}

{{/* Settings that edges, APIs and the provisioning have in common, as YAML of names and values. */}}
{{- define "vibemesh.settings" -}}
{{- $settings := dict
  "WS_NATS_URL" (include "vibemesh.natsURL" .)
  "WS_REPLICAS" (ternary (min 3 .Values.nats.replicas) 3 .Values.nats.enabled | toString)
-}}
{{- if and .Values.nats.enabled (not .Values.existingConfigMap) -}}
{{- $_ := set $settings "WS_HISTORY_BYTES" (include "vibemesh.historyBytes" .) -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $settings $name (include "vibemesh.setting" $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Names of the settings that provisioning reads. They stand in its Job, which runs before the ConfigMap is changed. */}}
{{- define "vibemesh.provisionSettings" -}}
{{- $all := include "vibemesh.settings" . | fromYaml -}}
{{- $own := dict "WS_ALLOW_DATA_LOSS" (toString .Values.provision.allowDataLoss) -}}
{{- range list "WS_NATS_URL" "WS_REPLICAS" "WS_PARTITIONS" "WS_READ_MIRROR" "WS_SUBJECT_PREFIX" "WS_HISTORY_AGE" "WS_HISTORY_BYTES" "WS_LOG_LEVEL" "WS_LOG_FORMAT" -}}
{{- if hasKey $all . -}}{{- $_ := set $own . (get $all .) -}}{{- end -}}
{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* Environment of NATS: credentials and certificates. Takes root and role. */}}
{{- define "vibemesh.natsEnv" -}}
{{- $nats := .root.Values.nats -}}
{{- if $nats.credentials.existingSecret }}
- name: WS_NATS_CREDS
  value: /etc/vibemesh/nats/{{ .role }}.creds
{{- end }}
{{- if or $nats.tls.caSecret $nats.tls.existingSecret }}
- name: WS_NATS_CA
  value: /etc/vibemesh/nats-ca/ca.crt
{{- end }}
{{- if $nats.tls.clientSecret }}
- name: WS_NATS_CERT
  value: /etc/vibemesh/nats-tls/tls.crt
- name: WS_NATS_KEY
  value: /etc/vibemesh/nats-tls/tls.key
{{- end }}
{{- end -}}

{{- define "vibemesh.otelAttributes" -}}
k8s.pod.name=$(WS_NODE),k8s.namespace.name={{ .Release.Namespace }}{{ range $k, $v := .Values.otel.resourceAttributes }},{{ $k }}={{ $v }}{{ end }}
{{- end -}}

{{/* Where traces go, by the standard names. */}}
{{- define "vibemesh.otelEnv" -}}
{{- with .Values.otel -}}
{{- if .endpoint }}
- name: OTEL_TRACES_EXPORTER
  value: otlp
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .protocol | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArg | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ include "vibemesh.otelAttributes" $ | quote }}
{{- end }}
{{- end }}
{{- end -}}
