package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/ai-film/ai-film/charttest/diff"
)

// styleOf is how a diff is written to a terminal, or to anything else.
func styleOf(w io.Writer) diff.Style {
	style := diff.Style{Indent: "  "}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		style.Colour = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			style.Width = max(width, 80)
		}
	}
	return style
}

// upgraded tells people what an upgrade would change: a line for each profile,
// then every change once, with the profiles that have it.
func (r *Result) upgraded(style diff.Style) string {
	if len(r.Upgrades) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "upgrade from %s:\n", r.Upgrades[0].From)
	whole := 0
	for _, u := range r.Upgrades {
		fmt.Fprintf(&b, "  %s\n", u.summary())
		if u.Skipped == "" {
			whole++
		}
	}
	changes := r.changes()
	for _, in := range changes.groups {
		b.WriteString("\n")
		if which := changes.profiles[in]; len(which) < whole {
			fmt.Fprintf(&b, "in %s:\n", strings.Join(which, ", "))
		}
		for _, o := range changes.objects[in] {
			_ = o.Write(&b, style)
		}
	}
	return b.String()
}

// changes are told by the profiles that have them, each once: groups of
// profiles, those of the most profiles first.
type changes struct {
	groups   []string // the profiles' names, joined
	profiles map[string][]string
	objects  map[string][]diff.Object
}

// changes parts what changes of an object by the profiles in which it does.
func (r *Result) changes() changes {
	type unit struct {
		object diff.Object // with one field, if it is changed
		in     []string
	}
	var units []*unit
	seen := map[string]*unit{}
	add := func(profile string, o diff.Object) {
		key, _ := json.Marshal(o)
		u := seen[string(key)]
		if u == nil {
			u = &unit{object: o}
			seen[string(key)] = u
			units = append(units, u)
		}
		u.in = append(u.in, profile)
	}
	for _, up := range r.Upgrades {
		for _, o := range up.Objects {
			fields := o.Fields
			if o.Fields = nil; len(fields) == 0 {
				add(up.Profile, o)
			}
			for _, f := range fields {
				o.Fields = []diff.Field{f}
				add(up.Profile, o)
			}
		}
	}
	c := changes{profiles: map[string][]string{}, objects: map[string][]diff.Object{}}
	for _, u := range units {
		in := strings.Join(u.in, "\x00")
		if c.profiles[in] == nil {
			c.groups, c.profiles[in] = append(c.groups, in), u.in
		}
		list := c.objects[in]
		i := slices.IndexFunc(list, func(o diff.Object) bool {
			return o.String() == u.object.String() && o.Namespace == u.object.Namespace && o.APIVersion == u.object.APIVersion
		})
		if i >= 0 && u.object.Change == diff.Changed {
			list[i].Fields = append(list[i].Fields, u.object.Fields...)
		} else {
			c.objects[in] = append(list, u.object)
		}
	}
	slices.SortStableFunc(c.groups, func(a, b string) int { return len(c.profiles[b]) - len(c.profiles[a]) })
	return c
}

// summary is one line.
func (u Upgrade) summary() string {
	name := ""
	if u.Profile != "" {
		name = u.Profile + ": "
	}
	switch {
	case u.Skipped != "":
		return name + u.Skipped
	case len(u.Objects) == 0:
		return name + "nothing changes"
	}
	text := fmt.Sprintf("%s%d added, %d changed, %d removed", name, u.Added, u.Changed, u.Removed)
	if u.Kept > 0 {
		text += fmt.Sprintf(", %d kept", u.Kept)
	}
	return text
}
