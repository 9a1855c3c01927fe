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
