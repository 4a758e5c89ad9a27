{{- define "langgraph" -}}
component: planner
port: 8080
uses: [postgresql]
queue:
  metric: aifilm_queue_length
  labels: {service: langgraph}
management: true
env:
  {{- include "studio.env.database" (list $ "DATABASE_URL" "langgraph") | nindent 2 }}
  {{- with .Values.langgraph.openai }}
  {{- if .baseURL }}
  - name: OPENAI_BASE_URL
    value: {{ .baseURL | quote }}
  - name: OPENAI_MODEL
    value: {{ .model | quote }}
  {{- if .existingSecret }}
  - name: OPENAI_API_KEY
    valueFrom:
      secretKeyRef:
        name: {{ .existingSecret }}
        key: {{ .secretKey }}
  {{- end }}
  {{- end }}
  {{- end }}
preStop:
  sleep:
    seconds: 5
grace: 60
{{- end -}}

{{- define "langgraph.objects" -}}
{{ include "studio.workload" (list $ "langgraph" .Values.langgraph (include "langgraph" . | fromYaml)) }}
{{- end -}}
