{{- define "vibemesh.toDNS" -}}
{{- if .Values.networkPolicy.dns -}}
{{ toYaml .Values.networkPolicy.dns }}
{{- else -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
  to:
    - namespaceSelector: {}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
    # The cache on each node, where there is one.
    - ipBlock: {cidr: 169.254.20.10/32}
{{- end -}}
{{- end -}}

{{/* What a Prometheus of the namespace for monitoring reaches. Takes root and port. */}}
{{- define "vibemesh.fromMonitoring" -}}
{{- with .root.Values.networkPolicy.monitoringNamespace -}}
- ports: [{port: {{ $.port }}}]
  from:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ . | quote }}}
{{- end -}}
{{- end -}}
