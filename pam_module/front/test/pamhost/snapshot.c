/* What a login must leave alone: ids, descriptors, children, signals, limits. */
#include "pamhost.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_status(FILE *to)
{
	static const char *const fields[] = {"Umask", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn",
		"SigCgt", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"};
	char line[1024];
	FILE *status = fopen("/proc/thread-self/status", "re");
	while (status != NULL && fgets(line, sizeof line, status) != NULL) {
		for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
			size_t size = strlen(fields[i]);
			if (strncmp(line, fields[i], size) == 0 && line[size] == ':') {
				fputs(line, to);
			}
		}
	}
	if (status != NULL) {
		fclose(status);
	}
}

static void add_descriptors(FILE *to)
{
	DIR *list = opendir("/proc/self/fd");
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		char target[512];
		ssize_t size = readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1);
		if (size > 0 && atoi(entry->d_name) != dirfd(list)) {
			fprintf(to, "fd %s %.*s\n", entry->d_name, (int)size, target);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
}

/*
 * A child that nobody can wait for any more has ended, and has been collected, by the
 * kernel itself where SIGCHLD is ignored: it is listed until the kernel has let go of it.
 */
static bool is_there(pid_t child)
{
	siginfo_t info;
	return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static void add_children(FILE *to)
{
	DIR *list = opendir("/proc/self/task");
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		char path[300];
		int child;
		snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
		FILE *children = fopen(path, "re");
		while (children != NULL && fscanf(children, "%d", &child) == 1) {
			if (is_there(child)) {
				fprintf(to, "child %d\n", child);
			}
		}
		if (children != NULL) {
			fclose(children);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
}

char *snapshot(void)
{
	char *text = NULL, cwd[4096];
	size_t size = 0;
	int pdeathsig = 0;
	FILE *to = open_memstream(&text, &size);
	add_status(to);
	add_descriptors(to);
	add_children(to);
	for (int i = 1; i < NSIG; i++) {
		struct sigaction action;
		if (sigaction(i, NULL, &action) == 0) {
			fprintf(to, "signal %d %p %x\n", i, (void *)(intptr_t)action.sa_handler, (unsigned)action.sa_flags);
		}
	}
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		struct rlimit limit;
		if (getrlimit((__rlimit_resource_t)i, &limit) == 0) {
			fprintf(to, "limit %d %lu %lu\n", i, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
		}
	}
	unsigned long hash = 5381;
	for (char **at = environ; *at != NULL; at++) {
		for (const char *byte = *at; *byte != '\0'; byte++) {
			hash = hash * 33 + (unsigned char)*byte;
		}
	}
	struct itimerval timer;
	getitimer(ITIMER_REAL, &timer);
	prctl(PR_GET_PDEATHSIG, &pdeathsig);
	fprintf(to, "environ %p %lx\ncwd %s\nsession %d %d\n", (void *)environ, hash, getcwd(cwd, sizeof cwd), getsid(0), getpgid(0));
	fprintf(to, "timer %ld\ndumpable %d\npdeathsig %d\n", (long)timer.it_value.tv_sec, prctl(PR_GET_DUMPABLE), pdeathsig);
	fclose(to);
	return text;
}

static bool has_line(const char *text, const char *line, size_t size)
{
	for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n') != NULL ? strchr(at, '\n') + 1 : NULL) {
		if (strncmp(at, line, size) == 0 && at[size] == '\n') {
			return true;
		}
	}
	return false;
}

static void put_missing(FILE *to, const char *sign, const char *from, const char *in, bool *first)
{
	for (const char *at = from, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		if (!has_line(in, at, (size_t)(end - at))) {
			char line[2048];
			snprintf(line, sizeof line, "%s%.*s", sign, (int)(end - at), at);
			fputs(*first ? "" : ",", to);
			put_json(to, line);
			*first = false;
		}
	}
}

void put_changes(FILE *to, const char *before, const char *after)
{
	bool first = true;
	put_missing(to, "-", before, after, &first);
	put_missing(to, "+", after, before, &first);
}
