package sftp_test

import "strings"

// comparison is a list of requests in a tree that plant made, by nobody.
type comparison struct {
	name     string
	umask    string
	readOnly bool
	plain    bool // not compared where something is denied: no file is made through a link that leads nowhere
	requests func(root string) []packet
}

// of is for requests that do not name the root.
func of(requests ...packet) func(string) []packet {
	return func(string) []packet { return requests }
}

// each sends the same request with each path.
func each(kind byte, paths []string, rest ...any) func(string) []packet {
	return func(root string) []packet {
		var requests []packet
		for _, path := range paths {
			path = strings.ReplaceAll(path, "ROOT", root)
			requests = append(requests, pkt(kind, append([]any{path}, rest...)...))
		}
		return requests
	}
}

func eachExt(name string, paths []string, rest ...any) func(string) []packet {
	return func(root string) []packet {
		var requests []packet
		for _, path := range paths {
			path = strings.ReplaceAll(path, "ROOT", root)
			requests = append(requests, ext(name, append([]any{path}, rest...)...))
		}
		return requests
	}
}

// join sends what all of them do.
func join(parts ...func(string) []packet) func(string) []packet {
	return func(root string) (all []packet) {
		for _, part := range parts {
			all = append(all, part(root)...)
		}
		return all
	}
}

// paths are of every kind.
var paths = []string{
	"file", "ROOT/file", "./file", "dir/../file", "missing", "missing/x", "file/x", "file/", "dir", "dir/", "dir/.",
	"", ".", "..", "/", "//", "/..", "secret", "closed", "closed/x", "foreign", "foreign/new", "link", "link/", "dirlink",
	"dirlink/", "dirlink/..", "dangling", "dangling/x", "loop", "loop/x", "abs", "abs/one", "up", "up/root/file", "fifo",
	"odd\xff\xfename", "new\nline and space", "suid", "inherit", "sticky/theirs", "theirs", "second",
	strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat("d/", 2000), strings.Repeat("d/", 3000),
	"missing/..", "missing/../file", "file/..", "/dev/null", "/proc/self", "/nonexistent/a/b",
}

// without leaves some paths out.
func without(list []string, out ...string) []string {
	var rest []string
	for _, path := range list {
		keep := true
		for _, other := range out {
			keep = keep && path != other
		}
		if keep {
			rest = append(rest, path)
		}
	}
	return rest
}

const zero64 = uint64(0)

var comparisons = []comparison{
	{name: "stat", requests: each(fxStat, without(paths, "/proc/self", "/dev/null"))},
	{name: "lstat", requests: each(fxLstat, without(paths, "/proc/self", "/dev/null"))},
	{name: "realpath", requests: each(fxRealpath, without(paths, "/proc/self"))},
	{name: "expand-path", requests: eachExt("expand-path@openssh.com", append(without(paths, "/proc/self"), "~", "~/", "~/x", "~root", "~root/x", "~nosuchuser", "~nosuchuser/x", "a~b"))},
	{name: "readlink", requests: each(fxReadlink, without(paths, "/proc/self"))},
	{name: "open to read", requests: each(fxOpen, without(paths, "fifo"), opRead, noAttrs)},
	{name: "open to write", requests: each(fxOpen, without(paths, "fifo"), opWrite, noAttrs)},
	{name: "create", requests: each(fxOpen, without(paths, "fifo", "dangling"), opWrite|opCreate|opTrunc, noAttrs)},
	{name: "create through a link", plain: true, requests: each(fxOpen, []string{"dangling", "link", "link"}, opWrite|opCreate, noAttrs)},
	{name: "create with umask 077", umask: "077", requests: each(fxOpen, []string{"a", "dir/a", "inherit/a"}, opWrite|opCreate, noAttrs)},
	{name: "create with umask 002", umask: "002", requests: each(fxOpen, []string{"a", "dir/a", "inherit/a", "sticky/a"}, opWrite|opCreate, noAttrs)},
	{name: "create with a mode", umask: "002", requests: join(
		each(fxOpen, []string{"a", "inherit/a"}, opWrite|opCreate, withMode(0o666)),
		each(fxOpen, []string{"b", "inherit/b"}, opWrite|opCreate, withMode(0o4777)),
		each(fxOpen, []string{"c"}, opWrite|opCreate, withMode(0)),
		each(fxOpen, []string{"c"}, opWrite, noAttrs),
		each(fxOpen, []string{"d"}, opWrite|opCreate, withMode(0o100640)),
	)},
	{name: "create anew", requests: each(fxOpen, []string{"file", "new", "link", "dangling", "dir", "foreign/x", "missing/x"}, opWrite|opCreate|opX, noAttrs)},
	{name: "odd flags of open", requests: of(
		pkt(fxOpen, "file", uint32(0), noAttrs),
		pkt(fxOpen, "new", opCreate, noAttrs),
		pkt(fxOpen, "link", opTrunc|opRead, noAttrs),
		pkt(fxOpen, "full/one", opRead|opWrite, withSize(5)),
		pkt(fxOpen, "full/one", uint32(0xffffffc0)|opRead, noAttrs),
		pkt(fxOpen, "new2", opRead|opCreate|opX, raw(be32(0x80000000)+be32(1)+be32(1)+"a"+be32(1)+"b")),
	)},
	{name: "read", requests: of(
		pkt(fxOpen, "file", opRead, noAttrs),
		pkt(fxRead, opened(0), zero64, uint32(4)), pkt(fxRead, opened(0), uint64(8), uint32(4)),
		pkt(fxRead, opened(0), uint64(10), uint32(4)), pkt(fxRead, opened(0), uint64(1)<<40, uint32(4)),
		pkt(fxRead, opened(0), uint64(1)<<63, uint32(4)), pkt(fxRead, opened(0), zero64, uint32(0xffffffff)),
		pkt(fxRead, opened(0), uint64(3), uint32(0)),
		pkt(fxRead, "", zero64, uint32(4)), pkt(fxRead, "\x00\x00\x00\x09", zero64, uint32(4)), pkt(fxRead, strings.Repeat("h", 300), zero64, uint32(4)),
		pkt(fxWrite, opened(0), zero64, "text"), pkt(fxWrite, opened(0), zero64, ""),
		pkt(fxFsetstat, opened(0), withSize(3)),
		pkt(fxReaddir, opened(0)),
		pkt(fxClose, opened(0)), pkt(fxClose, opened(0)), pkt(fxRead, opened(0), zero64, uint32(4)), pkt(fxFstat, opened(0)), pkt(fxClose, "x"),
	)},
	{name: "read a directory as a file", requests: of(
		pkt(fxOpen, "dir", opRead, noAttrs), pkt(fxRead, opened(0), zero64, uint32(4)), pkt(fxFstat, opened(0)), pkt(fxClose, opened(0)),
	)},
	{name: "write", requests: of(
		pkt(fxOpen, "file", opWrite, noAttrs),
		pkt(fxWrite, opened(0), uint64(2), "ab"), pkt(fxWrite, opened(0), uint64(20), "cd"), pkt(fxWrite, opened(0), uint64(1)<<63, "x"),
		pkt(fxRead, opened(0), zero64, uint32(4)),
		pkt(fxOpen, "second", opRead|opWrite, noAttrs),
		pkt(fxWrite, opened(1), uint64(6)<<30, "beyond"), pkt(fxRead, opened(1), uint64(6)<<30-2, uint32(20)),
		pkt(fxFstat, opened(1)), pkt(fxFsetstat, opened(1), withSize(5)), pkt(fxFstat, opened(1)),
		ext("fsync@openssh.com", opened(1)), pkt(fxClose, opened(1)), ext("fsync@openssh.com", opened(1)),
		pkt(fxWrite, opened(1), zero64, "x"),
	)},
	{name: "append", requests: of(
		pkt(fxOpen, "file", opWrite|opAppend, noAttrs),
		pkt(fxWrite, opened(0), zero64, "ab"), pkt(fxWrite, opened(0), uint64(5), "cd"), pkt(fxClose, opened(0)),
		pkt(fxOpen, "new", opWrite|opAppend|opCreate, noAttrs),
		pkt(fxWrite, opened(1), uint64(100), "ab"), pkt(fxClose, opened(1)),
		pkt(fxOpen, "file", opRead|opWrite|opAppend, noAttrs), pkt(fxWrite, opened(2), zero64, "Z"),
		// An offset that no file has does not matter where it is not looked at.
		pkt(fxWrite, opened(2), uint64(1)<<63, "far"), pkt(fxWrite, opened(2), ^uint64(0), "last"), pkt(fxRead, opened(2), zero64, uint32(40)),
	)},
	{name: "setstat", requests: join(
		each(fxSetstat, without(paths, "/proc/self", "/dev/null", "fifo"), withMode(0o751)),
		each(fxSetstat, []string{"file", "secret", "theirs", "missing", "link", "dirlink", "dir"}, withSize(4)),
		each(fxSetstat, []string{"file", "secret", "theirs", "missing", "link", "dirlink", "dir"}, withTimes(1, 0xfffffff0)),
		each(fxSetstat, []string{"file", "secret", "missing", "link", "dir"}, withOwner(65534, 60)),
		each(fxSetstat, []string{"file", "secret", "missing", "link", "dir"}, withOwner(0, 0)),
		each(fxSetstat, []string{"full/one"}, raw(be32(1|4|8)+be32(0)+be32(7)+be32(0o4750)+be32(5)+be32(6))),
		each(fxSetstat, []string{"file", "missing"}, noAttrs),
		each(fxSetstat, []string{"full/one"}, raw(be32(1|2)+be32(0)+be32(3)+be32(0)+be32(0))),
		each(fxSetstat, []string{"full/one"}, withSize(1<<63)),
	)},
	{name: "fsetstat", requests: join(of(
		pkt(fxOpen, "file", opRead|opWrite, noAttrs), pkt(fxOpen, "theirs", opRead, noAttrs), pkt(fxOpen, "dir", opRead, noAttrs)),
		of(pkt(fxFsetstat, opened(0), withMode(0o6751)), pkt(fxFsetstat, opened(0), withTimes(77, 88)),
			pkt(fxFsetstat, opened(0), withOwner(65534, 60)), pkt(fxFsetstat, opened(0), withOwner(0, 60)),
			pkt(fxFsetstat, opened(1), withMode(0o777)), pkt(fxFsetstat, opened(1), withTimes(7, 8)), pkt(fxFsetstat, opened(1), withSize(0)),
			pkt(fxFsetstat, opened(2), withMode(0o711)), pkt(fxFsetstat, opened(2), withTimes(7, 8)), pkt(fxFsetstat, opened(2), withSize(8)),
			pkt(fxFsetstat, opened(0), raw(be32(15)+be32(0)+be32(3)+be32(0)+be32(0)+be32(0o600)+be32(5)+be32(6))),
			pkt(fxFsetstat, "nothing", withMode(0o6751)), pkt(fxFstat, opened(0)), pkt(fxFsetstat, opened(0), noAttrs)),
	)},
	{name: "lsetstat", requests: join(
		eachExt("lsetstat@openssh.com", []string{"link", "dangling", "file", "missing", "secret"}, withTimes(100, 200)),
		eachExt("lsetstat@openssh.com", []string{"file", "dir", "missing", "secret", "closed/x"}, withMode(0o640)),
		eachExt("lsetstat@openssh.com", []string{"link", "dangling", "dirlink"}, withMode(0o640)),
		eachExt("lsetstat@openssh.com", []string{"link", "dangling", "file", "secret"}, withOwner(65534, 60)),
		eachExt("lsetstat@openssh.com", []string{"link", "file", "missing"}, withSize(3)),
	)},
	{name: "mkdir", requests: join(
		each(fxMkdir, without(paths, "/proc/self"), noAttrs),
		each(fxMkdir, []string{"new1", "inherit/new1"}, withMode(0o750)),
		each(fxMkdir, []string{"new2", "inherit/new2"}, withMode(0o7777)),
		each(fxMkdir, []string{"new3"}, withSize(1)),
	)},
	{name: "mkdir with umask 077", umask: "077", requests: each(fxMkdir, []string{"a", "inherit/a"}, noAttrs)},
	{name: "mkdir with umask 0", umask: "0", requests: each(fxMkdir, []string{"a", "inherit/a"}, noAttrs)},
	{name: "rmdir", requests: each(fxRmdir, without(paths, "/proc/self"))},
	{name: "remove", requests: each(fxRemove, without(paths, "/proc/self"))},
	{name: "rename", requests: renames(func(from, to string) packet { return pkt(fxRename, from, to) })},
	{name: "posix-rename", requests: renames(func(from, to string) packet { return ext("posix-rename@openssh.com", from, to) })},
	{name: "hardlink", requests: renames(func(from, to string) packet { return ext("hardlink@openssh.com", from, to) })},
	{name: "symlink", requests: renames(func(target, path string) packet { return pkt(fxSym, target, path) })},
	{name: "list", requests: func(root string) (all []packet) {
		for i, path := range []string{".", "full", "abs", "dirlink", "inherit", "sticky", "foreign"} {
			all = append(all, pkt(fxOpendir, path), pkt(fxReaddir, opened(i)), pkt(fxReaddir, opened(i)),
				pkt(fxReaddir, opened(i)), pkt(fxFstat, opened(i)), pkt(fxFsetstat, opened(i), withMode(0o700)),
				pkt(fxRead, opened(i), zero64, uint32(9)), pkt(fxClose, opened(i)), pkt(fxReaddir, opened(i)))
		}
		return append(all, each(fxOpendir, []string{"file", "link", "dangling", "loop", "missing", "closed", "secret", "", "fifo"})(root)...)
	}},
	{name: "statvfs", requests: join(
		eachExt("statvfs@openssh.com", []string{".", "file", "link", "missing", "closed/x", "/proc", "/dev/shm", ""}),
		of(pkt(fxOpen, "file", opRead, noAttrs), ext("fstatvfs@openssh.com", opened(0)), ext("fstatvfs@openssh.com", "no"),
			pkt(fxOpendir, "."), ext("fstatvfs@openssh.com", opened(1))),
	)},
	{name: "copy-data", requests: of(
		pkt(fxOpen, "file", opRead, noAttrs), pkt(fxOpen, "new", opRead|opWrite|opCreate, noAttrs),
		ext("copy-data", opened(0), zero64, zero64, opened(1), zero64),
		ext("copy-data", opened(0), uint64(2), uint64(3), opened(1), uint64(20)),
		ext("copy-data", opened(0), uint64(2), uint64(30), opened(1), uint64(50)),
		ext("copy-data", opened(0), uint64(20), zero64, opened(1), uint64(60)),
		ext("copy-data", opened(0), uint64(20), uint64(1), opened(1), uint64(60)),
		ext("copy-data", opened(0), zero64, zero64, opened(0), zero64),
		ext("copy-data", opened(1), zero64, uint64(4), opened(0), zero64),
		ext("copy-data", opened(1), zero64, uint64(4), opened(1), uint64(40)),
		pkt(fxOpen, "file", opRead|opWrite, noAttrs),
		ext("copy-data", opened(0), zero64, uint64(4), opened(2), uint64(40)),
		ext("copy-data", "no", zero64, uint64(4), opened(2), uint64(40)),
		pkt(fxOpen, "log", opWrite|opCreate|opAppend, noAttrs),
		ext("copy-data", opened(0), uint64(1), uint64(5), opened(3), zero64),
		ext("copy-data", opened(0), uint64(1), uint64(5), opened(3), zero64),
	)},
	{name: "copy-data of lengths and offsets beyond any file", requests: of(
		pkt(fxOpen, "file", opRead, noAttrs), pkt(fxOpen, "new", opRead|opWrite|opCreate, noAttrs),
		ext("copy-data", opened(0), uint64(3), uint64(1)<<63, opened(1), zero64), pkt(fxRead, opened(1), zero64, uint32(40)),
		ext("copy-data", opened(0), uint64(3), ^uint64(0), opened(1), uint64(20)), pkt(fxRead, opened(1), zero64, uint32(40)),
		ext("copy-data", opened(0), zero64, uint64(1)<<62, opened(1), uint64(50)),
		ext("copy-data", opened(0), uint64(1)<<63, zero64, opened(1), zero64),
		ext("copy-data", opened(0), zero64, zero64, opened(1), uint64(1)<<63),
		pkt(fxOpen, "log", opRead|opWrite|opCreate|opAppend, noAttrs),
		ext("copy-data", opened(0), uint64(1), uint64(1)<<63, opened(2), uint64(1)<<63), pkt(fxRead, opened(2), zero64, uint32(40)),
		ext("copy-data", opened(0), uint64(1), uint64(5), opened(2), ^uint64(0)), pkt(fxRead, opened(2), zero64, uint32(40)),
		pkt(fxFstat, opened(1)),
		ext("copy-data", opened(0), zero64, uint64(128<<10), opened(1), zero64), ext("copy-data", opened(0), zero64, uint64(128<<10+1), opened(1), zero64),
		// Of a file of whole chunks, and a byte more.
		pkt(fxFsetstat, opened(1), withSize(128<<10)), pkt(fxOpen, "copy", opWrite|opCreate, noAttrs),
		ext("copy-data", opened(1), zero64, uint64(192<<10), opened(3), zero64), ext("copy-data", opened(1), zero64, uint64(192<<10+1), opened(3), zero64),
		pkt(fxFsetstat, opened(1), withSize(128<<10+1)),
		ext("copy-data", opened(1), zero64, uint64(256<<10), opened(3), zero64), ext("copy-data", opened(1), zero64, uint64(256<<10+1), opened(3), zero64),
	)},
	{name: "exists", requests: of(
		pkt(fxMkdir, "dir", noAttrs), pkt(fxMkdir, "file", noAttrs), pkt(fxOpen, "file", opWrite|opCreate|opX, noAttrs),
		pkt(fxSym, "x", "file"), ext("hardlink@openssh.com", "file", "second"), pkt(fxRename, "file", "second"), pkt(fxRename, "file", "dir"),
	)},
	{name: "users and groups", requests: of(
		ext("users-groups-by-id@openssh.com", be32(0)+be32(65534)+be32(4000000), be32(0)+be32(60)+be32(4000000)),
		ext("users-groups-by-id@openssh.com", "", ""),
		ext("users-groups-by-id@openssh.com", be32(0), ""),
	)},
	{name: "home directory", requests: of(
		ext("home-directory", ""), ext("home-directory", "root"), ext("home-directory", "nobody"), ext("home-directory", "nosuchuser"),
	)},
	{name: "unknown extension", requests: of(ext("nothing@example.com", "x"), ext(""))},
	{name: "read only", readOnly: true, requests: join(
		each(fxOpen, []string{"file", "missing", "secret"}, opRead, noAttrs),
		each(fxOpen, []string{"file", "missing", "secret"}, opWrite, noAttrs),
		each(fxOpen, []string{"file", "new"}, opRead|opWrite|opCreate, noAttrs),
		each(fxOpen, []string{"file"}, opWrite|opTrunc, noAttrs),
		of(pkt(fxWrite, opened(0), zero64, "x"), pkt(fxFsetstat, opened(0), withMode(0o600)), pkt(fxSetstat, "file", withMode(0o600)),
			pkt(fxMkdir, "new", noAttrs), pkt(fxRmdir, "dir"), pkt(fxRemove, "file"), pkt(fxRename, "file", "x"), pkt(fxSym, "a", "b"),
			ext("posix-rename@openssh.com", "file", "x"), ext("hardlink@openssh.com", "file", "x"), ext("lsetstat@openssh.com", "file", withMode(0o600)),
			ext("fsync@openssh.com", opened(0)), ext("copy-data", opened(0), zero64, zero64, opened(0), zero64)),
		each(fxStat, []string{"file"}),
		each(fxReadlink, []string{"link"}),
	)},
}

// renames tries pairs of every kind.
func renames(request func(from, to string) packet) func(string) []packet {
	return of(
		request("file", "new"), request("new", "second"), request("full/one", "full/one"), request("missing", "new2"), request("missing", "second"),
		request("dir", "dir2"), request("dir2", "full"), request("full", "inherit"), request("dir2", "dir2/sub"),
		request("dangling", "new3"), request("abs", "new4"), request("secret", "mine"), request("theirs", "mine"), request("suid", "foreign/x"),
		request("closed/x", "x"), request("suid", "closed/x"), request("suid", "dir2"), request("suid", "missing/x"), request("sticky/theirs", "x"),
		request("suid", "suid/"), request("suid", ""), request("", "x"), request("fifo", "fifo2"), request("link", "link2"), request("suid", "link2"),
		request("odd\xff\xfename", "odd\xfe"), request(strings.Repeat("n", 300), "x"), request("suid", strings.Repeat("n", 300)),
		request("suid", other), request("dir2", "."), request(".", "x"), request("..", "x"),
	)
}
