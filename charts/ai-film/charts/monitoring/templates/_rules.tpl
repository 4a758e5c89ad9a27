{{/*
A file of rules, for this release's namespace.
  include "monitoring.rule" (list $ "rules/film-late.yaml")
*/}}
{{- define "monitoring.rule" -}}
{{- $root := index . 0 -}}
{{- $root.Files.Get (index . 1) | replace "namespace=\"ai-film\"" (printf "namespace=%q" $root.Release.Namespace) | trim -}}
{{- end -}}

{{/* The rules for who judges elsewhere. Those of mode own are in Prometheus' configuration. */}}
{{- define "monitoring.rules" -}}
{{- $groups := list -}}
{{- range $file, $_ := .Files.Glob "rules/*.yaml" }}{{ $groups = concat $groups (include "monitoring.rule" (list $ $file) | fromYaml).groups }}{{ end -}}
{{- if and .Values.rules.enabled $groups (ne .Values.mode "own") }}
{{- $gke := eq .Values.mode "gke" }}
---
apiVersion: {{ $gke | ternary "monitoring.googleapis.com/v1" "monitoring.coreos.com/v1" }}
kind: {{ $gke | ternary "Rules" "PrometheusRule" }}
{{ include "studio.metadata" (dict "root" . "name" "ai-film" "service" "monitoring" "component" "rules" "labels" .Umbrella.Values.metrics.monitorLabels) }}
spec:
  groups:
    {{- toYaml $groups | nindent 4 }}
{{- end }}
{{- end -}}

{{/* The name of a dashboard's ConfigMap.
  include "monitoring.dashboard" (list $ "dashboards/studio.json")
*/}}
{{- define "monitoring.dashboard" -}}
{{ include "studio.name" (list (index . 0) (printf "ai-film-dashboard-%s" (index . 1 | base | trimSuffix ".json"))) }}
{{- end -}}

{{- define "monitoring.dashboards" -}}
{{- if .Values.dashboards.enabled }}
{{- range $file, $_ := .Files.Glob "dashboards/*.json" }}
---
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" (printf "ai-film-dashboard-%s" ($file | base | trimSuffix ".json")) "service" "monitoring" "component" "dashboard"
  "labels" (include "studio.table" $.Values.dashboards.labels | fromYaml) "annotations" (include "studio.table" $.Values.dashboards.annotations | fromYaml)) }}
data:
  {{ $file | base }}: |
    {{- $.Files.Get $file | trim | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}
