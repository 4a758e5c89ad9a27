{{/* The keys of the Secret, the generated and the operator's. */}}
{{- define "ai-film.passwords" -}}
[postgres-password, studio-password, langgraph-password, dagster-password, redis-password, admin-password, secret-key, service-token]
{{- end -}}
