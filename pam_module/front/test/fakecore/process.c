/* What it is and does as a process: how it loads, how long it takes, how it ends. */
#include "fakecore.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char **host_block;

__attribute__((constructor)) static void remember_host(int argc, char **argv)
{
	host_block = argv + argc + 1;
}

/* Whether there was a file KIND.1 to KIND.9 beside the core, each of which is for one child. */
static bool told_to(const char *kind)
{
	Dl_info info;
	if (dladdr(&host_block, &info) == 0) {
		return false;
	}
	int directory = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
	for (int i = 1; i < 10; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%.*s/%s.%d", directory, info.dli_fname, kind, i);
		if (unlink(path) == 0) {
			return true;
		}
	}
	return false;
}

/* What becomes of children of hosts with threads while they load the core. */
__attribute__((constructor)) static void fail_while_loading(void)
{
	if (told_to("crash")) {
		raise(SIGKILL);
	}
	if (told_to("hang")) {
		hang(0);
	}
}

/* Seconds since this process began, by the clock that alarms go by. */
static double age(void)
{
	char stat[1024] = "";
	unsigned long long began = 0;
	struct timespec now = {0};
	FILE *file = fopen("/proc/self/stat", "re");
	if (file != NULL) {
		size_t size = fread(stat, 1, sizeof stat - 1, file);
		stat[size] = '\0';
		fclose(file);
	}
	const char *state = strrchr(stat, ')'); /* of the name, which may hold spaces */
	if (state == NULL || sscanf(state, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &began) != 1) {
		return -1;
	}
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)began / (double)sysconf(_SC_CLK_TCK);
}

/* What the alarm was set to, or a second less or more: some of the process's time may have passed before and since. */
static int alarm_set_to(int expected)
{
	struct itimerval timer;
	getitimer(ITIMER_REAL, &timer);
	double left = (double)timer.it_value.tv_sec + (double)timer.it_value.tv_usec / 1e6;
	if (left > expected) {
		return expected + 1;
	}
	return left + age() >= expected ? expected : expected - 1;
}

/* What the process's own timer was set to, likewise. */
static int last_set_to(int expected)
{
	struct itimerspec timer = {0};
	if (syscall(SYS_timer_gettime, 0, &timer) != 0) {
		return -1;
	}
	double left = (double)timer.it_value.tv_sec + (double)timer.it_value.tv_nsec / 1e9;
	if (left > expected) {
		return expected + 1;
	}
	return left + age() >= expected ? expected : expected - 1;
}

void tell_self(int unused)
{
	char text[8192] = "";
	FILE *out = fmemopen(text, sizeof text, "w");
	char line[512];
	int pdeathsig = 0;
	int named = 0;
	uid_t uid[3];
	gid_t gid[3];
	struct rlimit core, as;
	struct sigaction pipe_action;
	(void)unused;
	while (environ[named] != NULL) {
		named++;
	}
	prctl(PR_GET_PDEATHSIG, &pdeathsig);
	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_AS, &as);
	sigaction(SIGPIPE, NULL, &pipe_action);
	fprintf(out, "environ=%d block=%s\n", named, *host_block == NULL ? "empty" : *host_block);
	fprintf(out, "uid=%d,%d,%d gid=%d,%d,%d groups=%d\n", uid[0], uid[1], uid[2], gid[0], gid[1], gid[2], getgroups(0, NULL));
	fprintf(out, "cwd=%s umask=%03o\n", getcwd(line, sizeof line), umask(0));
	fprintf(out, "pdeathsig=%d dumpable=%d leader=%d alarm=%d", pdeathsig, prctl(PR_GET_DUMPABLE), getsid(0) == getpid(), alarm_set_to(atoi(field(WIRE_TAG_TIMEOUT, line, sizeof line)) + 5));
	fprintf(out, " last=%d\n", last_set_to(atoi(field(WIRE_TAG_TIMEOUT, line, sizeof line)) + 305));
	fprintf(out, "core=%ld as=%s\n", (long)core.rlim_cur, as.rlim_cur == RLIM_INFINITY ? "infinite" : "limited");
	fprintf(out, "sigpipe=%s handlers=", pipe_action.sa_handler == SIG_IGN ? "ignored" : "other");
	for (int i = 1; i < NSIG; i++) {
		struct sigaction action;
		if (i != SIGPIPE && sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
			fprintf(out, "%d,", i);
		}
	}
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	fprintf(out, " blocked=");
	for (int i = 1; i < NSIG; i++) {
		if (sigismember(&mask, i) == 1) {
			fprintf(out, "%d,", i);
		}
	}
	fprintf(out, "\nfds=");
	for (int fd = 0; fd < 4096; fd++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t size = readlink(path, line, sizeof line - 1);
		if (size > 0) {
			line[size] = '\0';
			fprintf(out, "%d:%.9s,", fd, line);
		}
	}
	fprintf(out, "\n");
	fclose(out);
	prompt(WIRE_INFO, text);
	verdict(WIRE_ACCEPT);
}

/* What of the machine this process gets, and who can say how much. */
void tell_share(int unused)
{
	char text[8192];
	char line[6000];
	FILE *groups = fopen("/proc/self/cgroup", "r");
	(void)unused;
	snprintf(text, sizeof text, "group not known");
	while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
		if (strncmp(line, "0::", 3) == 0) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(text, sizeof text, "group=%s policy=%d nice=%d", line + 3, sched_getscheduler(0), getpriority(PRIO_PROCESS, 0));
		}
	}
	prompt(WIRE_INFO, text);
	verdict(WIRE_ACCEPT);
}

void hang(int unused)
{
	(void)unused;
	for (;;) {
		pause();
	}
}

/* For a front whose clock is slower than the alarm. */
void accept_and_hang(int unused)
{
	(void)alarm(0);
	verdict(WIRE_ACCEPT);
	hang(unused);
}

void slow(int delay)
{
	usleep((useconds_t)delay * 1000);
	verdict(WIRE_ACCEPT);
}

/* Slow without silence: each frame comes in time, the dialogue does not. */
void drip(int delay)
{
	for (int i = 0; i < 60; i++) {
		usleep((useconds_t)delay * 1000);
		prompt(WIRE_INFO, "wait");
	}
	verdict(WIRE_ACCEPT);
}

void crash(int number)
{
	raise(number);
	verdict(WIRE_ACCEPT);
}

void leave(int status)
{
	_exit(status);
}

void accept_and_leave(int status)
{
	verdict(WIRE_ACCEPT);
	_exit(status);
}

void accept_and_crash(int number)
{
	verdict(WIRE_ACCEPT);
	raise(number);
}

void grandchild(int unused)
{
	char text[32];
	(void)unused;
	pid_t pid = fork();
	while (pid == 0) {
		pause();
	}
	snprintf(text, sizeof text, "%ld", (long)pid);
	prompt(WIRE_INFO, text);
	verdict(WIRE_ACCEPT);
}

void stdio(int unused)
{
	(void)unused;
	for (int fd = 0; fd < 3; fd++) {
		if (write(fd, "LEAK\n", 5) != 5) {
			verdict(WIRE_FAULT);
			return;
		}
	}
	verdict(WIRE_ACCEPT);
}
