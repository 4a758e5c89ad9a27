// Package stranger does what somebody does who takes up charttest. With -whole it
// is all from a module proxy that has the published module, with empty caches:
//
//	go test ./test/stranger -whole -v -timeout 60m
package stranger

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/goproxy"
)

var whole = flag.Bool("whole", false, "the whole hour: the published module and empty caches, Helm 3 and 4, pre-commit, actionlint; a quarter of an hour of processor time, 4 GB of disk")

var warm = flag.Bool("warm", false, "with -whole: this machine's build cache, for who mends this test")

const module = "github.com/ai-film/ai-film/charttest"

// version is the one that plugins, action and hooks name.
const version = "v0.1.0"

// stranger is a machine with Go and git, and a repository.
type stranger struct {
	t    *testing.T
	home string   // with everything that programs leave
	repo string   // the working directory
	env  []string // of every program
	told []string // what took how long
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{t: t, home: t.TempDir()}
	s.repo = filepath.Join(s.home, "repo")
	proxy := filepath.Join(s.home, "proxy")
	require.NoError(t, goproxy.Publish(proxy, module, version, "../.."))
	cache := strings.TrimSpace(output(t, "go", "env", "GOMODCACHE"))
	behind := strings.TrimSpace(output(t, "go", "env", "GOPROXY"))
	bin := filepath.Join(s.home, "bin")
	s.env = append(os.Environ(),
		"HOME="+s.home, "GOBIN="+bin, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
		// What modules require comes from where this machine has it, else from its proxy.
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(cache, "cache", "download")+","+behind, "GONOSUMDB="+module, "GOFLAGS=-modcacherw", "GOWORK=off",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=s", "GIT_AUTHOR_EMAIL=s@example.org", "GIT_COMMITTER_NAME=s", "GIT_COMMITTER_EMAIL=s@example.org",
		"HELM_DATA_HOME="+filepath.Join(s.home, "helm"), "HELM_CACHE_HOME="+filepath.Join(s.home, "helm"), "HELM_CONFIG_HOME="+filepath.Join(s.home, "helm"))
	if *whole {
		s.env = append(s.env, "GOMODCACHE="+filepath.Join(s.home, "mod"), "GOCACHE="+filepath.Join(s.home, "build"))
		if *warm {
			s.env = append(s.env, "GOCACHE="+strings.TrimSpace(output(t, "go", "env", "GOCACHE")), "GOFLAGS=-modcacherw -trimpath")
		}
	} else { // as somebody who has built all that before, with this machine's caches
		s.env = append(s.env, "GOMODCACHE="+cache, "GOCACHE="+strings.TrimSpace(output(t, "go", "env", "GOCACHE")), "GOFLAGS=-mod=mod")
	}
	s.history()
	return s
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	require.NoError(t, err)
	return string(out)
}

// history makes the repository: a branch off main that changes the chart.
func (s *stranger) history() {
	archive, err := txtar.ParseFile("testdata/shop.txtar")
	require.NoError(s.t, err)
	lay := func(changes bool) {
		for _, f := range archive.Files {
			name, changed := strings.CutPrefix(f.Name, "change/")
			if changed == changes {
				path := filepath.Join(s.repo, name)
				require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(s.t, os.WriteFile(path, f.Data, 0o644))
			}
		}
		s.must("git", "add", "--all")
		s.must("git", "commit", "--quiet", "--message=change")
	}
	require.NoError(s.t, os.MkdirAll(s.repo, 0o755))
	s.must("git", "init", "--quiet", "--initial-branch=main")
	lay(false)
	s.must("git", "remote", "add", "origin", s.repo)
	s.must("git", "fetch", "--quiet", "origin")
	s.must("git", "checkout", "--quiet", "-b", "feature")
	lay(true)
}

// do runs a program in the repository and returns what it says.
func (s *stranger) do(extra []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	if !strings.Contains(name, string(filepath.Separator)) { // by the stranger's PATH
		cmd = exec.Command("/usr/bin/env", append([]string{name}, args...)...)
	}
	cmd.Dir, cmd.Env = s.repo, append(s.env, extra...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (s *stranger) must(name string, args ...string) string {
	s.t.Helper()
	out, err := s.do(nil, name, args...)
	require.NoError(s.t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return out
}

// timed does a step as a subtest and notes how long it took.
func (s *stranger) timed(what string, step func()) {
	start := time.Now()
	outer := s.t
	ran := false
	outer.Run(what, func(t *testing.T) {
		s.t, ran = t, true
		step()
	})
	if s.t = outer; !ran { // not asked for
		return
	}
	s.told = append(s.told, fmt.Sprintf("%7.1f s  %s", time.Since(start).Seconds(), what))
}

// TestStranger takes up charttest with all that a stranger has.
func TestStranger(t *testing.T) {
	s := newStranger(t)
	if *whole {
		s.timed("go install charttest", func() { s.must("go", "install", module+"/cmd/charttest@"+version) })
	} else {
		s.checkout()
	}
	s.timed("charttest verify", func() { require.Contains(s.t, s.must("charttest", "verify", "charts/shop"), "shop: no findings") })
	s.timed("charttest unittest, the suite that was there", func() { require.Contains(s.t, s.must("charttest", "unittest", "charts/shop"), "1 passed, 1 total") })
	s.timed("charttest init", func() {
		out := s.must("charttest", "init", "charts/shop")
		require.Contains(s.t, out, "wrote charts/shop/shop_test.go")
		require.Contains(s.t, out, "wrote charts/shop/.verify.yaml")
		require.Contains(s.t, s.must("cat", "go.mod"), module+" v0.")
	})
	s.timed("go test, the first", func() { require.Contains(s.t, s.must("go", "test", "./charts/shop"), "ok") })
	s.timed("go test, again", func() { require.Contains(s.t, s.must("go", "test", "-count=1", "./charts/shop"), "ok") })
	s.timed("packages of import charttest", func() {
		s.told = append(s.told, fmt.Sprintf("%7d    packages of import charttest", len(strings.Fields(s.must("go", "list", "-deps", module)))))
	})
	s.timed("the action's steps", s.action)
	s.timed("docs/coming-from.md", s.page)
	if *whole {
		s.timed("Helm 3: build it, install the plugin, run it", func() { s.plugin("helm.sh/helm/v3", "v3.22.0", "helm3") })
		s.timed("Helm 4: build it, install the plugin, run it", func() { s.plugin("helm.sh/helm/v4", "v4.3.1", "helm4") })
		s.timed("pre-commit: from PyPI, with the hooks of the repository", s.preCommit)
	}
	t.Log("a stranger's hour:\n" + strings.Join(s.told, "\n"))
}

// checkout has the program and the library from here, in place of a published
// version.
func (s *stranger) checkout() {
	root, err := filepath.Abs("../..")
	require.NoError(s.t, err)
	build := exec.Command("go", "build", "-o", filepath.Join(s.home, "bin")+string(filepath.Separator), "./cmd/charttest")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(s.t, err)
	text := strings.Replace(string(mod), "module "+module, "module example.org/repo", 1)
	text, _, _ = strings.Cut(text, "\ntool ")
	text += "\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"
	require.NoError(s.t, os.WriteFile(filepath.Join(s.repo, "go.mod"), []byte(text), 0o644))
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(filepath.Join(s.repo, "go.sum"), sum, 0o644))
}

// step is one of a composite action.
type step struct {
	Name, Run, Uses, If, Shell string
	Env                        map[string]string
}

func actionSteps(t *testing.T) []step {
	t.Helper()
	data, err := os.ReadFile("../../action/action.yml")
	require.NoError(t, err)
	var action struct {
		Inputs map[string]struct{ Description, Default string }
		Runs   struct {
			Using string
			Steps []step
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &action))
	require.Equal(t, "composite", action.Runs.Using)
	require.Equal(t, version, action.Inputs["version"].Default)
	return action.Runs.Steps
}

// action runs the action's own lines, as they are, with its variables.
func (s *stranger) action() {
	temp := s.home
	values := map[string]string{"${{ inputs.version }}": version, "${{ inputs.base }}": "main", "${{ inputs.charts }}": "", "${{ inputs.args }}": "--kube-version '1.36,1.37'"}
	ran := 0
	for _, step := range actionSteps(s.t) {
		if step.Run == "" || step.Name == "comment" { // GitHub's own program and actions
			continue
		}
		if step.Name == "install" && !*whole {
			ran++
			continue
		}
		env := []string{"RUNNER_TEMP=" + temp, "GITHUB_STEP_SUMMARY=" + filepath.Join(temp, "summary")}
		for key, value := range step.Env {
			is, ok := values[value]
			require.True(s.t, ok, value)
			env = append(env, key+"="+is)
		}
		out, err := s.do(env, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step.Run)
		require.NoError(s.t, err, "%s\n%s", step.Run, out)
		ran++
	}
	require.Equal(s.t, 4, ran)
	comment, err := os.ReadFile(filepath.Join(temp, "summary"))
	require.NoError(s.t, err)
	require.Contains(s.t, string(comment), "| `charts/shop` | no findings |")
	require.Contains(s.t, string(comment), "nginx:1.27 → nginx:1.29")
	require.FileExists(s.t, filepath.Join(temp, "charttest.sarif"))
}

const page = "../../../docs/coming-from.md"

// page runs what docs/coming-from.md shows: the files in their place, charttest's
// lines, and with -whole those of the other tools.
func (s *stranger) page() {
	put := func(file, text string) {
		require.NoError(s.t, os.WriteFile(filepath.Join(s.repo, file), []byte(text), 0o644))
	}
	put("charts/shop/tests/replicas_test.yaml", snippet(s.t, page, "suite: replicas"))
	put("charts/shop/replicas_test.go", snippet(s.t, page, "func TestReplicas("))
	if *whole {
		s.must("go", "mod", "tidy")
	}
	require.Contains(s.t, s.must("go", "test", "-v", "-run", "Suites|Replicas", "./charts/shop"), "--- PASS: TestReplicas")
	var env []string
	if *whole {
		env = s.peers()
		put("charts/shop/terratest_test.go", snippet(s.t, page, "func TestReplicasWithTerratest("))
		s.must("go", "get", "github.com/gruntwork-io/terratest@v0.56.0")
		out, err := s.do(env, "go", "test", "-mod=mod", "-v", "-run", "Terratest", "./charts/shop")
		require.NoError(s.t, err, out)
		require.Contains(s.t, out, "--- PASS: TestReplicasWithTerratest")
		require.NoError(s.t, os.Remove(filepath.Join(s.repo, "charts/shop/terratest_test.go")))
	}
	data, err := os.ReadFile(page)
	require.NoError(s.t, err)
	lines := 0
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		for line := range strings.Lines(m[1]) {
			if strings.HasPrefix(line, "go install") || !strings.HasPrefix(line, "charttest") && !*whole {
				continue
			}
			out, err := s.do(env, "bash", "-e", "-o", "pipefail", "-c", line)
			require.NoError(s.t, err, "%s\n%s", line, out)
			lines++
		}
	}
	require.GreaterOrEqual(s.t, lines, 7)
	// The checks are the same: both sides of a mistake.
	put("charts/lamps/values.yaml", "watts: forty\n")
	_, err = s.do(nil, "charttest", "verify", "charts/lamps", "--schemas", "crds")
	require.Error(s.t, err)
	if *whole {
		_, err = s.do(env, "bash", "-o", "pipefail", "-c", strings.SplitN(snippet(s.t, page, "kubeconform -strict -schema-location"), "\n", 2)[0])
		require.Error(s.t, err)
	}
	s.must("git", "checkout", "--quiet", "charts/lamps")
}

// peers are the other tools, built from their modules with this machine's
// caches, as variables that find them.
func (s *stranger) peers() []string {
	tools := filepath.Join(s.home, "peers")
	for _, p := range []struct{ module, main, name string }{
		{"helm.sh/helm/v3 v3.22.0", "helm.sh/helm/v3/cmd/helm", "helm"},
		{"github.com/helm-unittest/helm-unittest v1.1.2", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest", "untt"},
		{"github.com/helm/chart-testing/v3 v3.14.0", "github.com/helm/chart-testing/v3/ct", "ct"},
		{"github.com/yannh/kubeconform v0.8.0", "github.com/yannh/kubeconform/cmd/kubeconform", "kubeconform"},
	} {
		dir := filepath.Join(tools, p.name)
		require.NoError(s.t, os.MkdirAll(dir, 0o755))
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module tools\n\ngo 1.26\n\nrequire "+p.module+"\n\nreplace github.com/vmware-labs/yaml-jsonpath => github.com/helm-unittest/yaml-jsonpath v0.4.0\n"), 0o644))
		build := exec.Command("go", "build", "-mod=mod", "-o", filepath.Join(tools, "bin", p.name), p.main)
		build.Dir = dir
		out, err := build.CombinedOutput()
		require.NoError(s.t, err, "%s", out)
	}
	plugin := filepath.Join(s.home, "helm", "plugins", "unittest")
	require.NoError(s.t, os.MkdirAll(plugin, 0o755))
	require.NoError(s.t, os.WriteFile(filepath.Join(plugin, "plugin.yaml"), []byte("name: unittest\nversion: 1.1.2\ncommand: "+filepath.Join(tools, "bin", "untt")+"\n"), 0o644))
	return []string{"PATH=" + filepath.Join(tools, "bin") + string(filepath.ListSeparator) + filepath.Join(s.home, "bin") + string(filepath.ListSeparator) + os.Getenv("PATH")}
}

// plugin installs the plugin into the real Helm, which runs it.
func (s *stranger) plugin(path, at, folder string) {
	t := s.t
	tools := filepath.Join(s.home, "tools-"+folder)
	require.NoError(t, os.MkdirAll(tools, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tools, "go.mod"), []byte("module tools\n\ngo 1.26\n\nrequire "+path+" "+at+"\n"), 0o644))
	helm := filepath.Join(tools, "helm")
	build := exec.Command("go", "build", "-mod=mod", "-o", helm, path+"/cmd/helm")
	build.Dir = tools // with this machine's caches: it isn't the stranger who builds Helm
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("Helm %s can't be had here: %v\n%s", at, err, out)
		return
	}
	plugin := filepath.Join(tools, "charttest")
	require.NoError(t, os.CopyFS(plugin, os.DirFS(filepath.Join("../../plugin", folder))))
	s.must(helm, "plugin", "install", plugin)
	require.Contains(t, s.must(helm, "plugin", "list"), "charttest")
	require.Contains(t, s.must(helm, "charttest", "verify", "charts/shop"), "shop: no findings")
	require.Contains(t, s.must(helm, "charttest", "unittest", "charts/shop"), "1 passed, 1 total")
	require.Equal(t, s.must(helm, "template", "shop", "charts/shop", "--namespace", "town"), s.must(helm, "charttest", "render", "shop", "charts/shop", "--namespace", "town", "--helm", strings.TrimPrefix(folder, "helm")))
	_, err := s.do(nil, helm, "charttest", "verify", "nowhere")
	require.Error(t, err)
	s.must(helm, "plugin", "uninstall", "charttest")
}

// preCommit installs pre-commit from PyPI and runs the hooks of .pre-commit-hooks.yaml,
// and the one of the documentation that installs charttest by itself.
func (s *stranger) preCommit() {
	t := s.t
	venv := filepath.Join(s.home, "venv")
	python := filepath.Join(venv, "bin", "python")
	s.must("python3", "-m", "venv", venv)
	if out, err := s.do(nil, python, "-m", "pip", "install", "--quiet", "pre-commit"); err != nil {
		t.Logf("pre-commit can't be had here: %v\n%s", err, out)
		return
	}
	hooks := filepath.Join(s.home, "hooks")
	require.NoError(t, os.MkdirAll(hooks, 0o755))
	data, err := os.ReadFile("../../../.pre-commit-hooks.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(hooks, ".pre-commit-hooks.yaml"), data, 0o644))
	s.must("git", "-C", hooks, "init", "--quiet")
	s.must("git", "-C", hooks, "add", "--all")
	s.must("git", "-C", hooks, "commit", "--quiet", "--message=hooks")
	rev := strings.TrimSpace(s.must("git", "-C", hooks, "rev-parse", "HEAD"))
	documented := snippet(t, page, "repo: local")
	config := "repos:\n  - repo: " + hooks + "\n    rev: " + rev + "\n    hooks:\n      - id: charttest-verify\n      - id: charttest-unittest\n        args: [charts/shop]\n" + strings.TrimPrefix(documented, "repos:\n")
	require.NoError(t, os.WriteFile(filepath.Join(s.repo, ".pre-commit-config.yaml"), []byte(config), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(s.repo, "charts/shop/values.yaml"), []byte("replicas: 4\nimage: nginx:1.29\n"), 0o644))
	s.must("git", "add", ".pre-commit-config.yaml", "charts/shop/values.yaml")
	out, err := s.do(nil, filepath.Join(venv, "bin", "pre-commit"), "run", "--verbose")
	require.NoError(t, err, out)
	require.Contains(t, out, "shop: no findings")
	require.Contains(t, out, "1 passed, 1 total")
	require.Equal(t, 3, strings.Count(out, "Passed"), out)
}

// snippet is the block of a page that has a text.
func snippet(t *testing.T, file, has string) string {
	t.Helper()
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?ms)^```\\w*\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(m[1], has) {
			return m[1]
		}
	}
	t.Fatalf("%s has no block with %q", file, has)
	return ""
}

// Everything that names a version names the same.
func TestOneVersion(t *testing.T) {
	for _, file := range []string{"../../plugin/helm3/plugin.yaml", "../../plugin/helm4/plugin.yaml"} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var plugin struct{ Name, Version string }
		require.NoError(t, yaml.Unmarshal(data, &plugin))
		require.Equal(t, "charttest", plugin.Name)
		require.Equal(t, version, "v"+plugin.Version)
		require.Equal(t, 2, bytes.Count(data, []byte("cmd/charttest@"+version+"'")), file)
	}
	actionSteps(t)
	for _, file := range []string{"../../../.pre-commit-hooks.yaml", page} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`cmd/charttest@(\S+?)['"\]).,]*(?:\s|$)`).FindAllStringSubmatch(string(data), -1) {
			require.Equal(t, version, m[1], file)
		}
	}
}

// The steps are one line of shell each, which takes what users write by variables
// alone, and parses.
func TestActionsShell(t *testing.T) {
	for _, step := range actionSteps(t) {
		if step.Run == "" {
			require.NotEmpty(t, step.Uses)
			continue
		}
		require.NotContains(t, step.Run, "${{", "an expression in a shell's line runs what others write")
		require.NotContains(t, strings.TrimSpace(step.Run), "\n", step.Name)
		require.Equal(t, "bash", step.Shell)
		out, err := exec.Command("bash", "-n", "-c", step.Run).CombinedOutput()
		require.NoError(t, err, "%s", out)
		if lint, err := exec.LookPath("shellcheck"); err == nil {
			cmd := exec.Command(lint, "--shell=bash", "-")
			cmd.Stdin = strings.NewReader(step.Run + "\n")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	}
}

// actionlint, which also reads the action that a workflow uses.
func TestWorkflowsLint(t *testing.T) {
	if !*whole {
		t.Skip("builds actionlint: -whole")
	}
	tools := t.TempDir()
	lint := filepath.Join(tools, "actionlint")
	require.NoError(t, os.WriteFile(filepath.Join(tools, "go.mod"), []byte("module tools\n\ngo 1.26\n\nrequire github.com/rhysd/actionlint v1.7.12\n"), 0o644))
	build := exec.Command("go", "build", "-mod=mod", "-o", lint, "github.com/rhysd/actionlint/cmd/actionlint")
	build.Dir = tools
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("actionlint can't be had here: %v\n%s", err, out)
	}
	repo := t.TempDir()
	workflows := filepath.Join(repo, ".github", "workflows")
	require.NoError(t, os.MkdirAll(workflows, 0o755))
	require.NoError(t, os.CopyFS(filepath.Join(repo, "charttest", "action"), os.DirFS("../../action")))
	require.NoError(t, os.CopyFS(workflows, os.DirFS("../../../.github/workflows")))
	// As the page has it, with the action of this checkout.
	workflow := snippet(t, page, "uses: ai-film/ai-film/charttest/action@")
	workflow = regexp.MustCompile(`uses: ai-film/ai-film/charttest/action@\S+`).ReplaceAllString(workflow, "uses: ./charttest/action")
	require.NoError(t, os.WriteFile(filepath.Join(workflows, "documented.yaml"), []byte(workflow), 0o644))
	require.NoError(t, exec.Command("git", "-C", repo, "init", "--quiet").Run())
	cmd := exec.Command(lint)
	cmd.Dir = repo
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// The image has the program, which runs with nothing around it.
func TestImage(t *testing.T) {
	buildah, err := exec.LookPath("buildah")
	if err != nil || os.Geteuid() != 0 || !*whole {
		t.Skip("builds an image with buildah, as root: -whole")
	}
	context := t.TempDir()
	build := exec.Command("go", "build", "-C", "../..", "-trimpath", "-o", filepath.Join(context, "bin")+string(filepath.Separator), "./cmd/charttest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	file, err := os.ReadFile("../../Containerfile")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(context, "Containerfile"), file, 0o644))
	storage := t.TempDir()
	run := func(args ...string) string {
		out, err := exec.Command(buildah, append([]string{"--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "vfs"}, args...)...).CombinedOutput()
		require.NoError(t, err, "buildah %v\n%s", args, out)
		return strings.TrimSpace(string(out))
	}
	run("bud", "--isolation", "chroot", "-t", "charttest", context)
	container := run("from", "charttest")
	root := run("mount", container)
	defer run("rm", "--all")
	require.NoError(t, os.CopyFS(filepath.Join(root, "charts"), os.DirFS("../../check/testdata/shop")))
	inside := exec.Command("/charttest", "render", "/charts")
	inside.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 10001, Gid: 10001}}
	inside.Env, inside.Dir = []string{"TMPDIR=/tmp", "HOME=/tmp"}, "/charts"
	out, err = inside.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "kind: Deployment")
}
