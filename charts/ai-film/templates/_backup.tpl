{{/* Whether a restore may change the Secret: "true" or nothing. Passwords that are the operator's, or derived, stay theirs. */}}
{{- define "ai-film.restoresSecret" -}}
{{- $global := .Values.global -}}
{{- if and .Values.backup.enabled .Values.backup.restore.snapshot (not $global.existingSecret) (not $global.secretSeed) (include "ai-film.enabled" (list $ "application" "flask")) }}true{{ end -}}
{{- end -}}

{{/*
The pod of a backup or of a restore.
  include "ai-film.backup" (list $ "restore")
*/}}
{{- define "ai-film.backup" -}}
{{- $root := index . 0 -}}
{{- $restore := eq (index . 1) "restore" -}}
{{- $backup := $root.Values.backup -}}
component: {{ index . 1 }}
restartPolicy: OnFailure
foreign: true
nosecret: true
probes: {startup: {}, readiness: {}, liveness: {}}
claims: [images, videos]
readOnly: {{ not $restore }}
uses: [postgresql]
grace: 60
{{- if $restore }}
token: true
{{- end }}
args: [{{ $restore | ternary "restore" "run" }}]
env:
  - name: STUDIO
    value: {{ printf "%s/%s" $root.Release.Namespace $root.Release.Name | quote }}
  - name: VERSION
    value: {{ $root.Chart.AppVersion | quote }}
  - name: SECRET_DIR
    value: /etc/studio/secret
  {{- range list "studio" "langgraph" "dagster" }}
  {{- include "studio.env.database" (list $root (printf "%s_DATABASE_URL" (upper .)) .) | nindent 2 }}
  {{- end }}
  - name: RESTIC_REPOSITORY
    value: {{ empty $backup.claim | ternary (printf "s3:%s" $backup.s3.url) "/backup" | quote }}
  {{- include "studio.env.secret" (list $root "RESTIC_PASSWORD" "password" $backup.existingSecret) | nindent 2 }}
  - name: RESTIC_CACHE_DIR
    value: /tmp/restic
  {{- if not $backup.claim }}
  {{- range $variable, $key := dict "AWS_ACCESS_KEY_ID" "access-key" "AWS_SECRET_ACCESS_KEY" "secret-key" }}
  - name: {{ $variable }}
    valueFrom:
      secretKeyRef:
        name: {{ $backup.existingSecret }}
        key: {{ $key }}
        optional: true
  {{- end }}
  {{- with $backup.s3.region }}
  - name: AWS_DEFAULT_REGION
    value: {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- if $restore }}
  - name: SNAPSHOT
    value: {{ $backup.restore.snapshot | quote }}
  - name: OVERWRITE
    value: {{ $backup.restore.overwrite | quote }}
  {{- if include "ai-film.restoresSecret" $root }}
  - name: SECRET
    value: {{ include "studio.secret" $root }}
  {{- end }}
  - name: DEPLOYMENTS
    value: {{ include "ai-film.usesDatabases" $root | fromYamlArray | join "," | quote }}
  {{- else }}
  {{- range $name, $count := $backup.keep }}
  - name: KEEP_{{ upper $name }}
    value: {{ $count | quote }}
  {{- end }}
  - name: CHECK_PERCENT
    value: {{ $backup.checkPercent | quote }}
  {{- end }}
mounts:
  - name: secret
    mountPath: /etc/studio/secret
    readOnly: true
  {{- if $backup.claim }}
  - name: backup
    mountPath: /backup
  {{- end }}
volumes:
  - name: secret
    secret:
      secretName: {{ include "studio.secret" $root }}
      defaultMode: 0440
  {{- with $backup.claim }}
  - name: backup
    persistentVolumeClaim:
      claimName: {{ . }}
  {{- end }}
{{- end -}}

{{/* The Deployments that use the databases, as a list: they bring their tables up to date when they start. */}}
{{- define "ai-film.usesDatabases" -}}
{{- $names := list -}}
{{- range $one := list (list "application" "dagster" "dagster") (list "application" "dagster" "dagster-code") (list "application" "dagster" "dagster-daemon")
  (list "application" "flask" "flask") (list "application" "langgraph" "langgraph") (list "processing" "comfyui" "comfyui-relay") -}}
{{- if include "ai-film.enabled" (list $ (index $one 0) (index $one 1)) }}{{ $names = append $names (include "studio.name" (list $ (index $one 2))) }}{{ end -}}
{{- end -}}
{{- toYaml $names -}}
{{- end -}}
