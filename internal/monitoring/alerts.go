package monitoring

import "strings"

// The goal for films, from which FilmsMissGoal takes its rates: of all films that nobody cancelled, 95 % are done, within
// twice the time that the studio estimated when they were submitted, over four weeks.
//
// Figures of films are counted in PostgreSQL, and every replica of Flask tells the same: so `max` over the pods, never `sum`.

// Recordings are what more than one rule or panel reads.
var Recordings = []Recording{
	{"namespace:aifilm_films_missed:ratio_15m", missed("15m")},
	{"namespace:aifilm_films_missed:ratio_1h", missed("1h")},
	{"namespace:aifilm_films_missed:ratio_6h", missed("6h")},
	{"namespace:aifilm_films_missed:ratio_3d", missed("3d")},
	{"namespace_volume:aifilm_volume:days_left", `max by (namespace, volume) (aifilm_volume_free_bytes)
  / (clamp_min(-min by (namespace, volume) (deriv(aifilm_volume_free_bytes[6h])), 1) * 86400)`},
}

// missed is the share of the films that ended in a time and missed the goal.
func missed(window string) string {
	return `max by (namespace) (sum by (namespace, pod) (increase(aifilm_films_ended_total{outcome=~"late|failed"}[` + window + `])))
  / (max by (namespace) (sum by (namespace, pod) (increase(aifilm_films_ended_total{outcome!="cancelled"}[` + window + `]))) > 0)`
}

// ended is how many films ended in a time, those cancelled left out.
func ended(window string) string {
	return `max by (namespace) (sum by (namespace, pod) (increase(aifilm_films_ended_total{outcome!="cancelled"}[` + window + `])))`
}

const (
	whatWaits  = "`ai-film show <film>`, or the film's page: which stage waits, and what for."
	dashStudio = "The dashboard *Studio*: which stage takes longer than it did, and which queue grows."
	podsLogs   = "`kubectl get pods` and `kubectl logs` of the service; every line bears film and shot."
)

// Alerts are all alerts.
var Alerts = []Alert{
	{
		Name: "FilmFailed", Severity: Page,
		Expr:    `max by (namespace) (increase(aifilm_films_ended_total{outcome="failed"}[15m])) > 0`,
		Summary: `Films have failed within 15 minutes in {{ $labels.namespace }}`,
		Meaning: "A film has ended without a video. The studio waits for what is away and retakes what is doubtful, so a film only fails when a service refuses the work, or the film's time is up.",
		Look: []string{"The film's page: the error says what was refused, by which service, and the remedy.",
			"The log of that service, filtered by the film's id: `kubectl logs -l app.kubernetes.io/component=<service> --tail=-1 | grep <film>`.",
			"Dagster's run of the film (tag `ai-film/film`)."},
		Mend: []string{"Do what the error's remedy says, then submit the brief again: what was made before is taken from the parts.",
			"«The film's time is up»: see [film-late](film-late.md); raise `application.dagster.run.timeLimitSeconds` where films are long."},
	},
	{
		Name: "FilmLate", Severity: Page, For: "5m",
		Expr:    `max by (namespace) (aifilm_films_late) > 0`,
		Summary: `{{ $value }} films take more than twice what was estimated in {{ $labels.namespace }}`,
		Meaning: "A film that waits or is in work has taken more than twice the time that was estimated at its submission, of the pace of the films before and of the queue.",
		Look:    []string{whatWaits, dashStudio, "Whether [queue-stuck](queue-stuck.md), [backend-lost](backend-lost.md) or [volume-full](volume-full.md) tell the cause."},
		Mend: []string{"A service is away or starved: mend it, the film goes on by itself.",
			"All works, only slowly: more replicas of the service whose queue is longest, or another ComfyUI server (docs/remote-gpu.md).",
			"Otherwise cancel the film; what it has made is kept for the next."},
	},
	{
		Name: "FilmsMissGoal", Severity: Page,
		Expr: `namespace:aifilm_films_missed:ratio_1h > 14.4 * 0.05
and namespace:aifilm_films_missed:ratio_15m > 14.4 * 0.05
and on (namespace) ` + ended("1h") + ` >= 3`,
		Summary: `{{ $value | humanizePercentage }} of the films of the last hour failed or were late in {{ $labels.namespace }}`,
		Meaning: "The goal is that 95 % of all films are done within twice their estimate, over four weeks. At this rate what may go wrong in four weeks goes wrong within two days.",
		Look:    []string{"The list of films: what the failed ones have in common (a size, a scene, an hour, a version).", dashStudio, podsLogs},
		Mend:    []string{"Since an upgrade: `helm rollback`; films in work go on.", "Otherwise the runbooks [film-failed](film-failed.md) and [film-late](film-late.md)."},
	},
	{
		Name: "FilmsMissGoalSlowly", Severity: Info,
		Expr: `namespace:aifilm_films_missed:ratio_3d > 0.05
and namespace:aifilm_films_missed:ratio_6h > 0.05
and on (namespace) ` + ended("3d") + ` >= 10`,
		Summary: `{{ $value | humanizePercentage }} of the films of three days failed or were late in {{ $labels.namespace }}`,
		Meaning: "More than 5 % of the films fail or come late, today as in the days before: the goal of four weeks will be missed.",
		Look:    []string{"The list of films: what the failed ones have in common.", dashStudio},
		Mend:    []string{"As of [films-miss-goal](films-miss-goal.md), without hurry."},
	},
	{
		Name: "NoFilms", Severity: Page, For: "10m",
		Expr: `max by (namespace) (aifilm_film_oldest_waiting_seconds) > 1800
unless on (namespace) max by (namespace) (sum by (namespace, pod) (aifilm_films{state=~"planning|shooting|cutting"})) > 0`,
		Summary: `A brief has waited for {{ $value | humanizeDuration }} and nothing is made in {{ $labels.namespace }}`,
		Meaning: "Briefs wait, and no film is in work: Dagster's sensor doesn't launch runs, or their pods don't start.",
		Look: []string{"`kubectl get pods -l app.kubernetes.io/component=dagster`: the daemon runs the sensor `films`; there is exactly one.",
			"Dagster's page: whether the sensor is on and what its last tick says, and whether runs are queued.",
			"`kubectl get jobs,pods`: pods of runs that are pending (quota, nodes, volumes) or can't pull their image."},
		Mend: []string{"`kubectl rollout restart deployment dagster-daemon`; nothing is lost, the rows are the queue.",
			"Pods that are pending say in their events what is missing."},
	},
	{
		Name: "QueueStuck", Severity: Page, For: "5m",
		Expr: `max by (namespace, service) (aifilm_queue_oldest_seconds) > 1200
unless on (namespace, service) sum by (namespace, service) (increase(aifilm_jobs_total[20m])) > 0`,
		Summary: `{{ $labels.service }}: the oldest job is {{ $value | humanizeDuration }} old and none has ended for 20 minutes`,
		Meaning: "A service holds jobs, and none of them has ended for 20 minutes, which is more than JOB_TIMEOUT lets a job take. Films that need it stand still.",
		Look: []string{"`kubectl top pod` and the dashboard *Service*: does it compute at all?",
			podsLogs, "For comfyui: the relay's `/servers`, and [backend-lost](backend-lost.md)."},
		Mend: []string{"`kubectl delete pod` of the replica: whoever asked asks again, and nothing is half-written.",
			"Where jobs are that long on purpose: `JOB_TIMEOUT` of the service."},
	},
	{
		Name: "BackendLost", Severity: Page, For: "3m",
		Expr: `max by (namespace) (aifilm_comfyui_backends_known) - max by (namespace) (aifilm_comfyui_backends_ready) > 0
or max by (namespace) (aifilm_comfyui_queue_length) > 0 unless on (namespace) max by (namespace) (aifilm_comfyui_backends_ready) > 0`,
		Summary: `A ComfyUI server is gone in {{ $labels.namespace }}`,
		Meaning: "A server that draws doesn't answer, or prompts wait and there is none at all. The relay gives what the server had to the others; with none left, films wait.",
		Look: []string{"The relay's `/servers` (or `ai-film remote status`): which server, and why.",
			"`kubectl describe pod comfyui-0`: out of memory, no GPU, models that are still loaded.",
			"A remote GPU: the notebook's session may have ended, or its tunnel."},
		Mend: []string{"A pod: its events say what it lacks. More GPU memory: a smaller checkpoint, or smaller pictures.",
			"A remote one: start the notebook again (docs/remote-gpu.md), or take the server away: `ai-film remote release`.",
			"Meanwhile `processing.comfyui.remote.fallbackAfter` lets the preview draw."},
	},
	{
		Name: "VolumeFull", Severity: Page, For: "5m",
		Expr: `min by (namespace, volume) (predict_linear(aifilm_volume_free_bytes[6h], 86400)) < 0
  and min by (namespace, volume) (aifilm_volume_free_bytes / aifilm_volume_size_bytes) < 0.4
  and min by (namespace, volume) (aifilm_volume_free_bytes offset 1h) > 0
or min by (namespace, volume) (aifilm_volume_free_bytes / aifilm_volume_size_bytes) < 0.05
or min by (namespace, persistentvolumeclaim) (predict_linear(kubelet_volume_stats_available_bytes{` + Namespace + `,persistentvolumeclaim!~".*(images|videos)-pvc"}[6h], 86400)) < 0
  and min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{` + Namespace + `} / kubelet_volume_stats_capacity_bytes{` + Namespace + `}) < 0.4
  and min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{` + Namespace + `} offset 1h) > 0
or min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{` + Namespace + `,persistentvolumeclaim!~".*(images|videos)-pvc"} / kubelet_volume_stats_capacity_bytes{` + Namespace + `}) < 0.05`,
		Summary: `The volume {{ or $labels.volume $labels.persistentvolumeclaim }} of {{ $labels.namespace }} will be full within a day, or is`,
		Meaning: "At the pace of the last six hours, of which one at least must be known, the volume is full within a day, or less than 5 % of it is free. A film that would not fit is refused at its submission (507); one in work waits for room.",
		Look: []string{"The dashboard *Volumes and databases*: which volume, and since when.",
			"`kubectl exec deploy/flask -- du -xs /data/videos/films/* | sort -n | tail`: the largest films."},
		Mend: []string{"Delete films that nobody needs, or set `RETENTION_DAYS`, `RETENTION_BYTES` or `RETENTION_FILMS=oldest` of Flask.",
			"A larger claim: `storage.<volume>.size`, where the class allows volumes to grow.",
			"postgres-pvc: see that nothing holds transactions open (`pg_stat_activity`), then grow it."},
	},
	{
		Name: "BackupOld", Severity: Page, For: "10m",
		Expr: `time() - max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{` + Namespace + `,cronjob=~".*backup"})
  > 3600 + 2 * (
    max by (namespace, cronjob) (kube_cronjob_next_schedule_time{` + Namespace + `}) - max by (namespace, cronjob) (kube_cronjob_status_last_schedule_time{` + Namespace + `})
  )
or time() - max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{` + Namespace + `,cronjob=~".*backup"}) > 8 * 86400
or time() - max by (namespace, cronjob) (kube_cronjob_created{` + Namespace + `,cronjob=~".*backup"}) > 2 * 86400
  unless on (namespace, cronjob) kube_cronjob_status_last_successful_time{` + Namespace + `}
or max by (namespace, cronjob) (kube_cronjob_spec_suspend{` + Namespace + `,cronjob=~".*backup"}) > 0`,
		Summary: `The backup {{ $labels.cronjob }} of {{ $labels.namespace }} is older than its schedule, or is suspended`,
		Meaning: "There is one PostgreSQL and no replica: what the last backup doesn't hold is lost with its volume. The newest one is more than twice its interval old, none was ever made, or the CronJob is suspended.",
		Look: []string{"`kubectl get cronjob,jobs -l app.kubernetes.io/component=backup`, then `kubectl logs` of the newest Job.",
			"Whether the repository can be reached and has room (docs/backup.md)."},
		Mend: []string{"`kubectl create job --from=cronjob/backup backup-now`, once the cause is mended.",
			"`kubectl patch cronjob backup -p '{\"spec\":{\"suspend\":false}}'` where it was suspended."},
	},
	{
		Name: "StudioUnobserved", Severity: Page, For: "5m",
		Expr:    `absent_over_time(aifilm_films{` + Namespace + `}[5m])`,
		Summary: `Nothing is known of the films of {{ $labels.namespace }}`,
		Meaning: "No replica of Flask tells of films: the page is down, PostgreSQL doesn't answer it, or Prometheus doesn't reach it. All other alerts of films are blind meanwhile.",
		Look: []string{"The studio's page. If it says that PostgreSQL does not answer, look there.",
			"`kubectl get pods -l app.kubernetes.io/component=flask`, and Prometheus' page *Targets*.",
			"A NetworkPolicy: `networkPolicy.metricsNamespaces` must name Prometheus' namespace."},
		Mend: []string{"`kubectl rollout restart deployment flask`; for PostgreSQL `kubectl describe pod postgresql-0`."},
	},
	{
		Name: "TargetGone", Severity: Info, For: "10m",
		Expr:    `up{` + Namespace + `} == 0`,
		Summary: `{{ $labels.job }}: {{ $labels.pod }} can't be scraped`,
		Meaning: "A pod is there and its metrics aren't: it hangs, or something stands between it and Prometheus.",
		Look:    []string{"Prometheus' page *Targets*: the error.", "`kubectl port-forward <pod> 8081` and `curl localhost:8081/readyz`."},
		Mend:    []string{"A pod that hangs is restarted by its liveness probe; one that isn't: `kubectl delete pod`."},
	},
	{
		Name: "PodRestarting", Severity: Info,
		Expr:    `sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total{` + Namespace + `}[1h])) > 3`,
		Summary: `{{ $labels.pod }} ({{ $labels.container }}) was restarted {{ $value | humanize }} times within an hour`,
		Meaning: "A container dies again and again. Films survive it, and take longer.",
		Look:    []string{"`kubectl describe pod`: the last state's reason (OOMKilled, Error) and exit code.", "`kubectl logs --previous`."},
		Mend:    []string{"OOMKilled: raise `resources.limits.memory` of the service, or lower `WORKERS`.", "Otherwise the last lines of its log."},
	},
	{
		Name: "DatabaseConnections", Severity: Info, For: "10m",
		Expr:    `sum by (namespace) (pg_stat_activity_count{` + Namespace + `}) / max by (namespace) (pg_settings_max_connections{` + Namespace + `}) > 0.8`,
		Summary: `{{ $value | humanizePercentage }} of PostgreSQL's connections are taken in {{ $labels.namespace }}`,
		Meaning: "With none left, whoever comes next is refused: the page answers 503, and stages wait.",
		Look:    []string{"`SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3`: who holds them."},
		Mend:    []string{"Fewer films at once (`application.dagster.run.maxConcurrent`), fewer `THREADS` of Flask, or more `max_connections`, for which PostgreSQL needs memory."},
	},
	{
		Name: "DatabaseGone", Severity: Info, For: "2m",
		Expr:    `label_replace(pg_up{` + Namespace + `} == 0, "database", "postgresql", "", "") or label_replace(redis_up{` + Namespace + `} == 0, "database", "redis", "", "")`,
		Summary: `{{ $labels.database }} does not answer in {{ $labels.namespace }}`,
		Meaning: "Without PostgreSQL nothing begins and stages wait; without Redis progress comes a second later, and nothing is lost.",
		Look:    []string{"`kubectl describe pod postgresql-0` or `redis-0`, and its log."},
		Mend:    []string{"A full volume: [volume-full](volume-full.md). A volume that isn't attached: its events name the node."},
	},
	{
		Name: "GPUIdle", Severity: Info, For: "15m",
		Expr: `max by (namespace) (aifilm_comfyui_queue_length) > 0
and on () max(DCGM_FI_DEV_GPU_UTIL) < 5`,
		Summary: `Prompts wait in {{ $labels.namespace }} and no GPU works`,
		Meaning: "Prompts are queued, and every GPU that is watched is idle: what is paid for isn't used.",
		Look:    []string{"The relay's `/servers`: does it know the server on the GPU?", "ComfyUI's log: does it load models, or fall back to the CPU?"},
		Mend:    []string{"[backend-lost](backend-lost.md); `kubectl delete pod comfyui-0` for a server that hangs."},
	},
	{
		Name: "GPUMemoryFull", Severity: Info, For: "10m",
		Expr:    `DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE) > 0.95`,
		Summary: `GPU {{ $labels.gpu }} of {{ $labels.Hostname }}: {{ $value | humanizePercentage }} of its memory is taken`,
		Meaning: "The next larger picture, or another model, makes ComfyUI run out of memory or swap to the host's, which is many times slower.",
		Look:    []string{"The dashboard *GPU and nodes*: memory by pod, and whether somebody else uses the GPU."},
		Mend:    []string{"A smaller checkpoint or smaller pictures; `--lowvram` in `processing.comfyui.server.args`; one server a GPU."},
	},
	{
		Name: "GPUHot", Severity: Info, For: "5m",
		Expr:    `DCGM_FI_DEV_GPU_TEMP > 87`,
		Summary: `GPU {{ $labels.gpu }} of {{ $labels.Hostname }} has {{ $value }} °C`,
		Meaning: "Near its limit a GPU lowers its clock, and films take longer.",
		Look:    []string{"`nvidia-smi -q -d TEMPERATURE,PERFORMANCE` on the node: does it slow down?"},
		Mend:    []string{"Air and dust; `nvidia-smi -pl <watts>` lowers the power and costs little pace."},
	},
	{
		Name: "CertificateExpiring", Severity: Info, For: "1h",
		Expr: `certmanager_certificate_expiration_timestamp_seconds{` + Namespace + `} - time() < 14 * 86400
or probe_ssl_earliest_cert_expiry{` + Namespace + `} - time() < 14 * 86400`,
		Summary: `A certificate of {{ $labels.namespace }} ends in {{ $value | humanizeDuration }}`,
		Meaning: "cert-manager renews 30 days before the end: at 14 days that has failed. When it has ended, browsers refuse the page.",
		Look:    []string{"`kubectl describe certificate` and `kubectl get challenges`."},
		Mend:    []string{"Mend what the challenge says, or put a new certificate into the Secret of `ingress.tls`."},
	},
	{
		Name: "PasswordsGuessed", Severity: Info, For: "5m",
		Expr:    `sum by (namespace) (rate(aifilm_flask_passwords_total{outcome!="right"}[10m])) > 0.2`,
		Summary: `{{ $value | humanize }} wrong passwords a second in {{ $labels.namespace }}`,
		Meaning: "Somebody guesses, or a program has an old password. Guesses are slowed for each address and for all together; nobody is locked out.",
		Look:    []string{"Flask's log, `wrong password`: the addresses."},
		Mend:    []string{"A program of yours: give it the password of the Secret `ai-film`.", "Somebody else: shut the address out at the ingress, or put OIDC before the page (`ingress.oidc`)."},
	},
	{
		Name: "PlannerFallsBack", Severity: Info,
		Expr:    `sum by (namespace) (increase(aifilm_planner_fallbacks_total[1h])) > 2`,
		Summary: `The language model did not plan {{ $value | humanize }} films within an hour in {{ $labels.namespace }}`,
		Meaning: "The model's endpoint fails or its budget is spent, and the deterministic planner does the rest: films are made, of plainer plans.",
		Look:    []string{"`planner_note` of the plans, or LangGraph's log: `the deterministic planner takes over`."},
		Mend:    []string{"Key, quota or address of the endpoint (`application.langgraph.openai`); `PLANNER_TOKENS` and `PLANNER_SECONDS` where the budget was spent."},
	},
}

// causes tells which alerts are consequences of which: while one fires, those are not sent.
var causes = []struct {
	cause        string
	consequences []string
}{
	{"StudioUnobserved", []string{"TargetGone", "DatabaseGone", "PodRestarting"}},
	{"VolumeFull", []string{"FilmFailed", "FilmLate", "FilmsMissGoal", "NoFilms", "QueueStuck"}},
	{"BackendLost", []string{"FilmLate", "FilmsMissGoal", "NoFilms", "QueueStuck", "GPUIdle", "TargetGone"}},
	{"QueueStuck", []string{"FilmLate", "FilmsMissGoal", "NoFilms"}},
	{"NoFilms", []string{"FilmLate", "FilmsMissGoal"}},
	{"FilmFailed", []string{"FilmsMissGoal", "FilmsMissGoalSlowly"}},
	{"FilmLate", []string{"FilmsMissGoal", "FilmsMissGoalSlowly"}},
	{"FilmsMissGoal", []string{"FilmsMissGoalSlowly"}},
}

// Inhibition is an inhibit rule of Alertmanager
// (https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings).
type Inhibition struct {
	SourceMatchers []string `json:"source_matchers"`
	TargetMatchers []string `json:"target_matchers"`
	Equal          []string `json:"equal"`
}

// Inhibitions are the inhibit rules by which one cause makes one page.
func Inhibitions() []Inhibition {
	var all []Inhibition
	for _, c := range causes {
		all = append(all, Inhibition{[]string{"alertname=" + c.cause}, []string{"alertname=~" + strings.Join(c.consequences, "|")}, []string{"namespace"}})
	}
	return all
}
