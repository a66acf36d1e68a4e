/*
 * What the child sheds before the core is loaded into it: everything that it
 * got from the host and that could reach, slow down or mislead the core.
 */
#include "front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CORE_SOCKET 3
#define ALARM_AFTER 5 /* seconds past the front's own deadline */
#define LAST_AFTER 300 /* seconds past the alarm */
#define LOOK_MS 1000  /* how often a child that has ended its part looks for its host */

static pid_t host_pid;
static int host_argc;
static char **host_argv;

/* glibc hands these to constructors; there is no other way to the first environment. */
__attribute__((constructor)) static void remember_host(int argc, char **argv)
{
	host_argc = argc;
	host_argv = argv;
}

/*
 * The core decides one login and ends. Each thread that its runtime starts for
 * work at the same time, and each thread's own arena for malloc, only makes
 * that longer. Where the host had no environment the block has no room: the
 * NULL that ends it must stay.
 */
static void be_quick(char **block)
{
	static char one_processor[] = "GOMAXPROCS=1";
	if (block != NULL) {
		block[0] = one_processor;
	}
	(void)mallopt(M_ARENA_MAX, 1);
}

/*
 * A Go runtime reads its environment behind the host's argv, not from
 * environ. With that block all NULL it also misses the auxiliary vector
 * behind it, and takes /proc/self/auxv instead.
 */
static bool drop_environment(void)
{
	static char *none[] = {NULL};
	if (host_argv != NULL && host_argc >= 0) {
		char **block = host_argv + host_argc + 1;
		bool room = block[0] != NULL;
		for (char **at = block; *at != NULL; at++) {
			*at = NULL;
		}
		be_quick(room ? block : NULL);
	}
	environ = none;
	return true;
}

/*
 * Under su and sudo only the effective id is root's. As long as the real or
 * saved one is the caller's, the caller may signal the child.
 */
static bool become_root(void)
{
	if (geteuid() != 0) {
		return true;
	}
	gid_t rgid;
	gid_t egid;
	gid_t sgid;
	uid_t ruid;
	uid_t euid;
	uid_t suid;
	if (getresgid(&rgid, &egid, &sgid) != 0 || getresuid(&ruid, &euid, &suid) != 0) {
		return false;
	}
	/* Asked for only where it changes something: a host may have given up the capabilities. */
	return (getgroups(0, NULL) == 0 || setgroups(0, NULL) == 0) &&
	       ((rgid == 0 && egid == 0 && sgid == 0) || setresgid(0, 0, 0) == 0) &&
	       ((ruid == 0 && suid == 0) || setresuid(0, 0, 0) == 0);
}

static bool leave_no_dump(void)
{
	const struct rlimit none = {0, 0};
	return prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0;
}

/*
 * -1 if the name is no number. Not strtol: what that is called by, built with
 * glibc 2.38 or later, is a symbol that earlier ones do not have.
 */
static int descriptor_of(const char *name)
{
	int number = 0;
	for (const char *at = name; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || number > (INT_MAX - 9) / 10) {
			return -1;
		}
		number = number * 10 + (*at - '0');
	}
	return number;
}

/* For kernels without close_range. */
static bool close_each_from(int first)
{
	DIR *list = opendir("/proc/self/fd");
	if (list == NULL) {
		return false;
	}
	errno = 0;
	for (const struct dirent *entry; (entry = readdir(list)) != NULL; errno = 0) {
		int fd = descriptor_of(entry->d_name);
		if (fd >= first && fd != dirfd(list)) {
			(void)close(fd);
		}
	}
	bool complete = errno == 0;
	return closedir(list) == 0 && complete;
}

static bool keep_only(int *socket)
{
	int null = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (null < 0) {
		return false;
	}
	/* dup3 refuses equal numbers, and neither source can be below CORE_SOCKET. */
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(*socket, CORE_SOCKET) < 0) {
		return false;
	}
	/* What the core runs must not be able to give verdicts. */
	if (fcntl(CORE_SOCKET, F_SETFD, FD_CLOEXEC) != 0) {
		return false;
	}
	*socket = CORE_SOCKET;
	return syscall(SYS_close_range, CORE_SOCKET + 1, ~0U, 0) == 0 || close_each_from(CORE_SOCKET + 1);
}

/*
 * The child stays until the front is done with it. It may have ended its part
 * while the host is in its conversation, where SIGCHLD is the host's again: a
 * child that left then would be found by the host's handler, or by its wait for any.
 * A front that waits for more is told that none comes; one that was answered
 * ends its side itself, and what it has sent stays unread, which tells it of a
 * core that did not wait for an answer. A socket that others of the host's have
 * inherited says nothing of the host's end.
 */
_Noreturn void child_leave(int status)
{
	struct pollfd front = {.fd = CORE_SOCKET, .events = POLLRDHUP};
	int count = 0;
	if (status != 0) {
		(void)shutdown(CORE_SOCKET, SHUT_WR);
	}
	do {
		count = poll(&front, 1, LOOK_MS);
	} while ((count == 0 || (count < 0 && errno == EINTR)) && getppid() == host_pid);
	_exit(status);
}

static void at_alarm(int number)
{
	(void)number;
	child_leave(1);
}

/*
 * Ends the child even where its caller has stopped it, or the front that it waits for:
 * by then it is better that a host finds its end than that it keeps memory, or a lock
 * that others wait for. Where there is no such timer the alarm ends it at once.
 */
static void end_at_last(unsigned seconds)
{
	struct sigevent end = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	const struct itimerspec when = {.it_value = {.tv_sec = seconds}};
	int timer = 0;
	/* By number: libc's own need a newer one than the rest of the front. */
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &end, &timer) != 0 || syscall(SYS_timer_settime, timer, 0, &when, NULL) != 0) {
		const struct sigaction action = {.sa_handler = SIG_DFL};
		(void)sigaction(SIGALRM, &action, NULL);
	}
}

static bool default_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	for (int number = 1; number < NSIG; number++) {
		/* SIGKILL, SIGSTOP and libc's own refuse. */
		(void)sigaction(number, &action, NULL);
	}
	action.sa_handler = SIG_IGN;
	/* The host's alternate stack may be too small for the core's handlers. */
	const stack_t no_stack = {.ss_flags = SS_DISABLE};
	sigset_t none;
	/* The core's threads have little room for a handler but on a stack of their own for that. */
	const struct sigaction late = {.sa_handler = at_alarm, .sa_flags = SA_ONSTACK};
	return sigaction(SIGPIPE, &action, NULL) == 0 && sigaction(SIGALRM, &late, NULL) == 0 && sigaltstack(&no_stack, NULL) == 0 &&
	       sigemptyset(&none) == 0 && pthread_sigmask(SIG_SETMASK, &none, NULL) == 0;
}

/* The kernel takes no infinite number of descriptors. */
#define DESCRIPTORS 1024
#define FEW_DESCRIPTORS 128

/*
 * The caller of su can lower these to stop the core, or what it writes, half
 * way. Without the privilege the hard limit has to do.
 */
static bool lift_limit(int which, rlim_t to, rlim_t enough)
{
	struct rlimit limit = {to, to};
	if (setrlimit(which, &limit) == 0) {
		return true;
	}
	if (getrlimit(which, &limit) != 0) {
		return false;
	}
	limit.rlim_cur = limit.rlim_max < to ? limit.rlim_max : to;
	return setrlimit(which, &limit) == 0 && limit.rlim_cur >= enough;
}

/*
 * With few descriptors left a name service may stay silent about groups, and
 * the log too; so that is refused here and not left to chance.
 */
static bool lift_limits(void)
{
	static const int limits[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_CPU};
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		if (!lift_limit(limits[i], RLIM_INFINITY, 0)) {
			return false;
		}
	}
	return lift_limit(RLIMIT_NOFILE, DESCRIPTORS, FEW_DESCRIPTORS);
}

/*
 * What the caller of su gave himself less of than others have would have these wait for a
 * lock that the core has. A better priority stays, as only an admin gives that. Real-time
 * scheduling does not: such a process may not be taken into another control group.
 */
static void take_usual_turns(void)
{
	const struct sched_param none = {0};
	if (sched_getscheduler(0) != SCHED_OTHER) {
		(void)sched_setscheduler(0, SCHED_OTHER, &none);
	}
	if (getpriority(PRIO_PROCESS, 0) > 0) {
		(void)setpriority(PRIO_PROCESS, 0, 0);
	}
}

/* Leaves what the caller of su has of his own and root's processes are held by. */
static bool leave_callers(const struct login *login)
{
	if (geteuid() != 0) {
		return true;
	}
	take_usual_turns();
	return cgroups_leave(login);
}

/*
 * The child is not killed with its host: the core sees the socket end, and then
 * has to say in the log that somebody went away at the prompt. The alarm ends
 * a core that sees nothing any more, once the front has let go of it.
 */
bool confine(const struct login *login, int *socket)
{
	const char *failed = NULL;
	host_pid = getppid();
	if (!become_root()) {
		failed = "take root's ids";
	} else if (!keep_only(socket)) {
		failed = "close the host's descriptors";
	} else if (!leave_no_dump()) {
		failed = "turn off core dumps";
	} else if (!default_signals()) {
		failed = "reset signals";
	} else if (setsid() < 0) {
		failed = "leave the session";
	} else if (chdir("/") != 0) {
		failed = "change to /";
	} else if (!lift_limits()) {
		failed = "lift resource limits";
	} else if (!drop_environment()) {
		failed = "empty the environment";
	} else if (!leave_callers(login)) {
		log_fault(login, "the caller's control groups are nested too deep, or are too many; log in from outside of them");
		return false;
	}
	if (failed != NULL) {
		log_fault(login, "the core's child cannot %s: %m", failed);
		return false;
	}
	(void)umask(077);
	unsigned most = (unsigned)login->options.timeout + ALARM_AFTER;
	end_at_last(most + LAST_AFTER);
	(void)alarm(most);
	return true;
}
