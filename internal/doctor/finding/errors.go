package finding

import (
	"regexp"
	"strconv"
	"strings"
)

// Unplaced is an error's text without the place that a finding says itself.
func Unplaced(path string, err error) string {
	text := strings.TrimPrefix(err.Error(), "secret file: ")
	return regexp.MustCompile("^"+regexp.QuoteMeta(path)+`(:\d+)?: `).ReplaceAllString(text, "")
}

// LineIn finds the line that an error names behind a file's path.
func LineIn(path string, err error) int {
	match := regexp.MustCompile(regexp.QuoteMeta(path) + `:(\d+)`).FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	line, _ := strconv.Atoi(match[1])
	return line
}
