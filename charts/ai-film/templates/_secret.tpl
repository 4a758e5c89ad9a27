{{/* The keys of the Secret, the generated and the operator's. */}}
{{- define "ai-film.passwords" -}}
[postgres-password, studio-password, langgraph-password, dagster-password, redis-password, admin-password, secret-key, service-token{{ if .Values.processing.comfyui.bridge.enabled }}, bridge-secret{{ end }}{{ if hasKey (include "ai-film.monitors" . | fromJson) "postgresql-exporter" }}, monitor-password{{ end }}]
{{- end -}}

{{/*
The Secret's content, as JSON of base64: what the operator's holds, as far as it can be read; what is derived from the seed; or
what the generated one holds in the cluster, with what it lacks made by chance.
*/}}
{{- define "ai-film.secret" -}}
{{- $data := dict -}}
{{- $live := dig "data" dict (lookup "v1" "Secret" .Release.Namespace (include "studio.secret" .) | default dict) -}}
{{- if .Values.global.existingSecret -}}
{{- $data = $live -}}
{{- else -}}
{{- range $key := include "ai-film.passwords" . | fromYamlArray -}}
{{- $password := get $live $key -}}
{{- with $.Values.global.secretSeed -}}
{{- $password = printf "%s\n%s\n%s\n%s" . $.Release.Namespace (include "studio.secret" $) $key | sha256sum | trunc 40 | b64enc -}}
{{- end -}}
{{- $_ := set $data $key ($password | default (randAlphaNum 32 | b64enc)) -}}
{{- end -}}
{{- end -}}
{{- $data | toJson -}}
{{- end -}}
