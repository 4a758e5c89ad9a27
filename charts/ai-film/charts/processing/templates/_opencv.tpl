{{- define "opencv" -}}
component: finishing
port: 8000
management: true
claims: [images, videos]
# A pod that leaves finishes the job it is at, which may take JOB_TIMEOUT's 15 minutes; what waited in its queue goes elsewhere.
grace: 960
queue:
  metric: aifilm_queue_length
  labels: {service: opencv}
preStop:
  sleep:
    seconds: 5
{{- end -}}

{{- define "opencv.objects" -}}
{{ include "studio.workload" (list $ "opencv" .Values.opencv (include "opencv" . | fromYaml)) }}
{{- end -}}
