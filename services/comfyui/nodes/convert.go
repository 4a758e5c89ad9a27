package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

func compare(a, b json.Number) int {
	x, _ := new(big.Float).SetPrec(128).SetString(a.String())
	y, _ := new(big.Float).SetPrec(128).SetString(b.String())
	if x == nil || y == nil {
		return 0
	}
	return x.Cmp(y)
}

// convert does what int(), float(), str() and bool() of Python would.
func convert(kind string, value any) (any, error) {
	switch kind {
	case "INT":
		return toInt(value)
	case "FLOAT":
		return toFloat(value)
	case "STRING":
		return pythonStr(value), nil
	case "BOOLEAN":
		switch value := value.(type) {
		case nil:
			return false, nil
		case bool:
			return value, nil
		case string:
			return value != "", nil
		case json.Number:
			f, _ := value.Float64()
			return f != 0, nil
		}
		return true, nil
	}
	return value, nil
}

func toInt(value any) (any, error) {
	switch value := value.(type) {
	case bool:
		if value {
			return json.Number("1"), nil
		}
		return json.Number("0"), nil
	case json.Number:
		if i, ok := new(big.Int).SetString(value.String(), 10); ok {
			return json.Number(i.String()), nil
		}
		f, ok := new(big.Float).SetString(value.String())
		if !ok || f.MantExp(nil) > 1100 {
			return nil, errors.New("cannot convert float infinity to integer")
		}
		i, _ := f.Int(nil)
		return json.Number(i.String()), nil
	case string:
		if i, ok := new(big.Int).SetString(strings.TrimSpace(value), 10); ok {
			return json.Number(i.String()), nil
		}
		return nil, fmt.Errorf("invalid literal for int() with base 10: %s", pythonRepr(value))
	}
	return nil, fmt.Errorf("int() argument must be a string, a bytes-like object or a real number, not '%s'", pythonType(value))
}

func toFloat(value any) (any, error) {
	switch value := value.(type) {
	case bool:
		if value {
			return json.Number("1.0"), nil
		}
		return json.Number("0.0"), nil
	case json.Number:
		if _, err := value.Float64(); err != nil {
			return nil, errors.New("could not convert a number this large to float")
		}
		return value, nil
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && f-f == 0 { // neither NaN nor infinite
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
		return nil, fmt.Errorf("could not convert string to float: %s", pythonRepr(value))
	}
	return nil, fmt.Errorf("float() argument must be a string or a real number, not '%s'", pythonType(value))
}

func pythonType(value any) string {
	switch value.(type) {
	case nil:
		return "NoneType"
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	}
	return "object"
}

func pythonStr(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return pythonRepr(value)
}

func pythonRepr(value any) string {
	switch value := value.(type) {
	case nil:
		return "None"
	case bool:
		if value {
			return "True"
		}
		return "False"
	case string:
		if strings.Contains(value, "'") && !strings.Contains(value, `"`) {
			return `"` + value + `"`
		}
		return "'" + strings.ReplaceAll(value, "'", `\'`) + "'"
	case json.Number:
		return value.String()
	case []any:
		parts := make([]string, len(value))
		for i, v := range value {
			parts[i] = pythonRepr(v)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		encoded, _ := json.Marshal(value)
		return string(encoded)
	}
	return fmt.Sprint(value)
}

func pythonList(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = pythonRepr(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
