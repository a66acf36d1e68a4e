/*
 * The caller's control groups. Somebody who was given some, as systemd gives
 * everybody theirs, may stop or starve whatever runs in them, whoever's it is. A core
 * that is stopped while it has the lock of a person's codes, or of the secret files,
 * keeps all others from these.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"
#define OWN "/otpgate"

/* What is left of /proc/self/cgroup. Static as a thread's stack may be small, and the child has one thread. */
static char memberships[16384];

/* False if the kernel says more than fits, or nothing as a path is too long for it: root makes none that deep. */
static bool read_memberships(int fd)
{
	size_t got = 0;
	ssize_t more = 1;
	while (more > 0 && got < sizeof memberships - 1) {
		more = read(fd, memberships + got, sizeof memberships - 1 - got);
		got += more > 0 ? (size_t)more : 0;
	}
	memberships[got] = '\0';
	return more == 0;
}

/*
 * line is ID:CONTROLLERS:GROUP, where version 2 has no controllers. That one is mounted
 * on the directory itself, and beside version 1 in one of its own. Returns the length of
 * the mount's name in path, 0 if that is no line, and -1 if the whole does not fit.
 */
static int parse(char *line, char *path, size_t size)
{
	char *controllers = memchr(line, ':', strlen(line));
	char *group = controllers == NULL ? NULL : memchr(controllers + 1, ':', strlen(controllers + 1));
	/* What is outside of the namespace is "/..", and no path below the mount. */
	if (group == NULL || group[1] != '/' || strncmp(group + 1, "/..", 3) == 0) {
		return 0;
	}
	*group++ = '\0';
	controllers++;
	static const char named[] = "name=";
	const char *above = "/";
	struct stat there;
	if (*controllers == '\0') {
		above = "";
		controllers = stat(MOUNT "/cgroup.procs", &there) == 0 ? "" : "/unified";
	} else if (strncmp(controllers, named, sizeof named - 1) == 0) {
		controllers += sizeof named - 1;
	}
	int mount = snprintf(path, size, MOUNT "%s%s", above, controllers);
	if (mount < 0 || (size_t)mount >= size) {
		return -1;
	}
	int length = snprintf(path + mount, size - (size_t)mount, "%s", group);
	return length < 0 || (size_t)length >= size - (size_t)mount ? -1 : mount;
}

/* Whether others than root may change a group. */
static bool is_given(const struct stat *group)
{
	return group->st_uid != 0 || (group->st_gid != 0 && (group->st_mode & S_IWGRP) != 0) || (group->st_mode & S_IWOTH) != 0;
}

/* Cuts path before the first group below its mount that was given to somebody; false if none was. */
static bool cut_at_given(char *path, int mount)
{
	char *slash = path + mount;
	for (char *at = slash + 1;; at++) {
		if (*at != '/' && *at != '\0') {
			continue;
		}
		char end = *at;
		*at = '\0';
		struct stat group;
		if (stat(path, &group) == 0 && is_given(&group)) {
			*slash = '\0';
			return true;
		}
		*at = end;
		if (end == '\0') {
			return false;
		}
		slash = at;
	}
}

/* A group with others in it takes no process, and the root of all is counted for nobody. */
static bool enter_own(const char *above)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof path, "%s" OWN, above);
	if (length < 0 || (size_t)length >= sizeof path || (mkdir(path, 0755) != 0 && errno != EEXIST)) {
		return false;
	}
	length = snprintf(path, sizeof path, "%s" OWN "/cgroup.procs", above);
	if (length < 0 || (size_t)length >= sizeof path) {
		return false;
	}
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	bool entered = write(fd, "0", 1) == 1;
	(void)close(fd);
	return entered;
}

/*
 * Where there is no place to go, as in a container that may not change its groups, the
 * login goes on: its caller wants in, and most stop nothing.
 */
bool cgroups_leave(const struct login *login)
{
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return true;
	}
	bool complete = read_memberships(fd);
	(void)close(fd);
	if (!complete) {
		return false;
	}
	for (char *line = memberships; *line != '\0';) {
		size_t length = strlen(line);
		char *end = memchr(line, '\n', length);
		char *next = end == NULL ? line + length : end + 1;
		if (end != NULL) {
			*end = '\0';
		}
		char path[PATH_MAX];
		int mount = parse(line, path, sizeof path);
		if (mount < 0) {
			return false;
		}
		if (mount > 0 && cut_at_given(path, mount) && !enter_own(path)) {
			log_warning(login, "the core stays in a control group of the caller's below %s: %m", path);
		}
		line = next;
	}
	return true;
}
