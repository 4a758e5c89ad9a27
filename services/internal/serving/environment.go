package serving

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Env is the environment variable name, or fallback where it is unset or empty.
func Env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// EnvInt is the environment variable name as a whole number between least and most. The error names the variable.
func EnvInt(name string, fallback, least, most int) (int, error) {
	v := os.Getenv(name)
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s=%q: want a whole number from %d to %d", name, v, least, most)
	}
	return n, nil
}

// EnvDuration is the environment variable name as a positive duration ("15m", "90s"). The error names the variable.
func EnvDuration(name string, fallback time.Duration) (time.Duration, error) {
	v := os.Getenv(name)
	if v == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s=%q: want a positive duration such as 15m", name, v)
	}
	return d, nil
}
