{{/* Upward at once, for a storm does not wait; downward slowly, since each edge that goes moves its people. Takes values.autoscaling of the edges. */}}
{{- define "vibemesh.edgeScaling" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 60}
    - {type: Pods, value: 4, periodSeconds: 60}
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDownWindowSeconds }}
  policies:
    - {type: Pods, value: 1, periodSeconds: {{ .scaleDownPeriodSeconds }}}
{{- end -}}

{{/* How many pods; empty where others scale them. But where a release has named a number once, one that names none would take
it to 1, and almost everybody off their pods: then it is the number that is there. An annotation tells. Takes root, component, values, scaled. */}}
{{- define "vibemesh.replicas" -}}
{{- if not .scaled -}}
{{- .values.replicas -}}
{{- else -}}
{{- $there := default (dict) (lookup "apps/v1" "Deployment" .root.Release.Namespace (printf "%s-%s" (include "vibemesh.fullname" .root) .component)) -}}
{{- if dig "metadata" "annotations" "vibemesh.io/replicas" "" $there -}}
{{- dig "spec" "replicas" 1 $there -}}
{{- end -}}
{{- end -}}
{{- end -}}
