package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign is what rules and panels read of exporters that aren't ours: metric → who exports it.
var foreign = map[string]string{
	"up":                            "Prometheus",
	"process_resident_memory_bytes": "the client libraries of our services",

	"container_cpu_usage_seconds_total":                    "kubelet",
	"container_cpu_cfs_periods_total":                      "kubelet",
	"container_cpu_cfs_throttled_periods_total":            "kubelet",
	"container_memory_working_set_bytes":                   "kubelet",
	"kubelet_volume_stats_available_bytes":                 "kubelet",
	"kubelet_volume_stats_capacity_bytes":                  "kubelet",
	"kube_cronjob_created":                                 "kube-state-metrics",
	"kube_cronjob_next_schedule_time":                      "kube-state-metrics",
	"kube_cronjob_spec_suspend":                            "kube-state-metrics",
	"kube_cronjob_status_last_schedule_time":               "kube-state-metrics",
	"kube_cronjob_status_last_successful_time":             "kube-state-metrics",
	"kube_pod_container_resource_limits":                   "kube-state-metrics",
	"kube_pod_container_status_restarts_total":             "kube-state-metrics",
	"kube_pod_status_phase":                                "kube-state-metrics",
	"kube_pod_status_ready":                                "kube-state-metrics",
	"node_cpu_usage_seconds_total":                         "kubelet",
	"node_memory_working_set_bytes":                        "kubelet",
	"machine_cpu_cores":                                    "kubelet",
	"machine_memory_bytes":                                 "kubelet",
	"node_cpu_seconds_total":                               "node-exporter",
	"node_memory_MemAvailable_bytes":                       "node-exporter",
	"node_memory_MemTotal_bytes":                           "node-exporter",
	"pg_up":                                                "postgres-exporter",
	"pg_stat_activity_count":                               "postgres-exporter",
	"pg_settings_max_connections":                          "postgres-exporter",
	"pg_database_size_bytes":                               "postgres-exporter",
	"pg_stat_database_xact_commit":                         "postgres-exporter",
	"pg_stat_database_xact_rollback":                       "postgres-exporter",
	"redis_up":                                             "redis-exporter",
	"redis_memory_used_bytes":                              "redis-exporter",
	"redis_memory_max_bytes":                               "redis-exporter",
	"redis_evicted_keys_total":                             "redis-exporter",
	"DCGM_FI_DEV_GPU_UTIL":                                 "dcgm-exporter",
	"DCGM_FI_DEV_FB_USED":                                  "dcgm-exporter",
	"DCGM_FI_DEV_FB_FREE":                                  "dcgm-exporter",
	"DCGM_FI_DEV_GPU_TEMP":                                 "dcgm-exporter",
	"DCGM_FI_DEV_POWER_USAGE":                              "dcgm-exporter",
	"certmanager_certificate_expiration_timestamp_seconds": "cert-manager",
	"probe_ssl_earliest_cert_expiry":                       "blackbox-exporter",
}

// use is one selector of a query: its metric, and the labels that are asked of it.
type use struct {
	at, metric string
	labels     []string
}

// uses returns all selectors of all rules and panels, each parsed by Prometheus' own parser.
func uses(t *testing.T) []use {
	t.Helper()
	var all []use
	of := func(at, expr string) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		require.NoError(t, err, "%s: %s", at, expr)
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				u := use{at: at, metric: s.Name}
				for _, m := range s.LabelMatchers {
					if m.Name != labels.MetricName {
						u.labels = append(u.labels, m.Name)
					}
				}
				all = append(all, u)
			}
			return nil
		})
	}
	for _, r := range Recordings {
		of(r.Record, r.Expr)
	}
	for _, a := range Alerts {
		of(a.Name, a.Expr)
	}
	for _, b := range Boards {
		for _, r := range b.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					of(b.File+": "+p.Title, q.InNamespace("ai-film"))
				}
			}
		}
	}
	return all
}

// exported reads what our services export, which their own tests hold them to: metric → labels.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, "services/metrics.txt"))
	require.NoError(t, err)
	found := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(aifilm_\w+)\{([a-z,]*)\} `).FindAllStringSubmatch(string(data), -1) {
		found[m[1]] = strings.Split(m[2], ",")
	}
	require.Greater(t, len(found), 30)
	return found
}

func TestWhatIsReadIsExportedAndWhatIsExportedIsRead(t *testing.T) {
	ours := exported(t)
	read := map[string]bool{}
	for _, u := range uses(t) {
		name := u.metric
		if slices.ContainsFunc(Recordings, func(r Recording) bool { return r.Record == name }) || foreign[name] != "" {
			read[name] = true
			continue
		}
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} { // of a histogram
			if base, ok := strings.CutSuffix(name, suffix); ok && ours[base] != nil {
				name = base
				break
			}
		}
		if !assert.Contains(t, ours, name, "%s reads what nobody exports", u.at) {
			continue
		}
		read[name] = true
		for _, label := range u.labels {
			assert.Contains(t, append([]string{"namespace", "pod", "job", "le"}, ours[name]...), label, "%s asks %s for a label that it hasn't", u.at, name)
		}
	}
	for name := range ours {
		assert.True(t, read[name], "%s is exported, and no rule or panel reads it", name)
	}
	for name, by := range foreign {
		assert.True(t, read[name], "%s of %s is listed, and nothing reads it", name, by)
	}
	for _, r := range Recordings {
		assert.True(t, read[r.Record], "%s is recorded, and nothing reads it", r.Record)
	}
}

// Series that a legend tells apart by a label must have it.
func TestLegendsNameLabelsThatAreThere(t *testing.T) {
	for _, b := range Boards {
		for _, r := range b.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.Legend, -1) {
						if strings.Contains(q.Expr, " by (") {
							assert.Regexp(t, `by \([^)]*\b`+m[1]+`\b`, q.Expr, "%s: %s", b.Title, p.Title)
						}
					}
					if len(p.Queries) > 1 {
						assert.NotEmpty(t, q.Legend, "%s: %s: several queries want a legend each", b.Title, p.Title)
					}
				}
			}
		}
	}
}

// A rule of one studio must not speak of another's: what whole clusters export is asked for by namespace.
func TestRulesKeepToTheirNamespace(t *testing.T) {
	cluster := []string{"kube-state-metrics", "kubelet", "postgres-exporter", "redis-exporter", "cert-manager", "blackbox-exporter"}
	for _, u := range uses(t) {
		whole := strings.HasPrefix(u.metric, "node_") || strings.HasPrefix(u.metric, "machine_") // of a node, whoever uses it
		if slices.Contains(cluster, foreign[u.metric]) && !whole {
			assert.Contains(t, u.labels, "namespace", "%s reads %s", u.at, u.metric)
		}
	}
}
