package etcdledger

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A member that hangs is not asked again because each of the others was late once: a login asks
// three times alone. Once nobody else answers it is.
func TestHungMemberIsLeft(t *testing.T) {
	open := func(endpoint string) (*clientv3.Client, error) {
		return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	}
	m := &members{}
	for _, name := range []string{"a", "b", "c"} {
		m.all = append(m.all, &member{endpoint: "127.0.0.1:1#" + name, open: open, patience: time.Hour})
	}
	defer m.close()
	// ask asks once. Those that are named are late.
	ask := func(late string) string {
		asked := ""
		_ = m.ask(t.Context(), func(_ context.Context, client *clientv3.Client) error {
			_, asked, _ = strings.Cut(client.Endpoints()[0], "#")
			if strings.Contains(late, asked) {
				return context.DeadlineExceeded
			}
			return nil
		})
		return asked
	}
	for n, step := range []struct{ late, asked string }{
		{"", "a"},
		{"a", "a"}, {"a", "b"}, // it is left
		{"ab", "b"}, {"a", "c"}, {"a", "c"},
		{"abc", "c"}, {"abc", "a"}, // each has failed once
		{"a", "b"},
		{"ab", "b"}, {"abc", "c"}, {"abc", "b"}, {"abc", "c"}, // a was late twice
		{"bc", "a"}, {"bc", "a"},
	} {
		if asked := ask(step.late); asked != step.asked {
			t.Errorf("question %d: asked %s, expected %s", n, asked, step.asked)
		}
	}
}
