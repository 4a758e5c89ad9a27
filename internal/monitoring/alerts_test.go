package monitoring

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// firing is an alert that is expected at a time since the first sample; quiet expects none.
type firing struct {
	at      string
	labels  string // "name=value …", without alertname and severity
	summary string
}

func quiet(at string) firing { return firing{at: at} }

// A scenario is a history, a sample a minute as promtool notates them, and what an alert makes of it.
type scenario struct {
	name   string
	series map[string]string
	want   []firing
}

// scenarios are of every alert: what fires it and for how long, and what just doesn't.
var scenarios = map[string][]scenario{
	"FilmFailed": {
		{"one of two replicas' same figures, and over after a quarter of an hour", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`:  "3x10 4x60",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-1",outcome="failed"}`:  "3x10 4x60",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`: "0+1x60",
		}, []firing{quiet("10m"), {"12m", "namespace=ai-film", "Films have failed within 15 minutes in ai-film"}, quiet("30m")}},
		{"a replica that starts late has seen no failure", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`: "_x10 7x60",
		}, []firing{quiet("11m"), quiet("15m")}},
	},
	"FilmLate": {
		{"a late film", map[string]string{`aifilm_films_late{namespace="ai-film",pod="flask-0"}`: "0x5 2x20 0x20", `aifilm_films_late{namespace="ai-film",pod="flask-1"}`: "0x5 2x20 0x20"},
			[]firing{quiet("8m"), {"12m", "namespace=ai-film", "2 films take more than twice what was estimated in ai-film"}, quiet("30m")}},
		{"late for a moment", map[string]string{`aifilm_films_late{namespace="ai-film",pod="flask-0"}`: "0x5 1x2 0x40"}, []firing{quiet("12m")}},
	},
	"FilmsMissGoal": {
		{"most of the films of an hour fail or come late", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`:    "0+0.1x120",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="late"}`:      "0+0.1x120",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`:   "0+0.05x120",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="cancelled"}`: "0+1x120",
		}, []firing{{"70m", "namespace=ai-film", "80% of the films of the last hour failed or were late in ai-film"}}},
		{"one film of one fails: that is for FilmFailed", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`: "0x60 1x60",
		}, []firing{quiet("65m")}},
		{"it was bad and is mended", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`:  "0+0.5x60 30x60",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`: "0x60 0+0.2x60",
		}, []firing{quiet("90m")}},
		{"people cancel", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="cancelled"}`: "0+1x120",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`:   "0+0.1x120",
		}, []firing{quiet("70m")}},
	},
	"FilmsMissGoalSlowly": {
		{"one of ten, for days", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`:  "0+0.01x4400",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`: "0+0.09x4400",
		}, []firing{{"4330m", "namespace=ai-film", "10% of the films of three days failed or were late in ai-film"}}},
		{"one of fifty", map[string]string{
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="failed"}`:  "0+0.002x4400",
			`aifilm_films_ended_total{namespace="ai-film",pod="flask-0",outcome="on_time"}`: "0+0.098x4400",
		}, []firing{quiet("4330m")}},
	},
	"NoFilms": {
		{"briefs wait and nothing is made", map[string]string{
			`aifilm_film_oldest_waiting_seconds{namespace="ai-film",pod="flask-0"}`: "0+60x60",
			`aifilm_films{namespace="ai-film",pod="flask-0",state="submitted"}`:     "3x60",
			`aifilm_films{namespace="ai-film",pod="flask-0",state="shooting"}`:      "0x60",
		}, []firing{quiet("30m"), {"45m", "namespace=ai-film", "A brief has waited for 45m 0s and nothing is made in ai-film"}}},
		{"a long queue before a film that is made", map[string]string{
			`aifilm_film_oldest_waiting_seconds{namespace="ai-film",pod="flask-0"}`: "0+60x60",
			`aifilm_films{namespace="ai-film",pod="flask-0",state="shooting"}`:      "1x60",
		}, []firing{quiet("45m")}},
	},
	"QueueStuck": {
		{"jobs are held and none ends", map[string]string{
			`aifilm_queue_oldest_seconds{namespace="ai-film",pod="blender-0",service="blender"}`:                       "0+60x60",
			`aifilm_jobs_total{namespace="ai-film",pod="blender-0",service="blender",operation="move",state="done"}`:   "5x60",
			`aifilm_queue_oldest_seconds{namespace="ai-film",pod="ffmpeg-0",service="ffmpeg"}`:                         "0+60x60",
			`aifilm_jobs_total{namespace="ai-film",pod="ffmpeg-0",service="ffmpeg",operation="encode",state="cached"}`: "0+1x60",
		}, []firing{quiet("20m"), {"30m", "namespace=ai-film service=blender", "blender: the oldest job is 30m 0s old and none has ended for 20 minutes"}}},
		{"it moves again", map[string]string{
			`aifilm_queue_oldest_seconds{namespace="ai-film",pod="blender-0",service="blender"}`:                     "0+60x30 0x30",
			`aifilm_jobs_total{namespace="ai-film",pod="blender-0",service="blender",operation="move",state="done"}`: "5x30 6x30",
		}, []firing{quiet("32m")}},
	},
	"BackendLost": {
		{"one of two", map[string]string{
			`aifilm_comfyui_backends_known{namespace="ai-film",pod="relay-0"}`: "2x30",
			`aifilm_comfyui_backends_ready{namespace="ai-film",pod="relay-0"}`: "2x5 1x10 2x20",
		}, []firing{quiet("7m"), {"10m", "namespace=ai-film", "A ComfyUI server is gone in ai-film"}, quiet("20m")}},
		{"the only one, which no address is left of", map[string]string{
			`aifilm_comfyui_backends_known{namespace="ai-film",pod="relay-0"}`: "1x5 0x30",
			`aifilm_comfyui_backends_ready{namespace="ai-film",pod="relay-0"}`: "1x5 0x30",
			`aifilm_comfyui_queue_length{namespace="ai-film",pod="relay-0"}`:   "0x5 3x30",
		}, []firing{{"15m", "namespace=ai-film", "A ComfyUI server is gone in ai-film"}}},
		{"none is registered, and nothing waits", map[string]string{
			`aifilm_comfyui_backends_known{namespace="ai-film",pod="relay-0"}`: "0x30",
			`aifilm_comfyui_backends_ready{namespace="ai-film",pod="relay-0"}`: "0x30",
			`aifilm_comfyui_queue_length{namespace="ai-film",pod="relay-0"}`:   "0x30",
		}, []firing{quiet("15m")}},
	},
	"VolumeFull": {
		{"it fills within a day", map[string]string{
			`aifilm_volume_free_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "40e9-50e6x400", // 72 GB a day
			`aifilm_volume_size_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "100e9x400",
		}, []firing{quiet("30m"), {"90m", "namespace=ai-film volume=images", "The volume images of ai-film will be full within a day, or is"}}},
		{"a film is written on a volume that is half empty", map[string]string{
			`aifilm_volume_free_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "60e9-50e6x100",
			`aifilm_volume_size_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "100e9x400",
		}, []firing{quiet("30m")}},
		{"hardly anything is free", map[string]string{
			`aifilm_volume_free_bytes{namespace="ai-film",pod="flask-0",volume="videos"}`: "4e9x60",
			`aifilm_volume_size_bytes{namespace="ai-film",pod="flask-0",volume="videos"}`: "100e9x60",
			`aifilm_volume_free_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "6e9x60",
			`aifilm_volume_size_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "100e9x60",
		}, []firing{{"30m", "namespace=ai-film volume=videos", "The volume videos of ai-film will be full within a day, or is"}}},
		{"PostgreSQL's, as the kubelet tells; others' are none of ours", map[string]string{
			`kubelet_volume_stats_available_bytes{namespace="ai-film",persistentvolumeclaim="postgres-pvc"}`: "1e8x60",
			`kubelet_volume_stats_capacity_bytes{namespace="ai-film",persistentvolumeclaim="postgres-pvc"}`:  "1e10x60",
			`kubelet_volume_stats_available_bytes{namespace="other",persistentvolumeclaim="postgres-pvc"}`:   "1e8x60",
			`kubelet_volume_stats_capacity_bytes{namespace="other",persistentvolumeclaim="postgres-pvc"}`:    "1e10x60",
			`kubelet_volume_stats_available_bytes{namespace="ai-film",persistentvolumeclaim="videos-pvc"}`:   "1e8x60",
			`kubelet_volume_stats_capacity_bytes{namespace="ai-film",persistentvolumeclaim="videos-pvc"}`:    "1e10x60",
		}, []firing{{"30m", "namespace=ai-film persistentvolumeclaim=postgres-pvc", "The volume postgres-pvc of ai-film will be full within a day, or is"}}},
		{"it isn't mounted here", map[string]string{
			`aifilm_volume_free_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "0x60",
			`aifilm_volume_size_bytes{namespace="ai-film",pod="flask-0",volume="images"}`: "0x60",
		}, []firing{quiet("30m")}},
	},
	"BackupOld": {
		{"a nightly one that fails", map[string]string{
			`kube_cronjob_status_last_successful_time{namespace="ai-film",cronjob="backup"}`: "0x3200",
			`kube_cronjob_status_last_schedule_time{namespace="ai-film",cronjob="backup"}`:   "0x1440 86400x1440 172800x320",
			`kube_cronjob_next_schedule_time{namespace="ai-film",cronjob="backup"}`:          "86400x1440 172800x1440 259200x320",
			`kube_cronjob_spec_suspend{namespace="ai-film",cronjob="backup"}`:                "0x3200",
			`kube_cronjob_created{namespace="ai-film",cronjob="backup"}`:                     "0x3200",
		}, []firing{quiet("2000m"), {"3000m", "namespace=ai-film cronjob=backup", "The backup backup of ai-film is older than its schedule, or is suspended"}}},
		{"suspended", map[string]string{
			`kube_cronjob_spec_suspend{namespace="ai-film",cronjob="studio-backup"}`: "0x10 1x60",
			`kube_cronjob_spec_suspend{namespace="other",cronjob="backup"}`:          "1x60",
		}, []firing{quiet("15m"), {"45m", "namespace=ai-film cronjob=studio-backup", "The backup studio-backup of ai-film is older than its schedule, or is suspended"}}},
		{"none was ever made", map[string]string{
			`kube_cronjob_created{namespace="ai-film",cronjob="backup"}`:      "0x3200",
			`kube_cronjob_spec_suspend{namespace="ai-film",cronjob="backup"}`: "0x3200",
		}, []firing{quiet("2800m"), {"3000m", "namespace=ai-film cronjob=backup", "The backup backup of ai-film is older than its schedule, or is suspended"}}},
	},
	"StudioUnobserved": {
		{"Flask is gone", map[string]string{`aifilm_films{namespace="ai-film",pod="flask-0",state="done"}`: "1x10 _x60"},
			[]firing{quiet("10m"), {"25m", "namespace=ai-film", "Nothing is known of the films of ai-film"}}},
		{"one replica of two is gone", map[string]string{`aifilm_films{namespace="ai-film",pod="flask-0",state="done"}`: "1x10 _x60",
			`aifilm_films{namespace="ai-film",pod="flask-1",state="done"}`: "1x60"}, []firing{quiet("25m")}},
	},
	"TargetGone": {{"a pod that hangs", map[string]string{`up{namespace="ai-film",job="blender",pod="blender-0"}`: "1x5 0x60", `up{namespace="other",job="x",pod="x"}`: "0x60"},
		[]firing{quiet("14m"), {"20m", "namespace=ai-film job=blender pod=blender-0", "blender: blender-0 can't be scraped"}}}},
	"PodRestarting": {{"again and again", map[string]string{
		`kube_pod_container_status_restarts_total{namespace="ai-film",pod="blender-0",container="blender"}`: "0+0.1x120",
		`kube_pod_container_status_restarts_total{namespace="ai-film",pod="ffmpeg-0",container="ffmpeg"}`:   "0x60 1x60",
	}, []firing{{"61m", "namespace=ai-film pod=blender-0 container=blender", "blender-0 (blender) was restarted 6 times within an hour"}}}},
	"DatabaseConnections": {{"nearly all are taken", map[string]string{
		`pg_stat_activity_count{namespace="ai-film",datname="studio",state="idle"}`:   "70x30",
		`pg_stat_activity_count{namespace="ai-film",datname="studio",state="active"}`: "5x10 15x20",
		`pg_settings_max_connections{namespace="ai-film"}`:                            "100x30",
	}, []firing{quiet("9m"), {"25m", "namespace=ai-film", "85% of PostgreSQL's connections are taken in ai-film"}}}},
	"DatabaseGone": {{"Redis is away", map[string]string{`pg_up{namespace="ai-film"}`: "1x20", `redis_up{namespace="ai-film"}`: "1x5 0x20"},
		[]firing{quiet("6m"), {"10m", "namespace=ai-film database=redis", "redis does not answer in ai-film"}}}},
	"GPUIdle": {
		{"prompts wait and no GPU works", map[string]string{`aifilm_comfyui_queue_length{namespace="ai-film",pod="relay-0"}`: "4x40", `DCGM_FI_DEV_GPU_UTIL{gpu="0"}`: "90x10 0x30", `DCGM_FI_DEV_GPU_UTIL{gpu="1"}`: "1x40"},
			[]firing{quiet("10m"), {"30m", "namespace=ai-film", "Prompts wait in ai-film and no GPU works"}}},
		{"there is no GPU", map[string]string{`aifilm_comfyui_queue_length{namespace="ai-film",pod="relay-0"}`: "4x40"}, []firing{quiet("30m")}},
	},
	"GPUMemoryFull": {{"full", map[string]string{`DCGM_FI_DEV_FB_USED{gpu="0",Hostname="n1"}`: "15700x20", `DCGM_FI_DEV_FB_FREE{gpu="0",Hostname="n1"}`: "300x20"},
		[]firing{quiet("9m"), {"15m", "gpu=0 Hostname=n1", "GPU 0 of n1: 98.12% of its memory is taken"}}}},
	"GPUHot": {{"hot", map[string]string{`DCGM_FI_DEV_GPU_TEMP{gpu="0",Hostname="n1"}`: "80x5 91x20"},
		[]firing{quiet("9m"), {"15m", "gpu=0 Hostname=n1", "GPU 0 of n1 has 91 °C"}}}},
	"CertificateExpiring": {{"within two weeks", map[string]string{
		`certmanager_certificate_expiration_timestamp_seconds{namespace="ai-film",name="page"}`: "1036800x120",
		`certmanager_certificate_expiration_timestamp_seconds{namespace="other",name="page"}`:   "1036800x120",
		`certmanager_certificate_expiration_timestamp_seconds{namespace="ai-film",name="long"}`: "1e8x120",
	}, []firing{quiet("59m"), {"100m", "namespace=ai-film name=page", "A certificate of ai-film ends in 11d 22h 20m 0s"}}}},
	"PasswordsGuessed": {{"every second", map[string]string{`aifilm_flask_passwords_total{namespace="ai-film",pod="flask-0",outcome="slowed"}`: "0+60x30", `aifilm_flask_passwords_total{namespace="ai-film",pod="flask-0",outcome="right"}`: "0+900x30"},
		[]firing{{"20m", "namespace=ai-film", "1 wrong passwords a second in ai-film"}}}},
	"PlannerFallsBack": {{"plan after plan", map[string]string{`aifilm_planner_fallbacks_total{namespace="ai-film",pod="langgraph-0"}`: "0+0.1x90"},
		[]firing{{"61m", "namespace=ai-film", "The language model did not plan 6 films within an hour in ai-film"}}}},
}

func TestAlertsFireAndDoNot(t *testing.T) {
	rules, err := filepath.Abs(filepath.Join(top, Chart, "rules"))
	require.NoError(t, err)
	dir := t.TempDir()
	var files []string
	for _, a := range Alerts {
		require.NotEmpty(t, scenarios[a.Name], "%s has no test", a.Name)
		var tests []any
		for _, s := range scenarios[a.Name] {
			var series, alerts []any
			for _, name := range slices.Sorted(maps.Keys(s.series)) {
				series = append(series, map[string]any{"series": name, "values": s.series[name]})
			}
			for _, f := range s.want {
				expected := []any{}
				if f.summary != "" {
					labels := map[string]string{"severity": string(a.Severity)}
					for pair := range strings.FieldsSeq(f.labels) {
						name, value, _ := strings.Cut(pair, "=")
						labels[name] = value
					}
					expected = append(expected, map[string]any{"exp_labels": labels, "exp_annotations": map[string]string{
						"summary": f.summary, "description": a.Meaning, "runbook_url": runbookURL + a.File() + ".md"}})
				}
				alerts = append(alerts, map[string]any{"eval_time": f.at, "alertname": a.Name, "exp_alerts": expected})
			}
			tests = append(tests, map[string]any{"interval": "1m", "input_series": series, "alert_rule_test": alerts})
		}
		every := "1m"
		if a.Name == "FilmsMissGoalSlowly" || a.Name == "BackupOld" { // days, which would take many seconds
			every = "10m"
		}
		data, err := yaml.Marshal(map[string]any{"evaluation_interval": every, "tests": tests,
			"group_eval_order": []string{"ai-film-recording", "ai-film-" + a.File()},
			"rule_files":       []string{filepath.Join(rules, "recording.yaml"), filepath.Join(rules, a.File()+".yaml")}})
		require.NoError(t, err)
		file := filepath.Join(dir, a.File()+".yaml")
		require.NoError(t, os.WriteFile(file, data, 0o644))
		files = append(files, file)
	}
	promtool(t, append([]string{"test", "rules"}, files...)...)
}
