{{/* Configuration files of a nats-server, of nats/ in the repository. What is left out stands there empty. */}}
{{- define "vibemesh.natsFiles" -}}
nats.conf: |
  {{- .Files.Get (ternary "files/nats/server.conf" "files/nats/cluster.conf" (eq (int .Values.nats.replicas) 1)) | nindent 2 }}
tls.conf: |
  {{- ternary (.Files.Get "files/nats/tls.conf") "# No TLS: nats.tls.existingSecret is empty.\n" (ne .Values.nats.tls.existingSecret "") | nindent 2 }}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster-tls.conf: |
  {{- ternary (.Files.Get "files/nats/cluster-tls.conf") "# No TLS: nats.tls.existingSecret is empty.\n" (ne .Values.nats.tls.existingSecret "") | nindent 2 }}
{{- end }}
{{- if not .Values.nats.credentials.existingSecret }}
accounts.conf: |
  # Nobody is asked who they are: nats.credentials.required is false.
{{- end }}
{{- end -}}
