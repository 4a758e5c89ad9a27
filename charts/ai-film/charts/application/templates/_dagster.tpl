{{- define "dagster.webserver" -}}
component: webserver
port: 3000
claims: [dagster]
command:
  - dagster-webserver
  - -h
  - {{ include "dagster.listen" . }}
  - -p
  - "3000"
  - -w
  - {{ include "dagster.home" . }}/workspace.yaml
  {{- if .Values.dagster.readOnly }}
  - --read-only
  {{- end }}
# Without the launcher.
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "dagster") }}
      items:
        - {key: webserver.yaml, path: dagster.yaml}
        - {key: workspace.yaml, path: workspace.yaml}
        - {key: migrate.py, path: migrate.py}
probes:
  startup:
    httpGet: &server
      path: /server_info
      port: http
    periodSeconds: 3
    timeoutSeconds: 10
    failureThreshold: 60
  readiness:
    httpGet: *server
    periodSeconds: 10
    timeoutSeconds: 10
    failureThreshold: 3
  liveness:
    httpGet: *server
    periodSeconds: 20
    timeoutSeconds: 20
    failureThreshold: 6
{{- end -}}

{{- define "dagster.daemon" -}}
component: daemon
workload: dagster-daemon
unscaled: true
replicas: 1
# Two daemons would launch runs twice: the old one ends before the new one starts.
recreate: true
claims: [dagster]
# It creates the runs' Jobs.
token: true
command: [dagster-daemon, run, -w, {{ include "dagster.home" . }}/workspace.yaml]
resources:
  {{- toYaml .Values.dagster.daemon.resources | nindent 2 }}
grace: 60
probes:
  startup: {}
  readiness: {}
  # A daemon that hangs takes no film and tells no one. The check starts a Python, so it is asked for seldom.
  liveness:
    exec:
      command: [dagster-daemon, liveness-check]
    initialDelaySeconds: 180
    periodSeconds: 120
    timeoutSeconds: 60
    failureThreshold: 3
{{- end -}}

{{- define "dagster.code" -}}
component: code-server
workload: dagster-code
unscaled: true
replicas: 1
port: 4000
portName: grpc
# It removes what runs of deleted films have printed.
claims: [dagster]
# The sensor, which runs here, ends the runs of films that are cancelled.
token: true
command: [dagster, api, grpc, -h, {{ include "dagster.listen" . }}, -p, "4000", -m, studio]
resources:
  {{- toYaml .Values.dagster.code.resources | nindent 2 }}
grace: 60
probes:
  startup:
    grpc: &grpc
      port: 4000
      service: DagsterApi
    periodSeconds: 3
    timeoutSeconds: 10
    failureThreshold: 60
  readiness:
    grpc: *grpc
    periodSeconds: 10
    timeoutSeconds: 10
    failureThreshold: 3
  liveness:
    grpc: *grpc
    periodSeconds: 20
    timeoutSeconds: 20
    failureThreshold: 6
{{- end -}}

{{- define "dagster.objects" -}}
{{- $common := include "dagster.common" . | fromYaml -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "dagster" "service" "dagster" "component" "instance") }}
data:
  {{- include "dagster.config" . | nindent 2 }}
---
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "dagster-releases" "service" "dagster" "component" "releases") }}
data:
  {{- include "dagster.releases" . | nindent 2 }}
---
{{ include "dagster.access" . }}
{{- range $part := list "dagster.webserver" "dagster.daemon" "dagster.code" }}
---
{{ include "studio.workload" (list $ "dagster" $.Values.dagster (merge (include $part $ | fromYaml) $common)) }}
{{- end }}
{{- end -}}
