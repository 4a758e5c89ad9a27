{{/*
A password from the studio's Secret as an environment variable.
  include "studio.env.secret" (list $ "REDIS_PASSWORD" "redis-password")
*/}}
{{- define "studio.env.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "studio.secret" (index . 0) }}
      key: {{ index . 2 }}
{{- end -}}

{{/* The secret by which the studio's services know each other. */}}
{{- define "studio.env.token" -}}
{{ include "studio.env.secret" (list . "SERVICE_TOKEN" "service-token") }}
{{- end -}}

{{/*
The URL of a database of ours, under the name the service reads. The role has the database's name; its password comes from
the Secret and is put into the URL by the kubelet, so it stands in no manifest.
  include "studio.env.database" (list $ "DATABASE_URL" "studio")
*/}}
{{- define "studio.env.database" -}}
{{- $root := index . 0 -}}
{{- $database := index . 2 -}}
{{- $password := printf "%s_PASSWORD" (upper $database) -}}
{{- $postgresql := $root.Values.global.postgresql -}}
{{ include "studio.env.secret" (list $root $password (printf "%s-password" $database)) }}
- name: {{ index . 1 }}
  value: postgresql://{{ $database }}:$({{ $password }})@{{ $postgresql.host | default (include "studio.name" (list $root "postgresql")) }}:{{ $postgresql.port }}/{{ $database }}
{{- end -}}

{{/*
The URL of Redis.
  include "studio.env.redis" $
*/}}
{{- define "studio.env.redis" -}}
{{- $redis := .Values.global.redis -}}
{{ include "studio.env.secret" (list . "REDIS_PASSWORD" "redis-password") }}
- name: REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ $redis.host | default (include "studio.name" (list . "redis")) }}:{{ $redis.port }}/0
{{- end -}}

{{/* A table of environment variables as a container takes them. */}}
{{- define "studio.env.table" -}}
{{- range $name, $value := include "studio.table" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
