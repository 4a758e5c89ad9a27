package verify

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/report"
)

// The parts of SARIF 2.1.0 that code scanning reads:
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
		// ColumnKind is what columns count.
		ColumnKind string `json:"columnKind"`
		// Properties may hold anything: here, what upgrades would change.
		Properties map[string]any `json:"properties,omitempty"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
		Help             sarifText `json:"help"`
	}
	sarifText   struct{ Text string } // marshalled with a lower-case key below
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
		EndColumn   int `json:"endColumn,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

func (t sarifText) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"text": t.Text})
}

// checksOf are the checks of all results, each once.
func checksOf(all []*Result) []*check.Check {
	if len(all) == 0 {
		return new(Result).checks()
	}
	var checks []*check.Check
	for _, r := range all {
		for _, c := range r.checks() {
			if !slices.Contains(checks, c) {
				checks = append(checks, c)
			}
		}
	}
	return checks
}

// SARIF writes findings for code scanning. Accepted ones are in it, marked as
// suppressed.
//
// Many charts are one run, since code scanning takes one of a tool.
func SARIF(w io.Writer, all ...*Result) error {
	run := sarifRun{Results: []sarifResult{}, ColumnKind: "utf16CodeUnits"}
	var upgrades []Upgrade
	for _, r := range all {
		upgrades = append(upgrades, r.Upgrades...)
	}
	if len(upgrades) > 0 {
		run.Properties = map[string]any{"upgrades": upgrades}
	}
	run.Tool.Driver = sarifDriver{Name: "charttest verify", InformationURI: "https://github.com/ai-film/ai-film"}
	for _, c := range checksOf(all) {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Name, sarifText{c.Why}, sarifText{c.Remedy}})
	}
	var findings []check.Finding
	for _, r := range all {
		findings = append(append(findings, r.Findings...), r.Accepted...)
	}
	ranges := ranges{}
	for _, f := range findings {
		result := sarifResult{RuleID: f.Check, Level: "error", Message: sarifText{subject(f) + "\n" + f.Remedy}}
		at := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: filepath.ToSlash(report.Relative(f.File))}}}
		if f.Line > 0 {
			at.Physical.Region = &sarifRegion{StartLine: f.Line}
			if r := ranges.of(f); r.Start.Line == r.End.Line {
				at.Physical.Region.StartColumn, at.Physical.Region.EndColumn = r.Start.Character+1, r.End.Character+1
			}
		}
		result.Locations = []sarifLocation{at}
		if f.Accepted != "" {
			result.Suppressions = []sarifSuppression{{Kind: "external", Justification: f.Accepted}}
		}
		run.Results = append(run.Results, result)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	})
}
