package charttest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/ai-film/ai-film/charttest"
)

func TestObjectsAreTypedAndInOrder(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema"))
	r := chart.MustRender(t, charttest.Release("odeon", "town"))

	var names []string
	for _, o := range r.Objects {
		names = append(names, o.String())
	}
	require.Equal(t, []string{"CustomResourceDefinition/films.cinema.example", "Secret/ticket",
		"ConfigMap/projector", "Service/odeon", "Deployment/odeon", "Job/sweep"}, names)

	deployment := charttest.Get[*appsv1.Deployment](t, r, "odeon")
	require.EqualValues(t, 2, *deployment.Spec.Replicas)
	require.Equal(t, "cinema:4.5", deployment.Spec.Template.Spec.Containers[0].Image)
	require.Equal(t, "films.cinema.example", charttest.All[*apiextensionsv1.CustomResourceDefinition](r)[0].Name)
	require.Equal(t, "Lübeck", charttest.Get[*corev1.ConfigMap](t, r, "projector").Data["city"])
	require.Equal(t, "Tonight: Nosferatu.\n", r.Notes)

	sweep := r.Object("Job", "sweep")
	require.Equal(t, &charttest.Hook{Events: []string{"post-install", "post-upgrade"}, Weight: -5}, sweep.Hook)

	_, err := charttest.Find[*batchv1.CronJob](r, "sweep")
	require.ErrorContains(t, err, `no *v1.CronJob "sweep" was rendered; there are: CustomResourceDefinition/films`)

	deployment.Name = "changed"
	require.Equal(t, "odeon", charttest.Get[*appsv1.Deployment](t, r, "odeon").Name, "Get returns a copy")
}

func TestStrictErrorsNameTemplateLineAndField(t *testing.T) {
	dir := unpack(t, "cinema")
	chart := charttest.MustLoad(t, dir)
	r, err := chart.Render(t.Context(), charttest.Set("typo=Always", "unknown.a=b"))
	var strict *charttest.StrictError
	require.ErrorAs(t, err, &strict)
	require.NotNil(t, r)
	require.Len(t, strict.Problems, 2)
	byField := map[string]charttest.Problem{}
	for _, p := range strict.Problems {
		byField[p.Field] = p
	}
	spec := byField["spec.tolerationz"]
	require.Equal(t, dir+`/templates/deployment.yaml:13: Deployment/release-name: unknown field "spec.tolerationz"`, spec.String())
	pull := byField["spec.template.spec.containers[0].imagePullPolicie"]
	require.Equal(t, 18, pull.Place().Line)
	stack := pull.Object.Stack(pull.Field)
	require.Len(t, stack, 2)
	require.Equal(t, dir+"/templates/_helpers.tpl:10", stack[1].String())
	require.Equal(t, "cinema.spec", stack[1].Define)
}

func TestFailures(t *testing.T) {
	dir := unpack(t, "cinema")
	chart := charttest.MustLoad(t, dir)

	_, err := chart.Render(t.Context(), charttest.Set("screens=101"))
	var failure *charttest.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, charttest.Refused, failure.Reason)
	require.Equal(t, "cinema/templates/_helpers.tpl", failure.Template)
	require.Equal(t, 15, failure.Line)
	require.Equal(t, "screens: at most 100, there is no bigger house", failure.Message)
	require.Equal(t, "execution error at (cinema/templates/deployment.yaml:1:4): screens: at most 100, there is no bigger house", failure.Helm())

	_, err = chart.Render(t.Context(), charttest.Set("screens=many", "image.tag=5"))
	var schema *charttest.SchemaError
	require.ErrorAs(t, err, &schema)
	values := map[string]string{}
	for _, v := range schema.Violations {
		values[v.Value] = v.Message
	}
	require.Equal(t, map[string]string{"screens": "got string, want integer", "image.tag": "got number, want string"}, values)

	_, err = charttest.Load(t.TempDir())
	var load *charttest.LoadError
	require.True(t, errors.As(err, &load))
}

func TestMatrix(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema"))
	chart.Matrix(t, nil, []string{"1.36", "1.37"}, func(t *testing.T, r *charttest.Render) {
		want := map[string]int32{"default": 2, "large": 7}[r.Profile.Name]
		require.Equal(t, want, *charttest.Get[*appsv1.Deployment](t, r, "release-name").Spec.Replicas)
	})
}

// A file may have the name that values.yaml alone goes by.
func TestProfileCalledDefault(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema", txtar.File{Name: "ci/default-values.yaml", Data: []byte("screens: 3\n")}))
	var names []string
	for _, p := range chart.Profiles() {
		names = append(names, p.Name)
	}
	require.Contains(t, names, "default")
	require.Equal(t, "values.yaml", names[0])
	require.Len(t, chart.Profile("default").Files, 1)
}
