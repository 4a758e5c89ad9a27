{{- define "postgresql" -}}
component: database
kind: StatefulSet
governedBy: postgresql
serviceName: postgresql
port: 5432
portName: postgresql
foreign: true
user: 999
claims: [postgres]
checksum: {{ include "postgresql.config" . | sha256sum }}
command: [sh, /etc/postgresql/start.sh]
env:
  # Not the volume's top: a fresh ext4 volume has a lost+found there, and initdb wants a directory of its own.
  - name: PGDATA
    value: /var/lib/postgresql/data/pgdata
  {{- include "studio.env.secret" (list $ "POSTGRES_PASSWORD" "postgres-password") | nindent 2 }}
  {{- range list "studio" "langgraph" "dagster" }}
  {{- include "studio.env.secret" (list $ (printf "%s_PASSWORD" (upper .)) (printf "%s-password" .)) | nindent 2 }}
  {{- end }}
  {{- if include "postgresql.measured" . }}
  {{- include "studio.env.secret" (list $ "MONITOR_PASSWORD" "monitor-password") | nindent 2 }}
  {{- end }}
# SIGTERM lets clients stay connected until the pod is killed; SIGINT is PostgreSQL's fast and clean stop.
preStop:
  exec:
    command: [sh, -c, kill -INT 1]
grace: 120
probes:
  # Recovery after a crash replays the log: up to ten minutes before the pod is given up.
  startup:
    exec: &ready
      command: [pg_isready, -q, -h, 127.0.0.1, -U, postgres]
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 300
  readiness:
    exec: *ready
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  liveness:
    exec: *ready
    periodSeconds: 15
    timeoutSeconds: 10
    failureThreshold: 8
mounts:
  - name: config
    mountPath: /etc/postgresql
    readOnly: true
  - name: shm
    mountPath: /dev/shm
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "postgresql") }}
  # A container's own /dev/shm holds 64 MiB, too little for parallel queries.
  - name: shm
    emptyDir:
      medium: Memory
      sizeLimit: 256Mi
{{- end -}}

{{- define "postgresql.config" -}}
postgresql.conf: |
  listen_addresses = '*'
  unix_socket_directories = '/tmp'
  hba_file = '/etc/postgresql/pg_hba.conf'
  password_encryption = 'scram-sha-256'
  shared_preload_libraries = ''
  log_destination = 'stderr'
  logging_collector = off
  {{- range $name, $value := include "studio.table" .Values.postgresql.config | fromYaml }}
  {{ $name }} = '{{ $value | replace "'" "''" }}'
  {{- end }}
pg_hba.conf: |
  # Probes ask whether the server answers, they log in nowhere: every login shows a password.
  host all all all scram-sha-256
start.sh: |
  {{- .Files.Get "files/start.sh" | nindent 2 }}
init.sql: |
  {{- .Files.Get "files/init.sql" | nindent 2 }}
  {{- if include "postgresql.measured" . }}
  {{- .Files.Get "files/monitor.sql" | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Whether monitoring has an exporter for it: "true" or nothing. */}}
{{- define "postgresql.measured" -}}
{{- if hasKey (include "ai-film.monitors" .Umbrella | fromJson) "postgresql-exporter" }}true{{ end -}}
{{- end -}}

{{- define "postgresql.objects" -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "postgresql" "service" "postgresql" "component" "database") }}
data:
  {{- include "postgresql.config" . | nindent 2 }}
---
{{ include "studio.workload" (list $ "postgresql" .Values.postgresql (include "postgresql" . | fromYaml)) }}
{{- end -}}
