// Package charttest renders Helm charts in the test process and checks what
// comes out: typed, strictly decoded and traced back to the line of the
// template that wrote it.
//
//	func TestComfyUI(t *testing.T) {
//		chart := charttest.MustLoad(t, "../../charts/ai-film")
//		r := chart.MustRender(t, charttest.Set("comfyui.mode=gpu"))
//		sts := charttest.Get[*appsv1.StatefulSet](t, r, "comfyui")
//		require.Equal(t, "comfyui", sts.Spec.ServiceName)
//	}
//
// The package reads in the order of a test: a [Chart] is loaded once; a
// [Profile] is a set of values and circumstances to render it with; a [Render]
// is what came out, as [Object] values; and [Chart.Matrix] does it for many
// profiles and Kubernetes versions at once.
//
// What is rendered is what «helm template» of the same Helm version prints,
// byte for byte. Random, certificate and date functions are the exception:
// they return the same for the same seed, so that a test can be repeated.
//
// [Chart.Snapshots] holds every profile against a golden file, and [Render.Diff]
// compares two renders; both by meaning, as package diff does, which also knows
// the changes that the API server would refuse.
//
// Errors are typed: [*LoadError], [*ValuesError], [*SchemaError], [*Failure]
// for templates, and [*StrictError] for objects that the API server would
// refuse or silently cut down.
package charttest
