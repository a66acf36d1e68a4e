package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ErrNoSudoers says that sudo's own parser is not there.
var ErrNoSudoers = errors.New("there is no cvtsudoers, which belongs to sudo")

// cvtsudoers has sudo's own parser read a text, with Defaults of one type, and
// returns what it makes of that as JSON, with aliases put in.
func cvtsudoers(ctx context.Context, text []byte, defaults string) ([]byte, error) {
	path, err := exec.LookPath("cvtsudoers")
	if err != nil {
		return nil, ErrNoSudoers
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-e", "-f", "json", "-d", defaults, "-")
	cmd.Stdin = bytes.NewReader(text)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return nil, fmt.Errorf("cvtsudoers: %w: %s", err, said)
	}
	return out, nil
}
