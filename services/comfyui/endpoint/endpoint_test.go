package endpoint

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	all, wrong := Parse(map[string]string{
		"colab":    "https://some-words.trycloudflare.com/\n",
		"box":      `{"url":"http://10.0.0.5:8188/comfy/","weight":2.5,"gpu":"Tesla T4","more":1}`,
		"UPPER":    "https://a.example",
		"none":     "",
		"noscheme": "some-words.trycloudflare.com",
		"file":     "file:///etc/passwd",
		"user":     "https://me:confidential@a.example",
		"query":    "https://a.example/?x=1",
		"odd":      "https://me:confidential word@a.example",
		"heavy":    `{"url":"https://a.example","weight":-1}`,
		"broken":   `{"url":`,
	})
	if len(all) != 2 || all[0].Name != "box" || all[0].URL != "http://10.0.0.5:8188/comfy" || all[0].Weight != 2.5 || all[1].URL != "https://some-words.trycloudflare.com" || all[1].Weight != 1 {
		t.Errorf("%+v", all)
	}
	if len(wrong) != 9 || strings.Contains(strings.Join(wrong, " "), "confidential") {
		t.Errorf("%q", wrong)
	}
	again, wrong := Parse(map[string]string{"box": all[0].Text()})
	if len(wrong) != 0 || again[0] != all[0] {
		t.Errorf("%+v %q", again, wrong)
	}
	many := map[string]string{}
	for c := 'a'; c <= 'z'; c++ {
		many[string(c)], many[string(c)+"2"] = "https://a.example", "https://b.example"
	}
	if all, wrong := Parse(many); len(all) != Most || len(wrong) != 52-Most {
		t.Errorf("%d, %d", len(all), len(wrong))
	}
}
