{{/* What every pod of the program has in common. */}}

{{/* Restricted pod security: the image runs as 65532, and writes nowhere. */}}
{{- define "vibemesh.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "vibemesh.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Files that a process reads, each role its own credentials only. Takes root, role, and tls (whether it serves). */}}
{{- define "vibemesh.volumes" -}}
{{- $nats := .root.Values.nats -}}
{{- with $nats.credentials.existingSecret }}
- name: nats-credentials
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
    items:
      - {key: {{ $.role }}.creds, path: {{ $.role }}.creds}
{{- end }}
{{- with (default $nats.tls.existingSecret $nats.tls.caSecret) }}
- name: nats-ca
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- with $nats.tls.clientSecret }}
- name: nats-tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end }}
{{- if and .tls .root.Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ .root.Values.tls.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "vibemesh.volumeMounts" -}}
{{- $nats := .root.Values.nats -}}
{{- if $nats.credentials.existingSecret }}
- {name: nats-credentials, mountPath: /etc/vibemesh/nats, readOnly: true}
{{- end }}
{{- if or $nats.tls.caSecret $nats.tls.existingSecret }}
- {name: nats-ca, mountPath: /etc/vibemesh/nats-ca, readOnly: true}
{{- end }}
{{- if $nats.tls.clientSecret }}
- {name: nats-tls, mountPath: /etc/vibemesh/nats-tls, readOnly: true}
{{- end }}
{{- if and .tls .root.Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/vibemesh/tls, readOnly: true}
{{- end }}
{{- end -}}

{{/* Pods as far apart as there are zones and nodes, but rather together than not at all. Takes root, component, values. */}}
{{- define "vibemesh.spread" -}}
{{- if .values.topologySpreadConstraints -}}
{{ toYaml .values.topologySpreadConstraints }}
{{- else -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "vibemesh.selector" $ | nindent 6 }}
{{ end -}}
{{- end -}}
{{- end -}}

{{/* Where pods may run. Takes values. */}}
{{- define "vibemesh.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "vibemesh.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A process that serves. Takes root, component (edge or api), values, scaled (whether by others), kernel (bytes of memory that are the kernel's). */}}
{{- define "vibemesh.deployment" -}}
{{- $root := .root -}}
{{- $v := .values -}}
{{- $replicas := include "vibemesh.replicas" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "vibemesh.metadata" (dict "root" $root "component" .component "name" .component "annotations" (ternary (dict) (dict "vibemesh.io/replicas" "named") (empty $replicas))) | nindent 2 }}
spec:
  {{- with $replicas }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: {{ $v.minReadySeconds }}
  # One new pod at a time, and none goes before it is ready: people move a pod's worth at a time.
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  # Readiness takes its start (60 s), the log's head, and what histories show.
  progressDeadlineSeconds: {{ add 600 $v.minReadySeconds $v.drainTimeoutSeconds }}
  selector:
    matchLabels:
      {{- include "vibemesh.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "vibemesh.podLabels" (dict "root" $root "component" .component "labels" $v.podLabels) | nindent 8 }}
      annotations:
        checksum/settings: {{ include "vibemesh.settings" $root | sha256sum }}
        {{- with and (eq .component "api") $root.Values.publishSecret.value }}
        checksum/secret: {{ sha256sum . }}
        {{- end }}
        {{- with $v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "vibemesh.serviceAccount" $root | quote }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "vibemesh.pullSecrets" $root | nindent 6 }}
      {{- include "vibemesh.placement" $v | nindent 6 }}
      securityContext:
        {{- include "vibemesh.podSecurityContext" . | nindent 8 }}
        {{- with $v.sysctls }}
        sysctls:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      # The pause, the drain, and 15 s to end.
      terminationGracePeriodSeconds: {{ add $v.preStopSeconds $v.drainTimeoutSeconds 15 }}
      topologySpreadConstraints:
        {{- include "vibemesh.spread" . | nindent 8 }}
      containers:
        - name: vibemesh
          image: {{ include "vibemesh.image" (dict "image" $root.Values.image "defaultTag" $root.Chart.AppVersion) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .component }}]
          securityContext:
            {{- include "vibemesh.securityContext" . | nindent 12 }}
          ports:
            - {name: http, containerPort: 8080}
            - {name: ops, containerPort: 9090}
          envFrom:
            {{- with $root.Values.existingConfigMap }}
            - configMapRef: {name: {{ . | quote }}}
            {{- end }}
            - configMapRef: {name: {{ include "vibemesh.fullname" $root | quote }}}
          env:
            {{- include "vibemesh.env" . | nindent 12 }}
            {{- with $v.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          # A start waits up to a minute for NATS and then ends by itself, so the ops port may take that long to answer.
          startupProbe:
            httpGet: {path: /healthz, port: ops}
            periodSeconds: 2
            failureThreshold: 45
          # Lost NATS, not yet at the head of the log, or draining: nobody new. Sessions stay.
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          # Never /readyz: a restart drops every session of an edge that NATS comes back to.
          livenessProbe:
            httpGet: {path: /healthz, port: ops}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            preStop:
              sleep: {seconds: {{ $v.preStopSeconds }}}
          resources:
            {{- toYaml (default (dict) $v.resources) | nindent 12 }}
          volumeMounts:
            {{- include "vibemesh.volumeMounts" (dict "root" $root "tls" true) | nindent 12 }}
      volumes:
        {{- include "vibemesh.volumes" (dict "root" $root "role" .component "tls" true) | nindent 8 }}
{{- end -}}
