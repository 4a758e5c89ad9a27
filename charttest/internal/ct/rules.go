package ct

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// Complaint is something that ct lint would end with.
type Complaint struct {
	Check   string // "version-increment" or "maintainers"
	Message string
	File    string // the chart's Chart.yaml
	Line    int
}

// Complaints are what the configuration asks of a chart that changed, and isn't
// so. An error says that it couldn't be found out. Accounts of maintainers are
// asked for at the remote's host, with client.
func (c Config) Complaints(ctx context.Context, chosen *Chosen, chart Choice, client *http.Client) ([]Complaint, error) {
	var all []Complaint
	file := filepath.Join(chart.Path, "Chart.yaml")
	about, err := read(chart.Path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// HEAD is the branch itself, whose version was raised once for all its commits.
	if c.CheckVersionIncrement && chosen != nil && chosen.Since != "HEAD" && chart.Own {
		complaint, err := chosen.version(ctx, file, about.Version)
		if err != nil {
			return nil, err
		}
		if complaint != "" {
			all = append(all, Complaint{"version-increment", complaint, file, lineOf(file, "version")})
		}
	}
	if c.ValidateMaintainers && (chosen == nil || chart.Own) {
		complaint, err := c.maintainers(ctx, chart.Path, about, client)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if complaint != "" {
			all = append(all, Complaint{"maintainers", complaint, file, cmp.Or(lineOf(file, "maintainers"), 1)})
		}
	}
	return all, nil
}

// version compares a chart's version with that on the branch, which a chart that
// changed must be above.
func (chosen *Chosen) version(ctx context.Context, file, now string) (string, error) {
	full, err := real(file)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(chosen.git.top, full)
	if err != nil {
		return "", err
	}
	data, ok, err := chosen.git.show(ctx, chosen.Since, filepath.ToSlash(rel))
	if err != nil || !ok { // a new chart may have any
		return "", err
	}
	var was metadata
	if err := yaml.Unmarshal([]byte(data), &was); err != nil {
		return "", fmt.Errorf("%s as %s has it: %w", file, chosen.Since, err)
	}
	before, err := semver.NewVersion(was.Version)
	if err != nil {
		return "", nil // whatever it becomes is better
	}
	after, err := semver.NewVersion(now)
	switch {
	case err != nil:
		return fmt.Sprintf("version %q is no semantic version", now), nil
	case !after.GreaterThan(before):
		return fmt.Sprintf("the chart changed, but its version %s is not above %s, which %s has", now, was.Version, chosen.Since), nil
	}
	return "", nil
}

func (c Config) maintainers(ctx context.Context, chart string, about metadata, client *http.Client) (string, error) {
	switch {
	case about.Deprecated && len(about.Maintainers) > 0:
		return "a deprecated chart must not have maintainers", nil
	case about.Deprecated:
		return "", nil
	case len(about.Maintainers) == 0:
		return "the chart has no maintainers", nil
	}
	g, err := git{chart}.root(ctx)
	if err != nil {
		return "", err
	}
	remote, err := g.run(ctx, "ls-remote", "--get-url", c.Remote)
	if err != nil {
		return "", err
	}
	host := hostOf(remote)
	if host == "" {
		return "", fmt.Errorf("maintainers are looked up where the remote %q is, which %q doesn't say: add the remote, or set validate-maintainers: false in ct.yaml", c.Remote, remote)
	}
	for _, m := range about.Maintainers {
		request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+host+"/"+url.PathEscape(m.Name), nil)
		if err != nil {
			return "", err
		}
		answer, err := client.Do(request)
		if err != nil {
			return "", fmt.Errorf("the maintainer %q can't be looked up; validate-maintainers: false in ct.yaml does without: %w", m.Name, err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Sprintf("the maintainer %q has no account at %s: it answers %s", m.Name, host, answer.Status), nil
		}
	}
	return "", nil
}

// scp is the other way to write a remote: git@github.com:owner/name.
var scp = regexp.MustCompile(`^(?:[^@]+@)?([^@/:]+):.+$`)

func hostOf(remote string) string {
	if u, err := url.Parse(remote); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	if m := scp.FindStringSubmatch(remote); m != nil {
		return m[1]
	}
	return ""
}

// lineOf is the line of a key at the top of a YAML file, from 1; 0 if there is
// none.
func lineOf(file, key string) int {
	data, _ := os.ReadFile(file)
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, key+":") {
			return i + 1
		}
	}
	return 0
}
