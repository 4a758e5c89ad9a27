{{- define "flask" -}}
component: studio
port: 5000
management: true
claims: [images, videos]
uses: [postgresql, redis]
env:
  {{- include "studio.env.database" (list $ "DATABASE_URL" "studio") | nindent 2 }}
  {{- include "studio.env.redis" $ | nindent 2 }}
  {{- include "studio.env.secret" (list $ "ADMIN_PASSWORD" "admin-password") | nindent 2 }}
  {{- include "studio.env.secret" (list $ "SECRET_KEY" "secret-key") | nindent 2 }}
  # What deleted films left there is deleted there.
  - name: LANGGRAPH_URL
    value: http://{{ include "studio.name" (list $ "langgraph") }}:8080
  - name: COMFYUI_URL
    value: http://{{ include "studio.name" (list $ "comfyui") }}:8188
  - name: FILMS_AT_ONCE
    value: {{ .Values.dagster.run.maxConcurrent | quote }}
  - name: QUEUE_FILMS
    value: {{ .Values.flask.queueFilms | quote }}
  {{- range $name, $value := dict "DAYS" .Values.flask.retention.days "BYTES" .Values.flask.retention.bytes "FILMS" .Values.flask.retention.films }}
  - name: RETENTION_{{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- with .Values.flask.trustedProxies }}
  - name: TRUSTED_PROXIES
    value: {{ join "," . | quote }}
  {{- end }}
  {{- if ne (include "studio.scheme" .Umbrella) "http" }}
  - name: COOKIE_SECURE
    value: "true"
  {{- end }}
# The endpoint leaves the Service before the server stops; downloads under way then have the rest of the minute.
preStop:
  sleep:
    seconds: 5
grace: 60
{{- if and .Values.flask.gkeBackendTimeout (not .Umbrella.Values.ingress.gateway.enabled) }}
serviceAnnotations:
  cloud.google.com/backend-config: '{"default": {{ include "studio.name" (list $ "flask") | quote }}}'
{{- end }}
{{- end -}}

{{- define "flask.objects" -}}
{{ include "studio.workload" (list $ "flask" .Values.flask (include "flask" . | fromYaml)) }}
{{- if and .Values.flask.gkeBackendTimeout (not .Umbrella.Values.ingress.gateway.enabled) }}
---
# GKE's load balancer cuts every response after 30 s unless told otherwise; the progress stream lasts as long as a film.
apiVersion: cloud.google.com/v1
kind: BackendConfig
{{ include "studio.metadata" (dict "root" $ "name" "flask" "service" "flask" "component" "studio") }}
spec:
  timeoutSec: {{ .Values.flask.gkeBackendTimeout }}
  connectionDraining:
    drainingTimeoutSec: 60
  # Not /readyz: that is on the management port, which no load balancer reaches. Endpoints leave it when they are not ready.
  healthCheck:
    type: HTTP
    requestPath: /healthz
    port: 5000
{{- end }}
{{- end -}}
