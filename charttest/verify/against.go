package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/engine"
	"github.com/ai-film/ai-film/charttest/internal/installed"
	"github.com/ai-film/ai-film/charttest/internal/lost"
)

// immutableField is the rule for changes that the API server refuses.
const immutableField = "immutable-field"

// upgradeLoss is the rule for what upgrades take from lists.
const upgradeLoss = "upgrade-loss"

// Against is what an upgrade starts from: another version of the chart, or a
// release that is installed in a cluster.
type Against struct {
	Chart string // folder or archive of the other version; "" for a release

	Release   string       // name of the release
	Namespace string       // that it is in
	Cluster   *rest.Config // that it is in
}

// nothingAgainst is why there is nothing to compare with.
func nothingAgainst(name string, err error) error {
	return &Error{Source: "--against " + name, Err: err}
}

// Upgrade is what an upgrade to the chart would change.
type Upgrade struct {
	From    string `json:"from"`              // "shop-1.2.0", or "release shop in town, revision 3 (shop-1.2.0)"
	Profile string `json:"profile,omitempty"` // "" for a release, which is rendered with its own values
	Added   int    `json:"added"`
	Changed int    `json:"changed"`
	Removed int    `json:"removed"`
	Kept    int    `json:"kept,omitempty"` // no longer part of the release, but left in the cluster
	// Skipped is why nothing can be said; "" if something is.
	Skipped string        `json:"skipped,omitempty"`
	Objects []diff.Object `json:"objects,omitempty"`
}

// upgrade compares the chart with what an upgrade would start from, and
// reports what the API server would refuse.
func (r *Result) upgrade(ctx context.Context, chart *charttest.Chart, config Config, found *collection) error {
	if config.Against.Chart != "" {
		return r.upgradeChart(ctx, chart, config, found)
	}
	return r.upgradeRelease(ctx, chart, config, found)
}

// upgradeChart compares two versions of a chart, profile by profile: a first
// installation of the old one, and an upgrade to the new one that looks up what
// the old one has made. Random values come from the same seed.
func (r *Result) upgradeChart(ctx context.Context, chart *charttest.Chart, config Config, found *collection) error {
	old, done, err := loadOther(config.Against.Chart, config.as())
	if err != nil {
		return nothingAgainst(config.Against.Chart, err)
	}
	defer done()
	version := r.Versions[len(r.Versions)-1]
	circumstances := charttest.Profile{KubeVersion: version, Lax: true}
	from := old.Name() + "-" + old.Version()
	before := map[string]charttest.Profile{}
	for _, p := range config.ProfilesOf(old) {
		if filesExist(p) {
			before[p.Name] = p
		}
	}
	for _, p := range config.ProfilesOf(chart) {
		u := Upgrade{From: from, Profile: p.Name}
		was, ok := before[p.Name]
		if !ok {
			u.Skipped = "the old version has no such profile"
			r.Upgrades = append(r.Upgrades, u)
			continue
		}
		delete(before, p.Name)
		a, err := old.Render(ctx, was, circumstances)
		if err != nil {
			u.Skipped = "the old version can't be rendered: " + err.Error()
			r.Upgrades = append(r.Upgrades, u)
			continue
		}
		var stored []runtime.Object
		for _, o := range content(a.Objects) {
			stored = append(stored, diff.Stored(o))
		}
		b := r.renderUpgrade(ctx, chart, p, found, circumstances, charttest.Upgrade(), charttest.Lookup(stored...))
		if b == nil {
			u.Skipped = "the new version can't be rendered: see the findings"
			r.Upgrades = append(r.Upgrades, u)
			continue
		}
		crds := func(o *charttest.Object) bool { return o.CRD }
		u.compare(content(without(a.Objects, crds)), content(without(b.Objects, crds)), b)
		u.compareCRDs(content(only(a.Objects, crds)), content(only(b.Objects, crds)))
		r.take(u, b, found)
	}
	for _, name := range sortedKeys(before) {
		r.Upgrades = append(r.Upgrades, Upgrade{From: from, Profile: name, Skipped: "the new version has no such profile"})
	}
	return nil
}

// upgradeRelease compares the chart with a release, as «helm upgrade
// --reset-then-reuse-values» would: rendered with the values that the release
// was given, for the cluster's version, with lookup answered by the cluster.
func (r *Result) upgradeRelease(ctx context.Context, chart *charttest.Chart, config Config, found *collection) error {
	against := config.Against
	cluster, err := dryrun.Connect(ctx, against.Cluster)
	if err != nil {
		return nothingAgainst(against.Release, err)
	}
	in, err := installed.Find(ctx, against.Cluster, against.Namespace, against.Release)
	if errors.Is(err, installed.ErrNotFound) {
		err = fmt.Errorf("there is no folder or archive of that name, and no such release in namespace %q: helm list -A shows those that there are, -n chooses the namespace", against.Namespace)
	}
	if apierrors.IsForbidden(err) {
		err = &dryrun.Error{Message: "the release can't be read", Err: err,
			Remedy: fmt.Sprintf("ask as a user who may list Secrets in namespace %q, where Helm keeps releases (--kube-context)", against.Namespace)}
	}
	if err != nil {
		return nothingAgainst(against.Release, err)
	}
	before, err := objectsOf(in)
	if err != nil {
		return nothingAgainst(against.Release, err)
	}
	u := Upgrade{From: fmt.Sprintf("release %s in %s, revision %d (%s)", in.Name, in.Namespace, in.Revision, in.Chart)}
	p := charttest.Profile{
		Name: "release " + in.Name, Values: in.Values, Release: in.Name, Namespace: in.Namespace, Upgrade: true,
		LookupFunc: in.Lookup, Lax: true,
	}
	b := r.renderUpgrade(ctx, chart, p, found, cluster.Profile())
	if b == nil {
		u.Skipped = "the chart can't be rendered with the release's values: see the findings"
		r.Upgrades = append(r.Upgrades, u)
		return ctx.Err()
	}
	u.compare(before, content(without(b.Objects, func(o *charttest.Object) bool { return o.CRD })), b)
	for i := range u.Objects {
		if o := &u.Objects[i]; o.Change == diff.Changed {
			live, err := in.Lookup(o.New.GetAPIVersion(), o.Kind, cmp.Or(o.Namespace, in.Namespace), o.Name)
			if err == nil { // who may not look is told what can be known without
				o.Old = &unstructured.Unstructured{Object: filled(o.Old.Object, o.New.Object, live)}
			}
		}
	}
	r.take(u, b, found)
	return nil
}

// filled is the old object with what the cluster has filled in for it, as far as
// the new one asks for it: a class or an address that was nobody's choice can't
// be chosen any more.
func filled(old, now, live map[string]any) map[string]any {
	all := maps.Clone(old)
	for key, value := range now {
		below, _ := value.(map[string]any)
		had, has := old[key]
		oldBelow, wasMap := had.(map[string]any)
		liveBelow, isMap := live[key].(map[string]any)
		switch {
		case !has && live[key] != nil:
			all[key] = live[key]
		case wasMap && isMap && below != nil:
			all[key] = filled(oldBelow, below, liveBelow)
		}
	}
	return all
}

// renderUpgrade renders, or makes a finding of why it can't be.
func (r *Result) renderUpgrade(ctx context.Context, chart *charttest.Chart, p charttest.Profile, found *collection, options ...charttest.Option) *charttest.Render {
	b, err := chart.Render(ctx, append([]charttest.Option{p}, options...)...)
	if err == nil {
		return b
	}
	c := &cell{chart: chart, profile: p}
	c.failed(err, nil)
	for _, f := range c.findings {
		found.add(f, r.known(p.Name), "")
	}
	return nil
}

// known is a profile's name if it is one of those verified, or "".
func (r *Result) known(profile string) string {
	if slices.Contains(r.Profiles, profile) {
		return profile
	}
	return ""
}

// versions are labels that every version of a chart changes in every object.
// Where they end in a pod, they restart it, and are told.
var versions = diff.Masks{
	diff.Hide("", "metadata.labels.helm.sh/chart"), diff.Hide("", "metadata.labels.app.kubernetes.io/version"),
}

// compare fills in what changes.
func (u *Upgrade) compare(before, after []*unstructured.Unstructured, render *charttest.Render) {
	namespace := diff.Namespace(cmp.Or(render.Profile.Namespace, "default"))
	u.Objects = append(u.Objects, diff.Objects(before, after, namespace, versions).Objects...)
	for i := range u.Objects {
		switch o := &u.Objects[i]; {
		case o.Hook() && o.Change == diff.Removed:
			o.Note = "a hook; what it made is left in the cluster"
			u.Removed++
		case o.Kept():
			o.Note = "kept in the cluster: helm.sh/resource-policy"
			u.Kept++
		default:
			if o.Hook() {
				o.Note = "a hook"
			}
			*map[diff.Change]*int{diff.Added: &u.Added, diff.Changed: &u.Changed, diff.Removed: &u.Removed}[o.Change]++
		}
	}
}

// crdsFolder notes what is not Helm's to change.
const crdsFolder = "in crds/, which upgrades leave alone"

// compareCRDs tells of a chart's crds/ folder, which Helm installs once and
// leaves alone from then on.
func (u *Upgrade) compareCRDs(before, after []*unstructured.Unstructured) {
	for _, o := range diff.Objects(before, after, versions).Objects {
		o.Note = crdsFolder
		u.Objects = append(u.Objects, o)
	}
}

// take reports an upgrade, and what the API server would refuse of it.
func (r *Result) take(u Upgrade, render *charttest.Render, found *collection) {
	r.Upgrades = append(r.Upgrades, u)
	for _, o := range u.Objects {
		if o.Note == crdsFolder {
			continue
		}
		for _, item := range lost.Items(o) {
			f := check.Finding{
				Check: upgradeLoss, Object: o.String(), Field: item.Path, Remedy: rule(upgradeLoss).Remedy,
				Message: fmt.Sprintf("an upgrade loses %s (%s): the old object had two of that key, and removing one removes both", item.Path, item.Key),
			}
			if made := madeAs(render, o); made != nil {
				place := made.At(item.Path)
				f.File, f.Line = place.File, place.Line
			}
			found.add(f, r.known(u.Profile), "")
		}
		for _, refusal := range o.Refused() {
			f := check.Finding{
				Check: immutableField, Object: o.String(), Field: refusal.Field.Path, Remedy: refusal.Remedy,
				Message: "an upgrade would be refused: " + refusal.Change() + ": " + refusal.Reason,
			}
			if made := madeAs(render, o); made != nil {
				place := made.At(refusal.Field.At)
				f.File, f.Line = place.File, place.Line
			}
			found.add(f, r.known(u.Profile), "")
		}
	}
}

// madeAs is the rendered object behind a change.
func madeAs(render *charttest.Render, o diff.Object) *charttest.Object {
	i := slices.IndexFunc(render.Objects, func(made *charttest.Object) bool {
		return made.Kind == o.Kind && made.Name == o.Name && made.APIVersion == o.APIVersion &&
			(made.Namespace == o.New.GetNamespace())
	})
	if i < 0 {
		return nil
	}
	return render.Objects[i]
}

// loadOther loads another version of the chart. An archive is unpacked for the
// while, so that the profiles in it are found.
func loadOther(path string, as charttest.LoadOption) (*charttest.Chart, func(), error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		chart, err := charttest.Load(path, as)
		return chart, func() {}, err
	}
	dir, err := os.MkdirTemp("", "against")
	if err != nil {
		return nil, nil, err
	}
	done := func() { _ = os.RemoveAll(dir) }
	folder, err := engine.Unpack(path, dir)
	if err != nil {
		done()
		return nil, nil, &charttest.LoadError{Path: path, Err: err}
	}
	chart, err := charttest.Load(folder, as)
	if err != nil {
		done()
		return nil, nil, err
	}
	return chart, done, nil
}

func filesExist(p charttest.Profile) bool {
	for _, file := range p.Files {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// objectsOf are a release's objects, hooks included.
func objectsOf(in *installed.Release) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, text := range append([]string{in.Manifest}, in.Hooks...) {
		for _, doc := range engine.SplitDocuments(engine.Helm3, text) {
			var content map[string]any
			if err := yaml.Unmarshal([]byte(doc), &content); err != nil {
				return nil, fmt.Errorf("the manifest of the release is no YAML: %w", err)
			}
			u := &unstructured.Unstructured{Object: content}
			switch {
			case content == nil:
			case u.IsList():
				_ = u.EachListItem(func(item runtime.Object) error {
					all = append(all, item.(*unstructured.Unstructured))
					return nil
				})
			default:
				all = append(all, u)
			}
		}
	}
	return all, nil
}

func content(objects []*charttest.Object) []*unstructured.Unstructured {
	all := make([]*unstructured.Unstructured, len(objects))
	for i, o := range objects {
		all[i] = &unstructured.Unstructured{Object: o.Content()}
	}
	return all
}

func only(objects []*charttest.Object, is func(*charttest.Object) bool) []*charttest.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(o *charttest.Object) bool { return !is(o) })
}

func without(objects []*charttest.Object, is func(*charttest.Object) bool) []*charttest.Object {
	return slices.DeleteFunc(slices.Clone(objects), is)
}

// LooksLikePath says whether what --against was given can only be meant as a
// path, not as the name of a release.
func LooksLikePath(s string) bool {
	return strings.ContainsRune(s, filepath.Separator) || strings.Contains(s, "/") || strings.HasSuffix(s, ".tgz") || s == "." || s == ".."
}
