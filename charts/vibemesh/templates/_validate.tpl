{{/* What a schema cannot say: values that do not go together. All that is wrong is said at once, with what to do. */}}
{{- define "vibemesh.validate" -}}
{{- $wrong := list -}}
{{- with .Values -}}
{{- if and (not (dig "FIREBASE_PROJECT_ID" "" .settings)) (not .existingConfigMap) (ne (dig "WS_AUTH" "firebase" .settings) "dev") -}}
{{- $wrong = append $wrong "settings.FIREBASE_PROJECT_ID is missing: name the Firebase project whose users may sign in, or give it in existingConfigMap" -}}
{{- end -}}
{{- if and (eq (dig "WS_AUTH" "firebase" .settings) "dev") (not (dig "FIREBASE_AUTH_EMULATOR_HOST" "" .settings)) -}}
{{- $wrong = append $wrong "settings.WS_AUTH is dev: anybody could be anyone; use firebase, or with the Firebase emulator set settings.FIREBASE_AUTH_EMULATOR_HOST" -}}
{{- end -}}
{{- if eq (toString .enabled) "false" -}}
{{- $wrong = append $wrong "enabled is for a chart that has this one in it, with `condition: vibemesh.enabled`; here it switches nothing off" -}}
{{- end -}}
{{- if and .publishSecret.value .publishSecret.existingSecret -}}
{{- $wrong = append $wrong "publishSecret.value and publishSecret.existingSecret are both set: use one" -}}
{{- end -}}

{{- if and (not .nats.enabled) (not .nats.url) -}}
{{- $wrong = append $wrong "nats.url is missing: name the external cluster, such as nats://nats.example.com:4222, or set nats.enabled" -}}
{{- end -}}
{{- if and .nats.enabled .nats.url -}}
{{- $wrong = append $wrong "nats.url is set although nats.enabled makes a cluster in this release: set nats.enabled=false, or leave nats.url empty" -}}
{{- end -}}
{{- if and .nats.url .networkPolicy.enabled -}}
{{- range splitList "," .nats.url -}}
{{- $host := regexReplaceAll "^[a-z]+://([^/@]*@)?|/.*$" . "" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "80" (ternary "443" "4222" (hasPrefix "wss:" .)) (hasPrefix "ws:" .)) -}}
{{- if not (has $port (toStrings $.Values.networkPolicy.natsPorts)) -}}
{{- $wrong = append $wrong (printf "nats.url has the port %s, which networkPolicy.natsPorts lets no pod reach: add it there" $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .nats.credentials.required (not .nats.credentials.existingSecret) -}}
{{- $wrong = append $wrong "nats.credentials.existingSecret is missing: make credentials by `vibemesh credentials --out DIR` and a Secret of them, or, for trials, set nats.credentials.required=false" -}}
{{- end -}}
{{- if and .nats.tls.existingSecret (not .nats.enabled) -}}
{{- $wrong = append $wrong "nats.tls.existingSecret is for servers of this release: with an external cluster use nats.tls.caSecret and nats.tls.clientSecret" -}}
{{- end -}}
{{- if and .nats.enabled (gt (int (dig "WS_REPLICAS" 1 .settings)) (int .nats.replicas)) -}}
{{- $wrong = append $wrong (printf "settings.WS_REPLICAS is %d, but nats.replicas only %d: the log cannot have more replicas than there are servers" (int .settings.WS_REPLICAS) (int .nats.replicas)) -}}
{{- end -}}
{{- $wrong = concat $wrong (include "vibemesh.wrongNames" $ | splitList "\n" | compact) (include "vibemesh.wrongEnv" $ | splitList "\n" | compact) (include "vibemesh.wrongServers" $ | splitList "\n" | compact) (include "vibemesh.wrongRename" $ | splitList "\n" | compact) -}}

{{- with .edge.service -}}
{{- if and (eq .type "ClusterIP") .externalTrafficPolicy -}}
{{- $wrong = append $wrong "edge.service.externalTrafficPolicy is set, but edge.service.type is ClusterIP: it is for NodePort and LoadBalancer" -}}
{{- end -}}
{{- if and (ne .type "LoadBalancer") (or .loadBalancerClass .loadBalancerSourceRanges) -}}
{{- $wrong = append $wrong (printf "edge.service.loadBalancerClass or loadBalancerSourceRanges is set, but edge.service.type is %s: they are for LoadBalancer" .type) -}}
{{- end -}}
{{- end -}}
{{- if and .nats.enabled (not .nats.image.tag) (not .nats.image.digest) -}}
{{- $wrong = append $wrong "nats.image.tag is empty: name the version, such as the one that the chart has by itself, or a digest" -}}
{{- end -}}

{{- $a := .edge.autoscaling -}}
{{- if gt (int $a.minReplicas) (int $a.maxReplicas) -}}
{{- $wrong = append $wrong "edge.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if gt (int .api.autoscaling.minReplicas) (int .api.autoscaling.maxReplicas) -}}
{{- $wrong = append $wrong "api.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if and $a.kind (ge (int $a.targetSessions) (int .edge.maxSessions)) -}}
{{- $wrong = append $wrong (printf "edge.autoscaling.targetSessions is %d: it has to be below edge.maxSessions, %d, or edges refuse before there are more of them" (int $a.targetSessions) (int .edge.maxSessions)) -}}
{{- end -}}
{{- range $part, $scaled := dict "edge" (and $a.kind $a.targetCPU) "api" .api.autoscaling.enabled -}}
{{- $resources := default (dict) (index $.Values $part).resources -}}
{{- if and $scaled (not (or (dig "requests" "cpu" "" $resources) (dig "limits" "cpu" "" $resources))) -}}
{{- $wrong = append $wrong (printf "%[1]s.autoscaling.targetCPU is a share of %[1]s.resources.requests.cpu, which is not there: set it%[2]s" $part (ternary ", or targetCPU to 0" "" (eq $part "edge"))) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $a.kind "keda") (not $a.keda.serverAddress) -}}
{{- $wrong = append $wrong "edge.autoscaling.keda.serverAddress is missing: name the Prometheus that KEDA asks, such as http://prometheus.monitoring:9090" -}}
{{- end -}}
{{- $limit := dig "limits" "memory" "" (default (dict) .edge.resources) -}}
{{- if $limit -}}
{{- $need := add (include "vibemesh.edgeHeapBytes" $ | int64) (include "vibemesh.edgeKernelBytes" $ | int64) -}}
{{- if lt (include "vibemesh.bytes" $limit | int64) $need -}}
{{- $wrong = append $wrong (printf "edge.resources.limits.memory is %v: edge.maxSessions=%d sockets%s and a ring of %d MiB need %dMi" (include "vibemesh.setting" $limit) (int .edge.maxSessions) (ternary " by TLS (tls.existingSecret)" "" (ne .tls.existingSecret "")) (int .edge.ringMiB) (add 1 (div $need 1048576))) -}}
{{- end -}}
{{- end -}}

{{- range $part, $resources := dict "edge" .edge.resources "api" .api.resources "nats" .nats.resources "provision" .provision.resources -}}
{{- $resources = default (dict) $resources -}}
{{- range $name, $limit := default (dict) $resources.limits -}}
{{- $request := dig $name "" (default (dict) $resources.requests) -}}
{{- if and $request $limit (gt (include "vibemesh.quantity" $request | float64) (include "vibemesh.quantity" $limit | float64)) -}}
{{- $wrong = append $wrong (printf "%s.resources.requests.%s is %s, above its limit of %s" $part $name (include "vibemesh.setting" $request) (include "vibemesh.setting" $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and .ingress.enabled (not .ingress.hosts) -}}
{{- $wrong = append $wrong "ingress.hosts is empty: name the host that clients connect to" -}}
{{- end -}}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) -}}
{{- $wrong = append $wrong "httpRoute.parentRefs is empty: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- if and .metrics.serviceMonitor.enabled .metrics.podMonitor.enabled -}}
{{- $wrong = append $wrong "metrics.serviceMonitor and metrics.podMonitor are both enabled: everything would be scraped and counted twice" -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "the values are not usable:\n%s" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}
