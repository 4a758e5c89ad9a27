package unit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/internal/values"
)

var (
	installs = regexp.MustCompile(`(?m)^# helm (install|upgrade) ai-film charts/ai-film .*$`)
	blocks   = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	names    = regexp.MustCompile("`((?:global|storage|ingress|networkPolicy|metrics|backup|monitoring|application|processing|data)\\.[A-Za-z0-9.]+)`")
)

// What the pages tell people to run and to write is what the chart takes: each helm command renders, each values block decodes, each
// value that is named is one.
func TestPagesSayWhatTheChartTakes(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "homes", "*.md"))
	require.NoError(t, err)
	require.Len(t, pages, 3)
	defaults := yamlFile(t, "charts/ai-film/values.yaml")
	commands, mentioned := 0, 0
	for _, page := range append(pages, filepath.Join(root, "docs", "backup.md"), filepath.Join(root, "docs", "monitoring.md")) {
		data, err := os.ReadFile(page)
		require.NoError(t, err)
		text := string(data)
		for _, line := range installs.FindAllString(text, -1) {
			commands++
			options := []charttest.Option{installed}
			words := strings.Fields(line)
			for i, word := range words {
				switch word {
				case "-f":
					if words[i+1] != "backup.yaml" {
						options = append(options, charttest.Files(filepath.Join(root, words[i+1])))
						continue
					}
					var written map[string]any
					require.NoError(t, yaml.Unmarshal([]byte(blocks.FindStringSubmatch(text)[1]), &written))
					options = append(options, charttest.Values(written))
				case "--set":
					options = append(options, charttest.Set(words[i+1]))
				}
			}
			_, err := studio(t).Render(t.Context(), options...)
			assert.NoError(t, err, "%s: %s", filepath.Base(page), line)
		}
		for _, block := range blocks.FindAllStringSubmatch(text, -1) {
			var written map[string]any
			require.NoError(t, yaml.UnmarshalStrict([]byte(block[1]), &written), page)
			if _, ours := written["version"]; ours { // the device plugin's
				continue
			}
			content, err := json.Marshal(written)
			require.NoError(t, err)
			_, err = values.Decode(content)
			assert.NoError(t, err, page)
		}
		for _, name := range names.FindAllStringSubmatch(text, -1) {
			mentioned++
			var here any = defaults
			for key := range strings.SplitSeq(name[1], ".") {
				table, _ := here.(map[string]any)
				require.Contains(t, table, key, "%s: %s", filepath.Base(page), name[1])
				here = table[key]
			}
		}
	}
	assert.Greater(t, commands, 10)
	assert.Greater(t, mentioned, 10)
}
