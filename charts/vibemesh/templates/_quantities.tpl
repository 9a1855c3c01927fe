{{/* A Kubernetes quantity such as 512Mi, 1.5G or 250m as a number. */}}
{{- define "vibemesh.quantity" -}}
{{- $q := include "vibemesh.setting" . -}}
{{- $factors := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "m" 0.001 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $number := regexFind "^[0-9.]+" $q -}}
{{- $unit := trimPrefix $number $q -}}
{{- mulf (float64 $number) (get $factors $unit | default 1) -}}
{{- end -}}

{{/* The same in whole bytes. */}}
{{- define "vibemesh.bytes" -}}
{{- include "vibemesh.quantity" . | float64 | floor | int64 -}}
{{- end -}}

{{/* What an edge holds outside its heap, in bytes: sockets and their buffers are the kernel's, and count as the pod's.
TLS that it serves takes 4 KiB more, for the kernel's TLS or for the sockets of a relay. */}}
{{- define "vibemesh.edgeKernelBytes" -}}
{{- mul .Values.edge.maxSessions (ternary 9216 5120 (ne .Values.tls.existingSecret "")) -}}
{{- end -}}

{{/* What an edge's heap may come to, in bytes: the program, the ring and 0.8 KiB a session; twice, since the collector waits for that much.
TLS takes 8 KiB more a session wherever the kernel does not do it, which nobody knows before: nodes without the module, TLS 1.2. */}}
{{- define "vibemesh.edgeHeapBytes" -}}
{{- add 67108864 (mul 2 .Values.edge.ringMiB 1048576) (mul .Values.edge.maxSessions (ternary 9012 820 (ne .Values.tls.existingSecret ""))) -}}
{{- end -}}

{{/* GOMEMLIMIT of a container with a memory limit: nine tenths of what the kernel leaves of it. Takes resources and kernel (bytes). */}}
{{- define "vibemesh.gomemlimit" -}}
{{- with dig "limits" "memory" "" (default (dict) .resources) -}}
{{- div (mul (sub (include "vibemesh.bytes" . | int64) ($.kernel | int64)) 9) 10 -}}
{{- end -}}
{{- end -}}
