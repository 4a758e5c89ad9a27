{{- define "blender" -}}
component: camera
port: 9876
management: true
claims: [images]
# A pod that leaves finishes the job it is at, which may take JOB_TIMEOUT's 15 minutes; what waited in its queue goes elsewhere.
grace: 960
queue:
  metric: aifilm_queue_length
  labels: {service: blender}
preStop:
  sleep:
    seconds: 5
env:
  - name: SAMPLES
    value: {{ .Values.blender.samples | quote }}
{{- end -}}

{{- define "blender.objects" -}}
{{ include "studio.workload" (list $ "blender" .Values.blender (include "blender" . | fromYaml)) }}
{{- end -}}
