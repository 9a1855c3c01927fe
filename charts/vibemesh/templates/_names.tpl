{{/* Names, labels and images. A name leaves room for what is put behind it. */}}

{{- define "vibemesh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "vibemesh.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "vibemesh.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "vibemesh.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vibemesh.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "vibemesh.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What pods are selected by; never changes in the life of a release. Takes (dict "root" $ "component" "edge"). */}}
{{- define "vibemesh.selector" -}}
app.kubernetes.io/name: {{ include "vibemesh.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods: nothing that changes with the chart alone, since each change moves everybody to new pods. Takes root,
component, and labels of the pods' own if there are. */}}
{{- define "vibemesh.podLabels" -}}
{{ include "vibemesh.selector" . }}
app.kubernetes.io/part-of: vibemesh
{{- with merge (dict) (default (dict) .labels) (default (dict) .root.Values.commonLabels) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of an object. Takes root, component, and labels of its own if it has some. */}}
{{- define "vibemesh.labels" -}}
{{ include "vibemesh.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vibemesh
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with merge (dict) (default (dict) .labels) (default (dict) .root.Values.commonLabels) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object. Takes root, component, and name (what is put behind the release's) if it has one, labels and annotations if any. */}}
{{- define "vibemesh.metadata" -}}
name: "{{ include "vibemesh.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}"
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "vibemesh.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image reference. Takes image and defaultTag. */}}
{{- define "vibemesh.image" -}}
{{- with .image.registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .defaultTag .image.tag }}{{ end -}}
{{- end -}}

{{- define "vibemesh.natsURL" -}}
{{- if .Values.nats.enabled -}}
{{- $scheme := ternary "tls" "nats" (ne .Values.nats.tls.existingSecret "") -}}
{{- $name := include "vibemesh.fullname" . -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.nats.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-nats-%d.%s-nats-headless.%s.svc:4222" $scheme $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- else -}}
{{- .Values.nats.url -}}
{{- end -}}
{{- end -}}
