{{/* The Service of a process that serves. Takes root, component and values. */}}
{{- define "vibemesh.servicePort" -}}
{{- default (ternary 443 80 (ne .root.Values.tls.existingSecret "")) .values.service.port -}}
{{- end -}}

{{- define "vibemesh.service" -}}
{{- $s := .values.service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "vibemesh.metadata" (dict "root" .root "component" .component "name" .component "annotations" $s.annotations) | nindent 2 }}
spec:
  type: {{ $s.type }}
  {{- with $s.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- with $s.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $s.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "vibemesh.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ include "vibemesh.servicePort" . }}
      targetPort: http
      {{- $secure := ternary 1 0 (ne .root.Values.tls.existingSecret "") }}
      {{- /* Gateways open a WebSocket to what says that it is one (KEP-3726). */}}
      appProtocol: {{ index (ternary (list "kubernetes.io/ws" "kubernetes.io/wss") (list "http" "https") (eq .component "edge")) $secure }}
{{- end -}}
