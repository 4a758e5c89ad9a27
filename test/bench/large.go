package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Large is what verifying a chart costs that is as large as any in public: of
// many templates, more defines, and profiles for everything.
type Large struct {
	Templates int     `json:"templates"`
	Defines   int     `json:"defines"`
	Profiles  int     `json:"profiles"`
	BareMS    float64 `json:"bare_render_ms"`    // by Helm's engine, over the profiles in turn
	VerifyMS  float64 `json:"verify_ms"`         // a process, all profiles × four versions, coverage, values
	Renders   float64 `json:"verify_in_renders"` // the ratio of the two
	PeakBytes int64   `json:"peak_bytes"`        // resident, of the process
}

const (
	largeTemplates = 300
	largeDefines   = 2000
	largeProfiles  = 60
)

// large measures medians of as many rounds.
func (b *bench) large(rounds int) (*Large, error) {
	dir := filepath.Join(b.dir, "large")
	if err := writeLarge(dir); err != nil {
		return nil, err
	}
	l := &Large{Templates: largeTemplates, Defines: largeDefines, Profiles: largeProfiles}
	bare := (&bench{chart: dir}).engineProfiles()
	var bares, verifies []float64
	for range rounds {
		start := processorTime()
		for range largeProfiles / 10 {
			if err := bare(); err != nil {
				return nil, err
			}
		}
		bares = append(bares, (processorTime()-start).Seconds()*1000/(largeProfiles/10))
		start = processorTime()
		peak, err := peakOf(b.program, "verify", dir, "--values", "--coverage", "1")
		if err != nil {
			return nil, err
		}
		verifies = append(verifies, (processorTime()-start).Seconds()*1000)
		l.PeakBytes = max(l.PeakBytes, peak)
	}
	l.BareMS, l.VerifyMS = slices.Sorted(slices.Values(bares))[rounds/2], slices.Sorted(slices.Values(verifies))[rounds/2]
	l.Renders = l.VerifyMS / l.BareMS
	return l, nil
}

// peakOf runs a program and returns the most memory that it had in use.
// Findings are not what is measured.
func peakOf(name string, args ...string) (bytesInUse int64, err error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, nil
}

// writeLarge writes the chart: services that each take a dozen of the helpers,
// which call each other; two subcharts that some profiles turn on; files that
// templates read; a schema of all values.
func writeLarge(dir string) error {
	files := map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: large\nversion: 0.1.0\ndependencies:\n" +
			"  - {name: cache, version: 0.1.0, condition: cache.enabled}\n  - {name: queue, version: 0.1.0, condition: queue.enabled}\n",
	}
	var values, schema strings.Builder
	values.WriteString("global: {imageRegistry: registry.example.org}\ncache: {enabled: false}\nqueue: {enabled: false}\nservices:\n")
	for i := range largeTemplates {
		name := fmt.Sprintf("s%03d", i)
		files["templates/"+name+".yaml"] = strings.NewReplacer("NAME", name, "HELPER", fmt.Sprintf("%04d", i%(largeDefines/10)*10+9)).Replace(largeService)
		files["files/"+name+".conf"] = strings.Repeat(name+" = on\n", 20)
		fmt.Fprintf(&values, "  %s:\n    enabled: true\n    replicas: 2\n    image: %s\n    port: %d\n    level: info\n    debug: false\n    annotations: {}\n    resources: {limits: {memory: 64Mi}}\n", name, name, 8000+i)
		if i > 0 {
			schema.WriteString(",")
		}
		fmt.Fprintf(&schema, `%q:{"type":"object","properties":{"enabled":{"type":"boolean"},"replicas":{"type":"integer"},"image":{"type":"string"},"port":{"type":"integer"},`+
			`"level":{"enum":["info","debug"]},"debug":{"type":"boolean"},"annotations":{"type":"object"},"resources":{"type":"object"}}}`, name)
	}
	files["values.yaml"] = values.String()
	files["values.schema.json"] = `{"type":"object","properties":{"services":{"type":"object","properties":{` + schema.String() + `}}}}`
	const perFile = 500
	for i := range largeDefines / perFile {
		var helpers strings.Builder
		for j := range perFile {
			n := i*perFile + j
			calls := ""
			if n%10 != 0 { // chains of ten
				calls = fmt.Sprintf(`{{- include "large.h%04d" . }}`, n-1)
			}
			fmt.Fprintf(&helpers, "{{/* h%04d is one of many. */}}\n{{- define \"large.h%04d\" -}}\n{{- if .debug }}\nd%04d: \"{{ .level }}\"\n{{- else if eq .level \"info\" }}\nl%04d: {{ .level | quote }}\n{{- end }}\n%s\n{{- end }}\n", n, n, n, n, calls)
		}
		files[fmt.Sprintf("templates/_helpers-%d.tpl", i)] = helpers.String()
	}
	for _, sub := range []string{"cache", "queue"} {
		files["charts/"+sub+"/Chart.yaml"] = "apiVersion: v2\nname: " + sub + "\nversion: 0.1.0\n"
		files["charts/"+sub+"/values.yaml"] = "enabled: false\nsize: 1\n"
		for i := range 20 {
			files[fmt.Sprintf("charts/%s/templates/c%02d.yaml", sub, i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-%d\ndata:\n  size: {{ .Values.size | quote }}\n", sub, i)
		}
	}
	for i := range largeProfiles - 1 { // beside values.yaml itself
		var profile strings.Builder
		fmt.Fprintf(&profile, "global: {imageRegistry: r%d.example.org}\ncache: {enabled: %t}\nqueue: {enabled: %t}\nservices:\n", i, i%2 == 0, i%3 == 0)
		for j := range 10 {
			fmt.Fprintf(&profile, "  s%03d: {enabled: %t, replicas: %d, debug: true, level: debug, annotations: {stage: p%d}}\n", (i*7+j*31)%largeTemplates, j%3 != 0, j, i)
		}
		files[fmt.Sprintf("values/p%02d.yaml", i)] = profile.String()
	}
	return writeFiles(dir, files)
}

const largeService = `{{- $s := .Values.services.NAME }}
{{- if $s.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME
data:
  {{- include "large.hHELPER" (dict "debug" $s.debug "level" $s.level) | nindent 2 }}
  NAME.conf: |-
    {{- .Files.Get "files/NAME.conf" | nindent 4 }}
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  selector: {app: NAME}
  ports:
    - {name: http, port: 80, targetPort: http}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  {{- with $s.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  replicas: {{ $s.replicas }}
  selector:
    matchLabels: {app: NAME}
  template:
    metadata:
      labels: {app: NAME}
    spec:
      containers:
        - name: main
          image: "{{ .Values.global.imageRegistry }}/{{ $s.image }}:{{ .Chart.Version }}"
          {{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
          imagePullPolicy: IfNotPresent
          {{- end }}
          ports:
            - {name: http, containerPort: {{ $s.port }}}
          resources: {{- toYaml $s.resources | nindent 12 }}
          envFrom:
            - configMapRef: {name: NAME}
{{- end }}
`
