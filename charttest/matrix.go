package charttest

import (
	"testing"
)

// Matrix renders the chart with each of the profiles for each of the
// Kubernetes versions and calls check with every render, each in a parallel
// subtest called PROFILE/VERSION. Nil profiles are [Chart.Profiles], nil
// versions are [KubeVersions]. A render that fails fails its subtest.
func (c *Chart) Matrix(t *testing.T, profiles []Profile, versions []string, check func(t *testing.T, r *Render)) {
	t.Helper()
	if profiles == nil {
		profiles = c.Profiles()
	}
	if versions == nil {
		versions = KubeVersions
	}
	for _, p := range profiles {
		name := p.Name
		if name == "" {
			name = "default"
		}
		t.Run(name, func(t *testing.T) {
			for _, version := range versions {
				t.Run(version, func(t *testing.T) {
					t.Parallel()
					check(t, c.MustRender(t, p, KubeVersion(version)))
				})
			}
		})
	}
}
