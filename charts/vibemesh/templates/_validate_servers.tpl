{{/* What is wrong with a change of the NATS servers that are there, a line each: said before anything is changed. */}}
{{- define "vibemesh.wrongServers" -}}
{{- $nats := .Values.nats -}}
{{- $name := printf "%s-nats" (include "vibemesh.fullname" .) -}}
{{- $there := default (dict) (and $nats.enabled (lookup "apps/v1" "StatefulSet" .Release.Namespace $name)) -}}
{{- $have := int (dig "spec" "replicas" 0 $there) -}}
{{- $want := int $nats.replicas -}}
{{- if and $have (not .Values.provision.allowDataLoss) }}
{{- if and (eq $have 1) (gt $want 1) }}
{{ printf "nats.replicas is %d, but the release has one server: nats-server removes what it stored alone when it joins a cluster, so the log would be lost; back it up, set provision.allowDataLoss=true for this upgrade, and restore it" $want }}
{{- else if and (gt $have 1) (eq $want 1) }}
{{ printf "nats.replicas is 1, but the release has %d servers: one alone may lack what the others stored; back the log up, set provision.allowDataLoss=true for this upgrade, and restore it" $have }}
{{- else if lt $want $have }}
{{ printf "nats.replicas is %d, but the release has %d servers: a log whose copies are on those that go would have no leader; take out one after the other before, by `kubectl scale statefulset %s` and `nats server raft peer-remove`, until there are %d" $want $have $name $want }}
{{- end }}
{{- end }}
{{- $tls := false }}
{{- range dig "spec" "template" "spec" "containers" (list) $there }}
{{- range .env }}{{ if eq .name "NATS_TLS_CERT" }}{{ $tls = true }}{{ end }}{{ end }}
{{- end }}
{{- if and (gt $have 1) (ne $tls (ne $nats.tls.existingSecret "")) }}
{{ printf "nats.tls.existingSecret switches TLS %s, which the servers cannot do one after the other: those with it and those without do not speak to each other, and the roll-out would never end; `kubectl delete statefulset %s --cascade=orphan`, delete all of its pods, and upgrade again: nothing is lost, but NATS is away for that time" (ternary "off" "on" $tls) $name }}
{{- end }}
{{- range $claim := dig "spec" "volumeClaimTemplates" (list) $there }}
{{- $size := dig "spec" "resources" "requests" "storage" "" $claim }}
{{- if or (ne (include "vibemesh.bytes" $size) (include "vibemesh.bytes" $nats.storage.size)) (ne (dig "spec" "storageClassName" "" $claim) $nats.storage.storageClassName) }}
{{ printf "nats.storage is %s of class %q, but the servers have volumes of %s of class %q, and Kubernetes does not let a StatefulSet change them: enlarge the PersistentVolumeClaims, then `kubectl delete statefulset %s --cascade=orphan`, and upgrade again" $nats.storage.size $nats.storage.storageClassName $size (dig "spec" "storageClassName" "" $claim) $name }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What other names would do to a release that is there, a line each. */}}
{{- define "vibemesh.wrongRename" -}}
{{- $name := include "vibemesh.fullname" . -}}
{{- if and .Values.nats.enabled (not .Values.provision.allowDataLoss) }}
{{- range dig "items" (list) (default (dict) (lookup "apps/v1" "StatefulSet" .Release.Namespace "")) }}
{{- $labels := default (dict) .metadata.labels }}
{{- if and (eq (dig "app.kubernetes.io/instance" "" $labels) $.Release.Name) (eq (dig "app.kubernetes.io/component" "" $labels) "nats")
  (regexMatch (printf "^%s-[0-9]" $.Chart.Name) (dig "helm.sh/chart" "" $labels)) (ne .metadata.name (printf "%s-nats" $name)) }}
{{ printf "the servers of the release are called %s, and would be new ones as %s-nats, with an empty log: set fullnameOverride=%s, or, to begin anew, provision.allowDataLoss=true for this upgrade" .metadata.name $name (trimSuffix "-nats" .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $by := dig "spec" "selector" "matchLabels" "app.kubernetes.io/name" "" (default (dict) (lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-edge" $name))) }}
{{- if and $by (ne $by (include "vibemesh.name" .)) }}
{{ printf "the pods of the release are found by app.kubernetes.io/name=%s, and Kubernetes lets no Deployment look for %s: Services and policies would find none; set nameOverride=%s" $by (include "vibemesh.name" .) $by }}
{{- end }}
{{- end -}}
