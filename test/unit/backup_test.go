package unit

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ai-film/ai-film/charttest"
)

func backup(pairs map[string]any) charttest.Option {
	all := map[string]any{"enabled": true, "existingSecret": "backup", "claim": "backups"}
	for key, value := range pairs {
		all[key] = value
	}
	return at("backup", all)
}

func mountsOf(c corev1.Container) map[string]corev1.VolumeMount {
	all := map[string]corev1.VolumeMount{}
	for _, m := range c.VolumeMounts {
		all[m.MountPath] = m
	}
	return all
}

// A backup reads everything a studio is made of and changes none of it; who it is in the cluster may do nothing.
func TestBackups(t *testing.T) {
	assert.Empty(t, charttest.All[*batchv1.CronJob](render(t)), "none without a place and a password")
	r := render(t, backup(map[string]any{"timeZone": "Europe/Berlin", "keep": map[string]any{"daily": 3}}))
	cron := charttest.Get[*batchv1.CronJob](t, r, "backup")
	assert.Equal(t, "17 3 * * *", cron.Spec.Schedule)
	assert.Equal(t, "Europe/Berlin", *cron.Spec.TimeZone)
	assert.Equal(t, batchv1.ForbidConcurrent, cron.Spec.ConcurrencyPolicy)
	spec := cron.Spec.JobTemplate.Spec.Template.Spec
	assert.False(t, *spec.AutomountServiceAccountToken)
	c := spec.Containers[0]
	assert.Equal(t, []string{"run"}, c.Args)
	env := environment(c)
	assert.Equal(t, "/backup", env["RESTIC_REPOSITORY"])
	assert.Equal(t, "secret backup/password", env["RESTIC_PASSWORD"])
	assert.Equal(t, "ai-film/ai-film", env["STUDIO"])
	assert.Equal(t, []string{"0", "3", "4", "6"}, []string{env["KEEP_LAST"], env["KEEP_DAILY"], env["KEEP_WEEKLY"], env["KEEP_MONTHLY"]})
	for _, database := range []string{"studio", "langgraph", "dagster"} {
		assert.Equal(t, "postgresql://"+database+":$("+strings.ToUpper(database)+"_PASSWORD)@postgresql:5432/"+database, env[strings.ToUpper(database)+"_DATABASE_URL"])
	}
	assert.NotContains(t, env, "AWS_ACCESS_KEY_ID")
	mounts := mountsOf(c)
	for path, readOnly := range map[string]bool{"/data/images": true, "/data/videos": true, "/etc/studio/secret": true, "/backup": false, "/tmp": false} {
		require.Contains(t, mounts, path)
		assert.Equal(t, readOnly, mounts[path].ReadOnly, path)
	}
	assert.NotContains(t, mounts, "/data/models", "they can be fetched again")

	r = render(t, backup(map[string]any{"claim": "", "s3": map[string]any{"url": "https://s3.example.com/b/films", "region": "eu"}}))
	c = charttest.Get[*batchv1.CronJob](t, r, "backup").Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	env = environment(c)
	assert.Equal(t, "s3:https://s3.example.com/b/films", env["RESTIC_REPOSITORY"])
	assert.Equal(t, "secret backup/access-key", env["AWS_ACCESS_KEY_ID"])
	assert.Equal(t, "secret backup/secret-key", env["AWS_SECRET_ACCESS_KEY"])
	assert.Equal(t, "eu", env["AWS_DEFAULT_REGION"])
	assert.NotContains(t, mountsOf(c), "/backup")

	// Databases elsewhere are backed up with the same names, certificates and passwords as they are used with.
	r = render(t, backup(nil), charttest.Set("data.postgresql.enabled=false", "global.postgresql.host=db", "global.postgresql.sslMode=verify-full",
		"global.postgresql.caSecret=ca", "global.postgresql.databases.studio.name=films"))
	c = charttest.Get[*batchv1.CronJob](t, r, "backup").Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	assert.Equal(t, "postgresql://studio:$(STUDIO_PASSWORD)@db:5432/films?sslmode=verify-full&sslrootcert=/etc/studio/postgresql/ca.crt", environment(c)["STUDIO_DATABASE_URL"])
	assert.Contains(t, mountsOf(c), "/etc/studio/postgresql")
}

// A restore is a Job that may write films, and lay the page's password over the Secret that the chart made, no other.
func TestRestore(t *testing.T) {
	restored := map[string]any{"restore": map[string]any{"snapshot": "0123456789", "overwrite": true}}
	r := render(t, backup(restored))
	jobs := charttest.All[*batchv1.Job](r)
	require.Len(t, jobs, 1)
	spec := jobs[0].Spec.Template.Spec
	c := spec.Containers[0]
	env := environment(c)
	assert.Equal(t, []string{"restore"}, c.Args)
	assert.Equal(t, "0123456789", env["SNAPSHOT"])
	assert.Equal(t, "true", env["OVERWRITE"])
	assert.Equal(t, "ai-film", env["SECRET"])
	assert.Equal(t, "dagster,dagster-code,dagster-daemon,flask,langgraph,comfyui-relay", env["DEPLOYMENTS"])
	assert.False(t, mountsOf(c)["/data/videos"].ReadOnly)
	assert.Equal(t, "restore", spec.ServiceAccountName)
	assert.True(t, *spec.AutomountServiceAccountToken)
	assert.Equal(t, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"ai-film"}, Verbs: []string{"patch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, ResourceNames: strings.Split(env["DEPLOYMENTS"], ","), Verbs: []string{"patch"}},
	}, charttest.Get[*rbacv1.Role](t, r, "restore").Rules)
	// Every Deployment that is given a database is started anew, no other.
	uses := map[string]bool{}
	for name, w := range workloads(r) {
		if w.kind == "Deployment" {
			for variable, value := range environment(w.container()) {
				uses[name] = uses[name] || strings.HasSuffix(variable, "_URL") && strings.HasPrefix(value, "postgresql://")
			}
			assert.Equal(t, uses[name], slices.Contains(strings.Split(env["DEPLOYMENTS"], ","), name), name)
		}
	}
	other := render(t, backup(map[string]any{"restore": map[string]any{"snapshot": "latest"}}))
	assert.NotEqual(t, jobs[0].Name, charttest.All[*batchv1.Job](other)[0].Name, "Jobs can't be changed")

	// What is the operator's, or derived, is not changed behind their back.
	for _, set := range []string{"global.existingSecret=mine", "global.secretSeed=a text of at least thirty-two characters"} {
		r := render(t, backup(restored), charttest.Set(set))
		spec := charttest.All[*batchv1.Job](r)[0].Spec.Template.Spec
		assert.NotContains(t, environment(spec.Containers[0]), "SECRET")
		require.Len(t, charttest.Get[*rbacv1.Role](t, r, "restore").Rules, 1)
		assert.Equal(t, []string{"deployments"}, charttest.Get[*rbacv1.Role](t, r, "restore").Rules[0].Resources)
	}
}
