package check

import "github.com/ai-film/ai-film/charttest"

var duplicateObject = &Check{
	Name:   "duplicate-object",
	Why:    "Two objects of one kind and name overwrite each other, or the installation fails.",
	Remedy: "Give one of them another name, or put them under conditions that exclude each other.",
	Run: func(p *Pass) {
		type key struct{ group, kind, namespace, name string }
		first := map[key]*charttest.Object{}
		for _, o := range p.Render.Objects {
			if o.Name == "" || o.Hook != nil {
				continue // hooks may run one after another under one name
			}
			k := key{groupOf(o.APIVersion), o.Kind, "", o.Name}
			if !p.index.clusterScoped(o) {
				k.namespace = p.namespace(o)
			}
			if other := first[k]; other != nil && o.CRD && other.CRD {
				continue // of crds/ Helm installs the first and skips those that are there
			} else if other != nil {
				p.Report(o, "metadata.name", "is made a second time; the first is at %s", other.At("metadata.name"))
				continue
			}
			first[k] = o
		}
	},
}
