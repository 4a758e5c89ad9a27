package charttest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ai-film/ai-film/charttest"
)

// A miss ends the subtest that asked, not the test that made the render: with
// that over, as parents of parallel subtests are, the program would panic.
func TestGetEndsTheTestThatAsks(t *testing.T) {
	if os.Getenv("CHARTTEST_MISS") != "" {
		r := charttest.MustLoad(t, unpack(t, "cinema")).MustRender(t)
		t.Run("miss", func(t *testing.T) {
			t.Parallel()
			charttest.Get[*appsv1.Deployment](t, r, "odeon")
		})
		t.Run("hit", func(t *testing.T) {
			t.Parallel()
			charttest.Get[*appsv1.Deployment](t, r, "release-name")
		})
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program, "-test.run=^TestGetEndsTheTestThatAsks$", "-test.v")
	cmd.Env = append(os.Environ(), "CHARTTEST_MISS=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.NotContains(t, string(out), "panic")
	require.Contains(t, string(out), "--- FAIL: TestGetEndsTheTestThatAsks/miss")
	require.Contains(t, string(out), "--- PASS: TestGetEndsTheTestThatAsks/hit")
	require.Regexp(t, `api_test.go:\d+: no \*v1.Deployment "odeon" was rendered; there are: Deployment/release-name`, string(out))
}

// film is a custom resource with a Go type.
type film struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Minutes int `json:"minutes"`
	} `json:"spec"`
}

func (f *film) DeepCopyObject() runtime.Object { g := *f; return &g }

func addFilms(s *runtime.Scheme) error {
	s.AddKnownTypeWithName(schema.GroupVersionKind{Group: "cinema.example", Version: "v1", Kind: "Film"}, &film{})
	return nil
}

func TestTypesOfCustomResources(t *testing.T) {
	dir := unpack(t, "cinema")
	write := func(spec string) {
		text := "apiVersion: cinema.example/v1\nkind: Film\nmetadata: {name: nosferatu}\nspec:\n  " + spec + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "templates", "film.yaml"), []byte(text), 0o644))
	}
	write("minutes: 94")
	r := charttest.MustLoad(t, dir, charttest.Types(addFilms)).MustRender(t)
	require.Equal(t, 94, charttest.Get[*film](t, r, "nosferatu").Spec.Minutes)

	write("minuts: 94")
	_, err := charttest.MustLoad(t, dir, charttest.Types(addFilms)).Render(t.Context())
	var strict *charttest.StrictError
	require.ErrorAs(t, err, &strict)
	require.Equal(t, dir+`/templates/film.yaml:5: Film/nosferatu: unknown field "spec.minuts"`, err.Error())

	r = charttest.MustLoad(t, dir).MustRender(t) // other charts don't know the type
	_, err = charttest.Find[*film](r, "nosferatu")
	var missing *charttest.MissingError
	require.ErrorAs(t, err, &missing)
	charttest.Get[*unstructured.Unstructured](t, r, "Film/nosferatu")

	wrong := errors.New("no such types")
	_, err = charttest.Load(dir, charttest.Types(func(*runtime.Scheme) error { return wrong }))
	require.ErrorIs(t, err, wrong)
}

func TestGettersFetchValues(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema"), charttest.Getter("archive", func(url string) ([]byte, error) {
		if url != "archive://films/large.yaml" {
			return nil, fmt.Errorf("the archive has no %s", url)
		}
		return []byte("screens: 7\n"), nil
	}))
	r := chart.MustRender(t, charttest.Files("archive://films/large.yaml"))
	require.EqualValues(t, 7, r.Values()["screens"])
	for file, says := range map[string]string{"archive://films/small.yaml": "the archive has no archive://films/small.yaml", "https://example.com/v.yaml": "give Load the Getter of its scheme"} {
		_, err := chart.Render(t.Context(), charttest.Files(file))
		var values *charttest.ValuesError
		require.ErrorAs(t, err, &values)
		require.Equal(t, file, values.Source)
		require.ErrorContains(t, err, says)
	}
}

func TestCoverageRequired(t *testing.T) {
	dir := unpack(t, "cinema")
	chart := charttest.MustLoad(t, dir)
	coverage, err := chart.Cover(t.Context(), chart.MustRender(t))
	require.NoError(t, err)
	share := coverage.Branches()
	require.Greater(t, share.Percent(), 10.0)
	require.Less(t, share.Percent(), 100.0)

	var passes, fails recorder
	coverage.Require(&passes, share.Percent())
	require.Empty(t, passes.said)
	coverage.Require(&fails, 100)
	require.Contains(t, fails.said, "template branches taken: "+share.String()+", want 100.0%")
	require.Contains(t, fails.said, dir+"/templates/", "the branches are named by line")
	require.Contains(t, fails.said, "never taken: ")
}

// Each version of Helm has its own bytes; the commands' tests compare all of
// them with Helm's programs.
func TestHelm4(t *testing.T) {
	dir := unpack(t, "cinema")
	text := "kind: ConfigMap\napiVersion: v1\nmetadata: {name: about}\ndata: {chart: {{ kindOf .Chart | quote }}, helm: {{ .Capabilities.HelmVersion.Version }}, gone: {{ hasKey .Values \"gone\" | quote }}}\n\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "templates", "about.yaml"), []byte(text), 0o644))
	values, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "values.yaml"), append(values, "gone: null\n"...), 0o644))
	for major, want := range map[int]map[string]string{
		3: {"chart": "struct", "helm": "v3.22", "gone": "true"},
		4: {"chart": "map", "helm": "v4.3", "gone": "false"},
	} {
		r := charttest.MustLoad(t, dir, charttest.Helm(major)).MustRender(t)
		require.Equal(t, want, charttest.Get[*corev1.ConfigMap](t, r, "about").Data)
	}
	_, err = charttest.Load(dir, charttest.Helm(2))
	require.ErrorContains(t, err, "there is no Helm 2")
}
