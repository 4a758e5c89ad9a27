{{- define "redis" -}}
component: progress
kind: StatefulSet
governedBy: redis
serviceName: redis
port: 6379
portName: redis
foreign: true
user: 999
checksum: {{ include "redis.config" . | sha256sum }}
# The password goes in by standard input: on the command line every process of the pod could read it.
command:
  - sh
  - -c
  - |
    exec redis-server /etc/redis/redis.conf - <<END
    requirepass "$REDIS_PASSWORD"
    END
env:
  {{- include "studio.env.secret" (list $ "REDIS_PASSWORD" "redis-password") | nindent 2 }}
  {{- include "studio.env.secret" (list $ "REDISCLI_AUTH" "redis-password") | nindent 2 }}
preStop:
  sleep:
    seconds: 5
grace: 30
probes:
  startup:
    exec: &ping
      command: [sh, -c, "redis-cli ping | grep -qx PONG"]
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 60
  readiness:
    exec: *ping
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  liveness:
    exec: *ping
    periodSeconds: 15
    timeoutSeconds: 10
    failureThreshold: 6
mounts:
  - name: config
    mountPath: /etc/redis
    readOnly: true
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "redis") }}
{{- end -}}

{{- define "redis.config" -}}
redis.conf: |
  # Progress and caches, all of it disposable: PostgreSQL keeps the facts. So nothing is written to disk.
  save ""
  appendonly no
  dir /tmp
  maxmemory {{ .Values.redis.maxmemory }}
  maxmemory-policy {{ .Values.redis.maxmemoryPolicy }}
  tcp-keepalive 60
{{- end -}}

{{- define "redis.objects" -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "redis" "service" "redis" "component" "progress") }}
data:
  {{- include "redis.config" . | nindent 2 }}
---
{{ include "studio.workload" (list $ "redis" .Values.redis (include "redis" . | fromYaml)) }}
{{- end -}}
