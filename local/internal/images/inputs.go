package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Tag returns the tag of the image that a Containerfile would make now: a hash of its text and of every file it copies
// from the context, names and executable bits included, times and owners not. The second result lists those files,
// relative to the context.
func Tag(containerfile, context string) (string, []string, error) {
	text, err := os.ReadFile(containerfile)
	if err != nil {
		return "", nil, err
	}
	sources, err := copied(string(text))
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", containerfile, err)
	}
	ignore, err := ignored(context)
	if err != nil {
		return "", nil, err
	}
	var files []string
	for _, source := range sources {
		found, err := filesOf(context, source, ignore)
		if err != nil {
			return "", nil, fmt.Errorf("%s: COPY %s: %w", containerfile, source, err)
		}
		files = append(files, found...)
	}
	sort.Strings(files)
	h := sha256.New()
	h.Write(text)
	for i, file := range files {
		if i > 0 && files[i-1] == file {
			continue
		}
		if err := hashFile(h, context, file); err != nil {
			return "", nil, err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], files, nil
}

// copied returns the sources of the COPY and ADD instructions that read from the context.
func copied(text string) ([]string, error) {
	var sources []string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if instruction := strings.ToUpper(words[0]); instruction != "COPY" && instruction != "ADD" {
			continue
		}
		words = words[1:]
		fromImage := false
		for len(words) > 0 && strings.HasPrefix(words[0], "--") {
			fromImage = fromImage || strings.HasPrefix(words[0], "--from")
			words = words[1:]
		}
		if fromImage {
			continue
		}
		if rest := strings.Join(words, " "); strings.HasPrefix(rest, "[") {
			words = nil
			if err := json.Unmarshal([]byte(rest), &words); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("%q: needs a source and a destination", line)
		}
		for _, source := range words[:len(words)-1] {
			if strings.Contains(source, "$") {
				return nil, fmt.Errorf("%q: a variable as source can't be followed; name the file", line)
			}
			if !strings.Contains(source, "://") {
				sources = append(sources, source)
			}
		}
	}
	return sources, nil
}

func ignored(context string) (*patternmatcher.PatternMatcher, error) {
	f, err := os.Open(filepath.Join(context, ".dockerignore"))
	if errors.Is(err, os.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}

func filesOf(context, source string, ignore *patternmatcher.PatternMatcher) ([]string, error) {
	matches, err := filepath.Glob(filepath.Join(context, filepath.Clean("/"+source)))
	if err != nil {
		return nil, err
	}
	if len(matches) == 0 {
		return nil, fmt.Errorf("nothing of that name in %s", context)
	}
	var files []string
	for _, match := range matches {
		err := filepath.WalkDir(match, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(context, path)
			if err != nil {
				return err
			}
			skip, err := ignore.MatchesOrParentMatches(relative)
			if err != nil {
				return err
			}
			if !d.IsDir() && !skip {
				files = append(files, relative)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func hashFile(h io.Writer, context, file string) error {
	path := filepath.Join(context, file)
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "\x00%s\x00%o\x00", file, info.Mode()&(fs.ModeType|0o111))
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		fmt.Fprint(h, target)
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither file, directory nor link: an image can't hold it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return err
}

// FileTag returns the tag of an image that consists of one file.
func FileTag(file string) (string, error) {
	h := sha256.New()
	if err := hashFile(h, filepath.Dir(file), filepath.Base(file)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
