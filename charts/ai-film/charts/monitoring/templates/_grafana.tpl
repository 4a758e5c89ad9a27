{{- define "grafana" -}}
component: server
port: 3000
foreign: true
replicas: 1
checksum: {{ include "grafana.config" . | sha256sum }}
env:
  # Who may read the studio's password may read this, too; nothing is kept that was not provisioned.
  - name: GF_SECURITY_ADMIN_USER
    value: admin
  {{- include "studio.env.secret" (list $ "GF_SECURITY_ADMIN_PASSWORD" "admin-password") | nindent 2 }}
  {{- range $variable, $value := dict "PATHS_DATA" "/tmp/grafana" "PATHS_PLUGINS" "/tmp/plugins" "PATHS_PROVISIONING" "/etc/grafana-provisioning" "LOG_MODE" "console"
    "ANALYTICS_REPORTING_ENABLED" "false" "ANALYTICS_CHECK_FOR_UPDATES" "false" "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES" "false" "PLUGINS_PREINSTALL_DISABLED" "true" }}
  - name: GF_{{ $variable }}
    value: {{ $value | quote }}
  {{- end }}
preStop:
  sleep:
    seconds: 2
probes:
  {{- include "monitoring.probes" (list "http" "/api/health" "/api/health") | nindent 2 }}
mounts:
  - name: provisioning
    mountPath: /etc/grafana-provisioning
    readOnly: true
  - name: dashboards
    mountPath: /etc/grafana-dashboards
    readOnly: true
volumes:
  - name: provisioning
    configMap:
      name: {{ include "studio.name" (list $ "grafana") }}
      items:
        - {key: datasource.yaml, path: datasources/datasource.yaml}
        - {key: dashboards.yaml, path: dashboards/dashboards.yaml}
  - name: dashboards
    {{- if .Values.dashboards.enabled }}
    projected:
      sources:
        {{- range $file, $_ := .Files.Glob "dashboards/*.json" }}
        - configMap:
            name: {{ include "monitoring.dashboard" (list $ $file) }}
        {{- end }}
    {{- else }}
    emptyDir: {}
    {{- end }}
{{- end -}}

{{- define "grafana.config" -}}
datasource.yaml: |
  apiVersion: 1
  datasources:
    - name: Prometheus
      uid: prometheus
      type: prometheus
      access: proxy
      isDefault: true
      url: http://{{ include "studio.name" (list $ "prometheus") }}:9090
dashboards.yaml: |
  apiVersion: 1
  providers:
    - name: ai-film
      folder: AI Film
      type: file
      options:
        path: /etc/grafana-dashboards
{{- end -}}

{{- define "monitoring.grafana" -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "grafana" "service" "grafana" "component" "server") }}
data:
  {{- include "grafana.config" . | nindent 2 }}
---
{{ include "studio.workload" (list $ "grafana" .Values.grafana (include "grafana" . | fromYaml)) }}
{{- end -}}
