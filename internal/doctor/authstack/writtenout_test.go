package authstack

import "testing"

func TestTakenBack(t *testing.T) {
	const from, to = WrittenFrom + "\n", WrittenTo + "\n"
	for text, want := range map[string]string{
		"":                     "",
		"auth required a.so\n": "auth required a.so\n",
		from + WrittenFor + "auth\tsubstack x\n" + to:                                        "auth\tsubstack x\n",
		"# a\n" + from + WrittenFor + "auth substack x\r\nauth required a.so\n" + to + "# b": "# a\nauth substack x\r\n# b",
		// Without the line of what stood there, or the end, it is somebody's own by now.
		from + "auth required a.so\n" + to:                                  from + "auth required a.so\n" + to,
		from + WrittenFor + "auth substack x\nauth required a.so\n":         from + WrittenFor + "auth substack x\nauth required a.so\n",
		from + WrittenFor + "a\n" + from + WrittenFor + "b\nx\n" + to + "c": from + WrittenFor + "a\nb\nc",
	} {
		if got := TakenBack(text); got != want {
			t.Errorf("%q\nfound    %q\nexpected %q", text, got, want)
		}
	}
}
