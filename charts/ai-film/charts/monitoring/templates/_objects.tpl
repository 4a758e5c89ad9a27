{{/*
All of monitoring's objects. It takes what the objects of every service take, and Pods, what ai-film.monitors says.
*/}}
{{- define "monitoring.objects" -}}
{{- include "monitoring.rules" . }}
{{- include "monitoring.dashboards" . }}
{{- range $name, $pod := .Pods }}
---
{{ include (printf "monitoring.%s" $name) $ }}
{{- end }}
{{- end -}}

{{/* What a program of others is asked by the kubelet.
  include "monitoring.probes" (list "http" "/-/healthy" "/-/ready")
*/}}
{{- define "monitoring.probes" -}}
{{- range $kind, $of := dict "startup" (list (index . 2) 2 90) "readiness" (list (index . 2) 5 3) "liveness" (list (index . 1) 10 6) }}
{{ $kind }}:
  httpGet:
    path: {{ index $of 0 }}
    port: {{ index $ 0 }}
  periodSeconds: {{ index $of 1 }}
  timeoutSeconds: 5
  failureThreshold: {{ index $of 2 }}
{{- end }}
{{- end -}}

{{/* What an account may do in the namespace: its Role, and the binding.
  include "monitoring.role" (list $ "prometheus" "server" RULES)
*/}}
{{- define "monitoring.role" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $metadata := dict "root" $root "name" $name "service" $name "component" (index . 2) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{{ include "studio.metadata" $metadata }}
rules:
  {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{{ include "studio.metadata" $metadata }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "studio.name" (list $root $name) }}
subjects:
  - kind: ServiceAccount
    name: {{ include "studio.name" (list $root $name) }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}
