{{- define "alertmanager" -}}
component: server
port: 9093
portName: metrics
foreign: true
nosecret: true
replicas: 1
recreate: true
checksum: {{ include "alertmanager.config" . | sha256sum }}
command: [alertmanager]
args:
  - --config.file=/etc/alertmanager/alertmanager.yml
  # What was told and what is silenced goes with the pod: an alert that goes on is told again by the next one.
  - --storage.path=/tmp
  - --web.listen-address=:9093
  # One alone has nobody to agree with.
  - --cluster.listen-address=
preStop:
  sleep:
    seconds: 2
probes:
  {{- include "monitoring.probes" (list "metrics" "/-/healthy" "/-/ready") | nindent 2 }}
mounts:
  - name: config
    mountPath: /etc/alertmanager
    readOnly: true
  {{- if .Values.alertmanager.existingSecret }}
  - name: secret
    mountPath: /etc/alertmanager-secret
    readOnly: true
  {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "alertmanager") }}
  {{- with .Values.alertmanager.existingSecret }}
  - name: secret
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
{{- end -}}

{{- define "alertmanager.config" -}}
{{- $at := .Values.alertmanager -}}
alertmanager.yml: |
  route:
    receiver: nobody
    group_by: [namespace, alertname]
    group_wait: {{ $at.groupWait }}
    group_interval: 1m
    repeat_interval: {{ $at.repeatInterval }}
    routes:
      - receiver: people
        matchers: [severity=~{{ $at.severities | join "|" | quote }}]
  receivers:
    - name: nobody
    - name: people
      {{- if $at.webhook.enabled }}
      webhook_configs:
        {{- if $at.webhook.url }}
        - url: {{ $at.webhook.url | quote }}
        {{- else }}
        - url_file: /etc/alertmanager-secret/webhook-url
        {{- end }}
      {{- end }}
      {{- with $at.slack.channel }}
      slack_configs:
        - api_url_file: /etc/alertmanager-secret/slack-url
          channel: {{ . | quote }}
          send_resolved: true
      {{- end }}
      {{- if $at.email.to }}
      email_configs:
        - to: {{ $at.email.to | quote }}
          from: {{ $at.email.from | quote }}
          smarthost: {{ $at.email.smartHost | quote }}
          send_resolved: true
          {{- with $at.email.username }}
          auth_username: {{ . | quote }}
          auth_password_file: /etc/alertmanager-secret/smtp-password
          {{- end }}
      {{- end }}
  {{- with .Files.Get "files/inhibit.yaml" }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "monitoring.alertmanager" -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "alertmanager" "service" "alertmanager" "component" "server") }}
data:
  {{- include "alertmanager.config" . | nindent 2 }}
---
{{ include "studio.workload" (list $ "alertmanager" .Values.alertmanager (include "alertmanager" . | fromYaml)) }}
{{- end -}}
