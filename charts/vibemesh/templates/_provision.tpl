{{- define "vibemesh.provisionPod" -}}
metadata:
  labels:
    {{- include "vibemesh.podLabels" (dict "root" . "component" "provision") | nindent 4 }}
spec:
  restartPolicy: Never
  {{- /* Nothing else of the release exists when a hook runs, but what an earlier one has left. */}}
  serviceAccountName: {{ include "vibemesh.serviceAccount" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- include "vibemesh.pullSecrets" . | nindent 2 }}
  {{- include "vibemesh.placement" (omit .Values.api "affinity") | nindent 2 }}
  securityContext:
    {{- include "vibemesh.podSecurityContext" . | nindent 4 }}
  containers:
    - name: vibemesh
      image: {{ include "vibemesh.image" (dict "image" .Values.image "defaultTag" .Chart.AppVersion) }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [provision]
      securityContext:
        {{- include "vibemesh.securityContext" . | nindent 8 }}
      {{- with .Values.existingConfigMap }}
      envFrom:
        - configMapRef: {name: {{ . | quote }}}
      {{- end }}
      env:
        - name: WS_NODE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- range $name, $value := include "vibemesh.provisionSettings" . | fromYaml }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- include "vibemesh.natsEnv" (dict "root" . "role" "provision") | nindent 8 }}
      resources:
        {{- toYaml (default (dict) .Values.provision.resources) | nindent 8 }}
      volumeMounts:
        {{- include "vibemesh.volumeMounts" (dict "root" . "tls" false) | nindent 8 }}
  volumes:
    {{- include "vibemesh.volumes" (dict "root" . "role" "provision" "tls" false) | nindent 4 }}
{{- end -}}
