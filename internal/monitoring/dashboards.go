package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Board is a dashboard.
type Board struct {
	File, Title, About string
	Rows               []Row
}

// Row is a heading and the panels below it.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel shows what its queries return: one number each, or lines over time.
type Panel struct {
	Title   string
	Red     string // what it shows, and what to do when it is red
	Unit    string // of Grafana: s, bytes, percentunit …
	Number  bool   // the newest value instead of lines
	Limit   Limit
	Queries []Query
	GPU     bool // has no data without a GPU
}

// Limit is from where on a panel is yellow and red. Below tells that small values are bad. Zero: never.
type Limit struct {
	Yellow, Red float64
	Below       bool
}

// Query is PromQL, in which $namespace stands for the studio's, and how its series are called.
type Query struct{ Expr, Legend string }

func one(expr string) []Query { return []Query{{Expr: expr}} }

func by(label, expr string) []Query { return []Query{{expr, "{{" + label + "}}"}} }

// Boards are all dashboards. Figures of films come from PostgreSQL through every replica of Flask alike: `max`, not `sum`.
var Boards = []Board{
	{"studio", "ai-film: Studio", "What a film maker asks: is it healthy, when is my film done, what takes so long.", []Row{
		{"Now", []Panel{
			{Title: "In work", Number: true, Red: "Films that are planned, shot or cut. Nothing here while briefs wait: runbook no-films.",
				Queries: one(`max(sum by (pod) (aifilm_films{namespace="$namespace",state=~"planning|shooting|cutting"}))`)},
			{Title: "Waiting", Number: true, Limit: Limit{Yellow: 20, Red: 100}, Red: "Briefs that nothing is made of yet. Red: more come than are made; more replicas of the slowest stage, or another GPU.",
				Queries: one(`max(aifilm_films{namespace="$namespace",state="submitted"})`)},
			{Title: "Oldest waits", Number: true, Unit: "s", Limit: Limit{Yellow: 900, Red: 1800}, Red: "How long the oldest brief has waited. Red: runbook no-films.",
				Queries: one(`max(aifilm_film_oldest_waiting_seconds{namespace="$namespace"})`)},
			{Title: "Late", Number: true, Limit: Limit{Yellow: 1, Red: 1}, Red: "Films that take more than twice their estimate. Red: runbook film-late.",
				Queries: one(`max(aifilm_films_late{namespace="$namespace"})`)},
			{Title: "Next film", Number: true, Unit: "s", Red: "Estimate for a film of the default length that is submitted now: the queue, and the pace of the films before. Never red; long: see the stages below.",
				Queries: one(`max(aifilm_film_estimate_seconds{namespace="$namespace"})`)},
			{Title: "Goal missed, 3 days", Number: true, Unit: "percentunit", Limit: Limit{Yellow: 0.03, Red: 0.05}, Red: "Share of the films that failed or were late; the goal is 5 % at most. Red: runbook films-miss-goal-slowly.",
				Queries: one(`max(namespace:aifilm_films_missed:ratio_3d{namespace="$namespace"}) or vector(0)`)},
		}},
		{"Films", []Panel{
			{Title: "Films by state", Red: "How many films there are in each state. Waiting ones that only grow: more replicas, or another GPU.",
				Queries: by("state", `max by (state) (aifilm_films{namespace="$namespace"})`)},
			{Title: "Submitted and ended, an hour", Red: "What comes in and what goes out. Failed ones: runbook film-failed; late ones: film-late.", Queries: []Query{
				{`max(increase(aifilm_films_submitted_total{namespace="$namespace"}[1h]))`, "submitted"},
				{`max by (outcome) (increase(aifilm_films_ended_total{namespace="$namespace"}[1h]))`, "{{outcome}}"}}},
			{Title: "A film waits and takes", Unit: "s", Red: "Median and 90th percentile of a day, from the submission to the first step and from there to the video. Waiting grows: films are made one after the other, raise application.dagster.run.maxConcurrent, or replicas. Making grows: the stages below say which.", Queries: []Query{
				{quantile(0.5, "aifilm_film_wait_seconds", "1d", ""), "waits, half"}, {quantile(0.9, "aifilm_film_wait_seconds", "1d", ""), "waits, 90 %"},
				{quantile(0.5, "aifilm_film_seconds", "1d", ""), "takes, half"}, {quantile(0.9, "aifilm_film_seconds", "1d", ""), "takes, 90 %"}}},
			{Title: "GPU seconds a film", Unit: "s", GPU: true, Red: "Seconds for which GPUs drew, for each film that was done, over a day. It grows with the size and length of films and with retakes.",
				Queries: one(`sum(increase(aifilm_comfyui_drawing_seconds_total{namespace="$namespace",gpu="true"}[1d])) / (max(sum by (pod) (increase(aifilm_films_ended_total{namespace="$namespace",outcome=~"on_time|late"}[1d]))) > 0)`)},
		}},
		{"Stages", []Panel{
			{Title: "Seconds of work a second of film", Unit: "s", Red: "What a second of finished film costs in each stage, over a day. The largest one is the one to give replicas or a GPU.",
				Queries: by("stage", `max by (stage) (increase(aifilm_stage_seconds_sum{namespace="$namespace"}[1d])) / ignoring (stage) group_left () (max(increase(aifilm_film_footage_seconds_total{namespace="$namespace"}[1d])) > 0)`)},
			{Title: "A stage takes, 90 %", Unit: "s", Red: "90th percentile of an hour. One that grows while its queue doesn't: its service is starved, see the dashboard Service.",
				Queries: by("stage", `histogram_quantile(0.9, max by (stage, le) (rate(aifilm_stage_seconds_bucket{namespace="$namespace"}[1h])))`)},
			{Title: "Stages at work and waiting", Red: "Stages under way by service. Waiting ones wait for a service that is away, full or out of disk: the film's page says for what.",
				Queries: []Query{{`max by (service, state) (aifilm_stages{namespace="$namespace"})`, "{{service}} {{state}}"}}},
			{Title: "From parts made before", Unit: "percentunit", Red: "Share of the stages of a day that needed no work, since the same had been made before. None after an upgrade of ComfyUI, Blender, OpenCV or FFmpeg is right.",
				Queries: by("stage", `max by (stage) (increase(aifilm_stages_ended_total{namespace="$namespace",outcome="cached"}[1d])) / (max by (stage) (sum by (stage, pod) (increase(aifilm_stages_ended_total{namespace="$namespace"}[1d]))) > 0)`)},
			{Title: "Doubtful shots, a day", Red: "Shots that the inspection doubted, by the reason. Many torn or without depth: other moves, or a lower strength; black or frozen: look at ComfyUI's stills.",
				Queries: by("why", `max by (why) (increase(aifilm_shots_doubtful_total{namespace="$namespace"}[1d]))`)},
			{Title: "Retakes, a day", Red: "Shots that were taken anew, each up to three times. They cost as much as the first take.",
				Queries: one(`max(increase(aifilm_shots_retaken_total{namespace="$namespace"}[1d]))`)},
		}},
		{"Planner", []Panel{
			{Title: "Tokens, an hour", Red: "Tokens that questions and answers took. More than PLANNER_TOKENS a film isn't spent.",
				Queries: one(`sum(increase(aifilm_planner_tokens_total{namespace="$namespace"}[1h]))`)},
			{Title: "Cost, 30 days", Number: true, Red: "Tokens times PLANNER_PRICE, which is for a million; 0 where no price was set. Too much: a smaller model, or none.",
				Queries: one(`sum(increase(aifilm_planner_cost_total{namespace="$namespace"}[30d]))`)},
			{Title: "Model answers and fall-backs, an hour", Red: "How the model's endpoint answers, and plans that the deterministic planner had to finish: runbook planner-falls-back.", Queries: []Query{
				{`sum by (outcome) (increase(aifilm_planner_answers_total{namespace="$namespace"}[1h]))`, "{{outcome}}"},
				{`sum(increase(aifilm_planner_fallbacks_total{namespace="$namespace"}[1h]))`, "fall-backs"}}},
		}},
	}},
	{"service", "ai-film: Service", "Rate, errors and duration of each service, its queue and its jobs.", []Row{
		{"Requests", []Panel{
			{Title: "Requests a second", Unit: "reqps", Red: "Answers by service. Never red; none from a service that works: runbook target-gone.",
				Queries: by("service", `sum by (service) (rate(aifilm_http_requests_total{namespace="$namespace"}[5m]))`)},
			{Title: "Errors", Unit: "percentunit", Limit: Limit{Yellow: 0.01, Red: 0.05}, Red: "Share of the answers that are 5xx. Red: the service's log, level ERROR; a dependency may be away (/readyz names it).",
				Queries: by("service", `(sum by (service) (rate(aifilm_http_requests_total{namespace="$namespace",status=~"5.."}[5m])) or 0 * sum by (service) (rate(aifilm_http_requests_total{namespace="$namespace"}[5m]))) / (sum by (service) (rate(aifilm_http_requests_total{namespace="$namespace"}[5m])) > 0)`)},
			{Title: "Refused", Unit: "reqps", Red: "4xx by status. 401: a wrong token or password; 429: a full queue, more replicas; 507: no room, runbook volume-full.",
				Queries: []Query{{`sum by (service, status) (rate(aifilm_http_requests_total{namespace="$namespace",status=~"4.."}[5m]))`, "{{service}} {{status}}"}}},
			{Title: "Answers take, 95 %", Unit: "s", Red: "95th percentile by route; a job's stream lasts as long as the job. The page's routes beyond a second: PostgreSQL is slow, or Flask lacks CPU.",
				Queries: []Query{{`histogram_quantile(0.95, sum by (service, route, le) (rate(aifilm_http_request_seconds_bucket{namespace="$namespace"}[5m])))`, "{{service}} {{route}}"}}},
		}},
		{"Jobs", []Panel{
			{Title: "Queue", Limit: Limit{Yellow: 8, Red: 15}, Red: "Jobs that wait or run. Red: more replicas of the service (its autoscaler follows this), or fewer films at once.", Queries: []Query{
				{`sum by (service) (aifilm_queue_length{namespace="$namespace"})`, "{{service}}"},
				{`max(aifilm_comfyui_queue_length{namespace="$namespace"})`, "comfyui"}, {`max(aifilm_comfyui_preview_queue_length{namespace="$namespace"})`, "preview"}}},
			{Title: "Oldest job", Unit: "s", Limit: Limit{Yellow: 600, Red: 1200}, Red: "Since when the oldest job is there. Red: runbook queue-stuck.",
				Queries: by("service", `max by (service) (aifilm_queue_oldest_seconds{namespace="$namespace"})`)},
			{Title: "Jobs ended, an hour", Red: "By service and state. Failed ones: its log names the problem of each; cached ones cost nothing.",
				Queries: []Query{{`sum by (service, state) (increase(aifilm_jobs_total{namespace="$namespace"}[1h]))`, "{{service}} {{state}}"}}},
			{Title: "A job takes, 90 %", Unit: "s", Red: "90th percentile of an hour by operation. Growing without larger films: the pod lacks CPU, see the dashboard GPU and nodes.",
				Queries: []Query{{`histogram_quantile(0.9, sum by (service, operation, le) (rate(aifilm_job_seconds_bucket{namespace="$namespace"}[1h])))`, "{{service}} {{operation}}"}}},
		}},
		{"ComfyUI's relay", []Panel{
			{Title: "Servers", Red: "Servers known and those that answer. Fewer answer than are known: runbook backend-lost.", Queries: []Query{
				{`max(aifilm_comfyui_backends_known{namespace="$namespace"})`, "known"}, {`max(aifilm_comfyui_backends_ready{namespace="$namespace"})`, "answer"},
				{`max(aifilm_comfyui_fallback{namespace="$namespace"})`, "fall-back draws"}}},
			{Title: "Prompts", Red: "On a server, and those that no server has. The latter while servers are there: they shun a prompt that failed; the relay's log says why.", Queries: []Query{
				{`max(aifilm_comfyui_queue_length{namespace="$namespace"}) - sum(aifilm_comfyui_waiting_prompts{namespace="$namespace"})`, "in flight"},
				{`sum(aifilm_comfyui_waiting_prompts{namespace="$namespace"})`, "waiting"}}},
			{Title: "Given to another server, an hour", Limit: Limit{Yellow: 3, Red: 10}, Red: "Prompts that were lost with their server and given to another. Red: servers die, mostly of memory; the StatefulSet's events.",
				Queries: one(`sum(increase(aifilm_comfyui_resubmitted_total{namespace="$namespace"}[1h]))`)},
			{Title: "Registrations, a day", Red: "What remote GPUs ask of the bridge, and what became of it. Refused ones: a wrong secret or clock (docs/remote-gpu.md).",
				Queries: []Query{{`sum by (act, result) (increase(aifilm_bridge_registrations_total{namespace="$namespace"}[1d]))`, "{{act}} {{result}}"}}},
		}},
		{"The page", []Panel{
			{Title: "Followers", Limit: Limit{Yellow: 16, Red: 22}, Red: "Open streams of progress in the fullest replica, each of which holds a thread. Red: more replicas of Flask, or more THREADS.",
				Queries: one(`max(aifilm_flask_followers{namespace="$namespace"})`)},
			{Title: "Passwords, an hour", Red: "Right, wrong, and slowed ones that were not looked at. Many wrong: runbook passwords-guessed.",
				Queries: by("outcome", `sum by (outcome) (increase(aifilm_flask_passwords_total{namespace="$namespace"}[1h]))`)},
		}},
	}},
	{"gpu-and-nodes", "ai-film: GPU and nodes", "CPU, memory, GPU and GPU memory by pod.", []Row{
		{"Pods", []Panel{
			{Title: "CPU by pod", Red: "Cores. At its limit (the next panel): raise it, or add replicas.",
				Queries: by("pod", `sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="$namespace",container!=""}[5m]))`)},
			{Title: "Throttled", Unit: "percentunit", Limit: Limit{Yellow: 0.25, Red: 0.5}, Red: "Share of the time slices in which a container wanted more CPU than its limit. Red: raise resources.limits.cpu, or take it away.",
				Queries: by("pod", `sum by (pod) (rate(container_cpu_cfs_throttled_periods_total{namespace="$namespace"}[5m])) / (sum by (pod) (rate(container_cpu_cfs_periods_total{namespace="$namespace"}[5m])) > 0)`)},
			{Title: "Memory of its limit", Unit: "percentunit", Limit: Limit{Yellow: 0.8, Red: 0.95}, Red: "Working set, of the pod's limit. Red: it is about to be killed; raise resources.limits.memory, or lower WORKERS.",
				Queries: by("pod", `sum by (pod) (container_memory_working_set_bytes{namespace="$namespace",container!=""}) / (sum by (pod) (kube_pod_container_resource_limits{namespace="$namespace",resource="memory"}) > 0)`)},
			{Title: "Restarts, an hour", Limit: Limit{Yellow: 1, Red: 3}, Red: "How often containers were restarted. Red: runbook pod-restarting.",
				Queries: by("pod", `sum by (pod) (increase(kube_pod_container_status_restarts_total{namespace="$namespace"}[1h]))`)},
			{Title: "Service processes", Unit: "bytes", Red: "Resident memory of our services' processes, as they tell it themselves. One that grows for days leaks: tell us.",
				Queries: by("pod", `sum by (pod) (process_resident_memory_bytes{namespace="$namespace"})`)},
			{Title: "Pods that aren't ready", Number: true, Limit: Limit{Yellow: 1, Red: 1}, Red: "Pods of the studio that don't answer yet, or no more. Red: kubectl describe pod says what they wait for.",
				Queries: one(`count(kube_pod_status_ready{namespace="$namespace",condition="true"} == 0 unless on (pod) kube_pod_status_phase{namespace="$namespace",phase="Succeeded"} == 1) or vector(0)`)},
		}},
		{"Nodes", []Panel{
			{Title: "CPU of the node", Unit: "percentunit", Limit: Limit{Yellow: 0.85, Red: 0.95}, Red: "Share of the node's cores in use. Red for long: fewer replicas, or another node.",
				Queries: []Query{{`1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))`, "{{instance}}"},
					{`sum by (instance) (rate(node_cpu_usage_seconds_total[5m])) / on (instance) max by (instance) (machine_cpu_cores)`, "{{instance}}, by its kubelet"}}},
			{Title: "Memory of the node", Unit: "percentunit", Limit: Limit{Yellow: 0.85, Red: 0.95}, Red: "Share of the node's memory that is taken. Red: pods will be evicted; lower limits or add a node.",
				Queries: []Query{{`1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes`, "{{instance}}"},
					{`max by (instance) (node_memory_working_set_bytes) / on (instance) max by (instance) (machine_memory_bytes)`, "{{instance}}, by its kubelet"}}},
		}},
		{"GPU", []Panel{
			{Title: "GPU", Unit: "percent", GPU: true, Red: "How busy each GPU is. Idle while prompts wait: runbook gpu-idle.",
				Queries: []Query{{`DCGM_FI_DEV_GPU_UTIL`, "{{Hostname}} {{gpu}} {{exported_pod}}"}}},
			{Title: "GPU memory", Unit: "percentunit", GPU: true, Limit: Limit{Yellow: 0.85, Red: 0.95}, Red: "Share of the frame buffer in use, by the pod that has the GPU. Red: runbook gpu-memory-full.",
				Queries: []Query{{`DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)`, "{{Hostname}} {{gpu}} {{exported_pod}}"}}},
			{Title: "GPU temperature", Unit: "celsius", GPU: true, Limit: Limit{Yellow: 80, Red: 87}, Red: "Red: runbook gpu-hot.",
				Queries: []Query{{`DCGM_FI_DEV_GPU_TEMP`, "{{Hostname}} {{gpu}}"}}},
			{Title: "GPU power", Unit: "watt", GPU: true, Red: "What each GPU draws; little while it is busy says that it is slowed down or waits for data.",
				Queries: []Query{{`DCGM_FI_DEV_POWER_USAGE`, "{{Hostname}} {{gpu}}"}}},
		}},
	}},
	{"volumes-and-databases", "ai-film: Volumes and databases", "Room on the volumes, PostgreSQL, Redis and the backup.", []Row{
		{"Volumes", []Panel{
			{Title: "Free", Unit: "percentunit", Limit: Limit{Yellow: 0.2, Red: 0.05, Below: true}, Red: "Share of each volume that is free. Red: runbook volume-full.", Queries: []Query{
				{`min by (volume) (aifilm_volume_free_bytes{namespace="$namespace"} / aifilm_volume_size_bytes{namespace="$namespace"})`, "{{volume}}"},
				{`min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{namespace="$namespace"} / kubelet_volume_stats_capacity_bytes{namespace="$namespace"})`, "{{persistentvolumeclaim}}"}}},
			{Title: "Days left", Unit: "d", Limit: Limit{Yellow: 7, Red: 1, Below: true}, Red: "Until a volume is full, at the pace of the last six hours. Red: runbook volume-full.",
				Queries: by("volume", `clamp_max(namespace_volume:aifilm_volume:days_left{namespace="$namespace"}, 365)`)},
			{Title: "Removed by retention, a day", Unit: "bytes", Red: "What retention has removed, by kind. Nothing while a volume is too full: RETENTION_DAYS and RETENTION_FILMS are off.",
				Queries: by("what", `sum by (what) (increase(aifilm_flask_retention_bytes_total{namespace="$namespace"}[1d]))`)},
			{Title: "Age of the backup", Number: true, Unit: "s", Limit: Limit{Yellow: 129600, Red: 180000}, Red: "Since the last backup that went well. Red: runbook backup-old. Empty where backups are off.",
				Queries: one(`time() - max(kube_cronjob_status_last_successful_time{namespace="$namespace",cronjob=~".*backup"})`)},
		}},
		{"PostgreSQL", []Panel{
			{Title: "Connections", Unit: "percentunit", Limit: Limit{Yellow: 0.6, Red: 0.8}, Red: "Share of max_connections that is taken. Red: runbook database-connections.",
				Queries: one(`sum(pg_stat_activity_count{namespace="$namespace"}) / max(pg_settings_max_connections{namespace="$namespace"})`)},
			{Title: "Size", Unit: "bytes", Red: "Of each database. dagster's grows with runs; those of deleted films are removed.",
				Queries: by("datname", `pg_database_size_bytes{namespace="$namespace",datname=~"studio|langgraph|dagster"}`)},
			{Title: "Transactions a second", Unit: "ops", Red: "Committed and rolled back. Many of the latter: errors in a service's log.", Queries: []Query{
				{`sum(rate(pg_stat_database_xact_commit{namespace="$namespace"}[5m]))`, "committed"}, {`sum(rate(pg_stat_database_xact_rollback{namespace="$namespace"}[5m]))`, "rolled back"}}},
			{Title: "Up", Number: true, Limit: Limit{Yellow: 1, Red: 1, Below: true}, Red: "Red: the database doesn't answer, runbook database-gone.", Queries: []Query{
				{`min(pg_up{namespace="$namespace"})`, "PostgreSQL"}, {`min(redis_up{namespace="$namespace"})`, "Redis"}}},
		}},
		{"Redis", []Panel{
			{Title: "Memory of Redis", Unit: "percentunit", Limit: Limit{Yellow: 0.8, Red: 1.01}, Red: "Of maxmemory. Full is fine, the oldest progress goes; red can't be, and then data.redis.maxmemory is above the limit of the container.",
				Queries: one(`max(redis_memory_used_bytes{namespace="$namespace"}) / (max(redis_memory_max_bytes{namespace="$namespace"}) > 0)`)},
			{Title: "Evicted, an hour", Red: "Keys that had to go for new ones. Many: films' progress is lost for those who open the page later; raise data.redis.maxmemory.",
				Queries: one(`sum(increase(redis_evicted_keys_total{namespace="$namespace"}[1h]))`)},
		}},
	}},
}

// quantile is a quantile of a histogram that all replicas tell alike.
func quantile(q float64, histogram, window, label string) string {
	return fmt.Sprintf(`histogram_quantile(%g, max by (%sle) (rate(%s_bucket{namespace="$namespace"}[%s])))`, q, label, histogram, window)
}

// Dashboards returns the dashboards as Grafana imports them: name → JSON.
func Dashboards() (map[string][]byte, error) {
	made := map[string][]byte{}
	for _, b := range Boards {
		built, err := b.build()
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", b.File, err)
		}
		data, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return nil, err
		}
		made[b.File] = append(data, '\n')
	}
	return made, nil
}

var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

func (b Board) build() (dashboard.Dashboard, error) {
	d := dashboard.NewDashboardBuilder(b.Title).Uid("ai-film-"+b.File).Description(b.About).Tags([]string{"ai-film"}).
		Time("now-6h", "now").Refresh("30s").Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("namespace").Label("Studio").Datasource(source).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(aifilm_films, namespace)")}).
			Refresh(dashboard.VariableRefreshOnDashboardLoad))
	id := uint32(0)
	for _, r := range b.Rows {
		id++
		d.WithRow(dashboard.NewRowBuilder(r.Title).Id(id))
		for _, p := range r.Panels {
			id++
			d.WithPanel(p.build(id))
		}
	}
	return d.Build()
}

func (p Panel) build(id uint32) cog.Builder[dashboard.Panel] {
	queries := make([]*prometheus.DataqueryBuilder, len(p.Queries))
	for i, q := range p.Queries {
		queries[i] = prometheus.NewDataqueryBuilder().Expr(q.Expr).LegendFormat(q.Legend).RefId(string(rune('A' + i))).Datasource(source)
		if p.Number {
			queries[i].Instant()
		} else {
			queries[i].Range()
		}
	}
	if p.Number {
		s := stat.NewPanelBuilder().Id(id).Title(p.Title).Description(p.Red).Datasource(source).Unit(p.unit()).NoValue("none yet").Height(4).Span(4).
			Thresholds(p.Limit.thresholds()).GraphMode(common.BigValueGraphModeNone).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
		for _, q := range queries {
			s.WithTarget(q)
		}
		return s
	}
	t := timeseries.NewPanelBuilder().Id(id).Title(p.Title).Description(p.Red).Datasource(source).Unit(p.unit()).NoValue("none yet").Height(8).Span(12).Min(0).
		Thresholds(p.Limit.thresholds()).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{"lastNotNull"})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.Limit != (Limit{}) {
		t.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	for _, q := range queries {
		t.WithTarget(q)
	}
	return t
}

func (p Panel) unit() string {
	if p.Unit == "" {
		return "short"
	}
	return p.Unit
}

func (l Limit) thresholds() *dashboard.ThresholdsConfigBuilder {
	steps := []dashboard.Threshold{{Color: "green"}}
	switch {
	case l == Limit{}:
	case l.Below:
		steps = []dashboard.Threshold{{Color: "red"}, {Value: cog.ToPtr(l.Red), Color: "yellow"}, {Value: cog.ToPtr(l.Yellow), Color: "green"}}
	default:
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(l.Yellow), Color: "yellow"}, dashboard.Threshold{Value: cog.ToPtr(l.Red), Color: "red"})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

// InNamespace is a query as it is asked for one studio.
func (q Query) InNamespace(namespace string) string {
	return strings.ReplaceAll(q.Expr, "$namespace", namespace)
}
