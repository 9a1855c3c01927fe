{{/* What is wrong with names and labels, a line each. */}}
{{- define "vibemesh.wrongNames" -}}
{{- $name := include "vibemesh.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{ printf "%s, the name that all is called by, cannot be that of a Service, which begins with a letter and has no dots: set fullnameOverride" $name }}
{{- end }}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "edge.podLabels" .Values.edge.podLabels "api.podLabels" .Values.api.podLabels
  "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.podMonitor.labels" .Values.metrics.podMonitor.labels
  "metrics.prometheusRule.labels" .Values.metrics.prometheusRule.labels "metrics.dashboard.labels" .Values.metrics.dashboard.labels }}
{{- range $key, $_ := $labels }}
{{- if regexMatch "^(app\\.kubernetes\\.io/(name|instance|component|version|part-of|managed-by)|helm\\.sh/chart|vibemesh\\.io/ops)$" $key }}
{{ printf "%s has %s, which is the chart's own: Services and policies find pods by it, or Helm its objects; take another label" $value $key }}
{{- else if not (regexMatch "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$" $key) }}
{{ printf "%s has %q, which Kubernetes does not take as the key of a label" $value $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
