{{- define "ffmpeg" -}}
component: cutting
port: 8080
management: true
claims: [images, videos]
# A pod that leaves finishes the job it is at, which may take JOB_TIMEOUT's 15 minutes; what waited in its queue goes elsewhere.
grace: 960
queue:
  metric: aifilm_queue_length
  labels: {service: ffmpeg}
preStop:
  sleep:
    seconds: 5
{{- end -}}

{{- define "ffmpeg.objects" -}}
{{ include "studio.workload" (list $ "ffmpeg" .Values.ffmpeg (include "ffmpeg" . | fromYaml)) }}
{{- end -}}
