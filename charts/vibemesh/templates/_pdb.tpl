{{/* Takes root, component, maxUnavailable, and unhealthy: whether pods that are not ready may hold up a node. */}}
{{- define "vibemesh.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "vibemesh.metadata" (dict "root" .root "component" .component "name" .component) | nindent 2 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  unhealthyPodEvictionPolicy: {{ .unhealthy }}
  selector:
    matchLabels:
      {{- include "vibemesh.selector" . | nindent 6 }}
{{- end -}}
