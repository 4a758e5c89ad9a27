// Package ct reads the configuration of chart-testing (ct) and chooses charts
// as it does, from what git says has changed.
//
// Reference: https://github.com/helm/chart-testing, v3.14.
package ct

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Config is the part of a ct.yaml that says which charts are meant and what is
// asked of them. What else ct.yaml may have is for ct alone.
type Config struct {
	Remote                string `ct:"remote"`
	TargetBranch          string `ct:"target-branch"`
	Since                 string `ct:"since"`
	Charts                list   `ct:"charts"`
	ChartDirs             list   `ct:"chart-dirs"`
	ExcludedCharts        list   `ct:"excluded-charts"`
	ExcludeDeprecated     bool   `ct:"exclude-deprecated"`
	UseHelmignore         bool   `ct:"use-helmignore"`
	CheckVersionIncrement bool   `ct:"check-version-increment"`
	ValidateMaintainers   bool   `ct:"validate-maintainers"`

	// File is what it was read from; "" if there is none, in which case nothing
	// is asked of the charts.
	File string `ct:"-"`
}

type list = []string

// names of the file in a folder, as ct looks for them.
var names = []string{"ct.yaml", "ct.yml", "ct.json"}

// Load reads a configuration. With file "" it looks where ct does: in the
// directory, its .ct folder, and the folders of the user and the machine, or in
// $CT_CONFIG_DIR alone. Without any, ct's defaults are what counts. Variables
// such as CT_TARGET_BRANCH go before the file.
func Load(dir, file string) (Config, error) {
	c := Config{Remote: "origin", TargetBranch: "main", Since: "HEAD", ChartDirs: list{"charts"}}
	if file == "" {
		file = find(dir)
	}
	var said map[string]any
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, err
		}
		if err := yaml.Unmarshal(data, &said); err != nil {
			return c, fmt.Errorf("%s: %w", file, err)
		}
		c.File, c.CheckVersionIncrement, c.ValidateMaintainers = file, true, true
	}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("ct")
		if key == "-" {
			continue
		}
		value, ok := os.LookupEnv("CT_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")))
		where, from := any(value), "the environment"
		if !ok {
			if where, ok = lookup(said, key); !ok {
				continue
			}
			from = file
		}
		if err := set(v.Field(i), where); err != nil {
			return c, fmt.Errorf("%s: %s: %w", from, key, err)
		}
	}
	return c, nil
}

func find(dir string) string {
	home, _ := os.UserHomeDir()
	folders := []string{dir, filepath.Join(dir, ".ct"), filepath.Join(home, ".ct"), "/usr/local/etc/ct", "/etc/ct"}
	if only, ok := os.LookupEnv("CT_CONFIG_DIR"); ok {
		folders = []string{only}
	}
	for _, folder := range folders {
		for _, name := range names {
			file := filepath.Join(folder, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				return file
			}
		}
	}
	return ""
}

// lookup finds a key, in whatever case, as ct does.
func lookup(said map[string]any, key string) (any, bool) {
	for k, v := range said {
		if strings.EqualFold(k, key) && v != nil {
			return v, true
		}
	}
	return nil, false
}

// set takes over a value; like ct's it may be a text where a list or a boolean
// is meant.
func set(field reflect.Value, value any) error {
	switch field.Interface().(type) {
	case string:
		field.SetString(fmt.Sprint(value))
	case bool:
		b, err := strconv.ParseBool(fmt.Sprint(value))
		if err != nil {
			return fmt.Errorf("want true or false, not %q", fmt.Sprint(value))
		}
		field.SetBool(b)
	case list:
		all := list{}
		switch v := value.(type) {
		case []any:
			for _, item := range v {
				all = append(all, fmt.Sprint(item))
			}
		case string:
			if v != "" {
				all = strings.Split(v, ",")
			}
		default:
			return fmt.Errorf("want a list, not %v", value)
		}
		field.Set(reflect.ValueOf(all))
	}
	return nil
}
