{{/* Who collects metrics: none, prometheus-operator, gke, or own. */}}
{{- define "ai-film.collector" -}}
{{- $monitoring := .Values.monitoring -}}
{{- if not $monitoring.enabled }}{{ .Values.metrics.collector }}
{{- else }}{{ eq $monitoring.mode "operator" | ternary "prometheus-operator" $monitoring.mode }}{{ end -}}
{{- end -}}

{{/*
The pods of monitoring that are installed, by name, as JSON: {service, component, port: where their metrics are}. An exporter is a part of
what it measures, so that both have the same job.
*/}}
{{- define "ai-film.monitors" -}}
{{- $monitoring := .Values.monitoring -}}
{{- $pods := dict -}}
{{- if $monitoring.enabled -}}
{{- range $service, $port := dict "postgresql" 9187 "redis" 9121 -}}
{{- if and (index $monitoring $service).enabled (include "ai-film.enabled" (list $ "data" $service)) -}}
{{- $_ := set $pods (printf "%s-exporter" $service) (dict "service" $service "component" "exporter" "port" $port) -}}
{{- end -}}
{{- end -}}
{{- if $monitoring.dcgm.enabled }}{{ $_ := set $pods "dcgm-exporter" (dict "service" "dcgm" "component" "exporter" "port" 9400) }}{{ end -}}
{{- if eq $monitoring.mode "own" -}}
{{- $_ := set $pods "prometheus" (dict "service" "prometheus" "component" "server" "port" 9090) -}}
{{- if $monitoring.alertmanager.enabled }}{{ $_ := set $pods "alertmanager" (dict "service" "alertmanager" "component" "server" "port" 9093) }}{{ end -}}
{{- if $monitoring.kubeStateMetrics.enabled }}{{ $_ := set $pods "kube-state-metrics" (dict "service" "kube-state-metrics" "component" "exporter" "port" 8080) }}{{ end -}}
{{- if $monitoring.node.enabled }}{{ $_ := set $pods "node-exporter" (dict "service" "node" "component" "exporter" "port" 9100) }}{{ end -}}
{{- if $monitoring.grafana.enabled }}{{ $_ := set $pods "grafana" (dict "service" "grafana" "component" "server") }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $pods | toJson -}}
{{- end -}}
