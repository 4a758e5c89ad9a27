package lost_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/internal/lost"
)

func TestWhatAnUpgradeLoses(t *testing.T) {
	pod := func(spec string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {" + spec + "}}}"
	}
	app := func(rest string) string { return pod("containers: [{name: app, image: a, " + rest + "}]") }
	for name, c := range map[string]struct {
		old, now string
		want     []lost.Item
	}{
		"a variable twice, then once": {app(`env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: A, value: "3"}]`), app(`env: [{name: A, value: "1"}, {name: B, value: "2"}]`),
			[]lost.Item{{"spec.template.spec.containers[0].env[0]", "name=A"}}},
		"the other one stays": {app(`env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: A, value: "3"}]`), app(`env: [{name: B, value: "2"}, {name: A, value: "3"}]`),
			[]lost.Item{{"spec.template.spec.containers[0].env[1]", "name=A"}}},
		"a port of two protocols": {app(`ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]`), app(`ports: [{containerPort: 53, protocol: UDP}]`),
			[]lost.Item{{"spec.template.spec.containers[0].ports[0]", "containerPort=53"}}},
		"a Secret to pull with": {pod(`imagePullSecrets: [{name: a}, {name: b}, {name: a}], containers: [{name: app, image: a}]`), pod(`imagePullSecrets: [{name: a}, {name: b}], containers: [{name: app, image: a}]`),
			[]lost.Item{{"spec.template.spec.imagePullSecrets[0]", "name=a"}}},
		"an alias": {pod(`hostAliases: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.1, hostnames: [b]}], containers: [{name: app, image: a}]`), pod(`hostAliases: [{ip: 10.0.0.1, hostnames: [b]}], containers: [{name: app, image: a}]`),
			[]lost.Item{{"spec.template.spec.hostAliases[0]", "ip=10.0.0.1"}}},
		"a spread of two kinds": {pod(`topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}, {topologyKey: zone, maxSkew: 2, whenUnsatisfiable: ScheduleAnyway}], containers: [{name: app, image: a}]`),
			pod(`topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}], containers: [{name: app, image: a}]`),
			[]lost.Item{{"spec.template.spec.topologySpreadConstraints[0]", "topologyKey=zone"}}},
		"a Service's port": {"apiVersion: v1\nkind: Service\nmetadata: {name: dns}\nspec: {ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53, protocol: TCP}]}", "apiVersion: v1\nkind: Service\nmetadata: {name: dns}\nspec: {ports: [{name: b, port: 53, protocol: TCP}]}",
			[]lost.Item{{"spec.ports[0]", "port=53"}}},
		"a variable of each name":   {app(`env: [{name: A, value: "1"}, {name: B, value: "2"}]`), app(`env: [{name: A, value: "2"}]`), nil},
		"another value of both":     {app(`env: [{name: OPTS, value: "-a"}, {name: OPTS, value: "$(OPTS) -b"}]`), app(`env: [{name: OPTS, value: "-a"}, {name: OPTS, value: "$(OPTS) -b"}, {name: C, value: x}]`), nil},
		"another volume's source":   {pod(`containers: [{name: app, image: a}], volumes: [{name: a, emptyDir: {}}]`), pod(`containers: [{name: app, image: a}], volumes: [{name: a, configMap: {name: b}}]`), nil},
		"containers come and go":    {pod(`containers: [{name: a, image: a}, {name: b, image: b}]`), pod(`containers: [{name: c, image: c}, {name: b, image: b}]`), nil},
		"of a kind that is unknown": {"apiVersion: a.b/v1\nkind: Web\nmetadata: {name: w}\nspec: {env: [{name: A}, {name: A}]}", "apiVersion: a.b/v1\nkind: Web\nmetadata: {name: w}\nspec: {env: [{name: A}]}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(text string) []*unstructured.Unstructured {
				u := new(unstructured.Unstructured)
				require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
				return []*unstructured.Unstructured{u}
			}
			d := diff.Objects(object(c.old), object(c.now))
			require.Len(t, d.Objects, 1)
			require.Equal(t, c.want, lost.Items(d.Objects[0]))
		})
	}
}
