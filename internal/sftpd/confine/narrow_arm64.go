package confine

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

var otherTables []unix.SockFilter

var forbiddenHere = []uint32{unix.SYS_RENAMEAT}
