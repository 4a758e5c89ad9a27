{{/*
A password as an environment variable, of the studio's Secret or of another.
  include "studio.env.secret" (list $ "REDIS_PASSWORD" "redis-password")
*/}}
{{- define "studio.env.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ if gt (len .) 3 }}{{ index . 3 }}{{ else }}{{ include "studio.secret" (index . 0) }}{{ end }}
      key: {{ index . 2 }}
{{- end -}}

{{/* The secret by which the studio's services know each other. */}}
{{- define "studio.env.token" -}}
{{ include "studio.env.secret" (list . "SERVICE_TOKEN" "service-token") }}
{{- end -}}

{{/*
The URL of a database of ours, under the name the service reads. The password comes from a Secret and is put into the URL by
the kubelet, so it stands in no manifest. On the chart's own PostgreSQL role, database and password key have the service's name.
  include "studio.env.database" (list $ "DATABASE_URL" "studio")
*/}}
{{- define "studio.env.database" -}}
{{- $root := index . 0 -}}
{{- $name := index . 2 -}}
{{- $variable := printf "%s_PASSWORD" (upper $name) -}}
{{- $at := $root.Values.global.postgresql -}}
{{- if $at.host -}}
{{- $database := get $at.databases $name -}}
{{ include "studio.env.secret" (list $root $variable $database.passwordKey ($at.existingSecret | default (include "studio.secret" $root))) }}
{{- $query := list -}}
{{- with $at.sslMode }}{{ $query = append $query (printf "sslmode=%s" .) }}{{ end -}}
{{- if $at.caSecret }}{{ $query = append $query (printf "sslrootcert=/etc/studio/postgresql/%s" $at.caKey) }}{{ end }}
- name: {{ index . 1 }}
  value: postgresql://{{ $database.user }}:$({{ $variable }})@{{ $at.host }}:{{ $at.port }}/{{ $database.name }}{{ with $query }}?{{ join "&" . }}{{ end }}
{{- else -}}
{{ include "studio.env.secret" (list $root $variable (printf "%s-password" $name)) }}
- name: {{ index . 1 }}
  value: postgresql://{{ $name }}:$({{ $variable }})@{{ include "studio.name" (list $root "postgresql") }}:5432/{{ $name }}
{{- end -}}
{{- end -}}

{{/*
The URL of Redis.
  include "studio.env.redis" $
*/}}
{{- define "studio.env.redis" -}}
{{- $at := .Values.global.redis -}}
{{- if $at.host -}}
{{ include "studio.env.secret" (list . "REDIS_PASSWORD" $at.passwordKey ($at.existingSecret | default (include "studio.secret" .))) }}
- name: REDIS_URL
  value: redis{{ if $at.tls }}s{{ end }}://{{ $at.user }}:$(REDIS_PASSWORD)@{{ $at.host }}:{{ $at.port }}/{{ $at.database }}{{ if $at.caSecret }}?ssl_ca_certs=/etc/studio/redis/{{ $at.caKey }}{{ end }}
{{- else -}}
{{ include "studio.env.secret" (list . "REDIS_PASSWORD" "redis-password") }}
- name: REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "studio.name" (list . "redis") }}:6379/0
{{- end -}}
{{- end -}}

{{/*
A container's environment: the chart's variables, with the operator's laid over them by name, so that none stands twice. A
variable that stands twice is lost at the next upgrade: the API server merges the list by name.
  include "studio.env" (list (list of EnvVars) .Values.flask)
*/}}
{{- define "studio.env" -}}
{{- $values := index . 1 -}}
{{- $given := dict -}}
{{- range $name, $value := $values.env -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $given $name (dict "name" $name "value" (toString $value)) }}{{ end -}}
{{- end -}}
{{- range $values.extraEnv }}{{ $_ := set $given .name . }}{{ end -}}
{{- $all := list -}}
{{- $names := list -}}
{{- range index . 0 -}}
{{- $names = append $names .name -}}
{{- $all = append $all (get $given .name | default .) -}}
{{- end -}}
{{- $extra := list -}}
{{- range $values.extraEnv }}{{ $extra = append $extra .name }}{{ end -}}
{{- range concat $extra (keys $given | sortAlpha) | uniq -}}
{{- if not (has . $names) }}{{ $all = append $all (get $given .) }}{{ end -}}
{{- end -}}
{{- with $all }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The certificates of databases elsewhere, as volumes and as mounts, for those that use them.
  include "studio.certificates.volumes" (list $ (list "postgresql" "redis"))
*/}}
{{- define "studio.certificates.volumes" -}}
{{- $root := index . 0 -}}
{{- range $database := index . 1 -}}
{{- with index $root.Values.global $database -}}
{{- if and .host .caSecret }}
- name: {{ $database }}-ca
  secret:
    secretName: {{ .caSecret }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "studio.certificates.mounts" -}}
{{- $root := index . 0 -}}
{{- range $database := index . 1 -}}
{{- with index $root.Values.global $database -}}
{{- if and .host .caSecret }}
- name: {{ $database }}-ca
  mountPath: /etc/studio/{{ $database }}
  readOnly: true
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
