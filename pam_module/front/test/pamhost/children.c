/* What the host does about SIGCHLD, and a child of its own. */
#include "pamhost.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_int signals_seen;
static atomic_int reaped_status = -1;
static atomic_int own_pid;

static void on_sigchld(int number)
{
	int saved = errno, status;
	(void)number;
	signals_seen++;
	if (strcmp(want.sigchld, "reap") == 0) {
		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
			if (pid == own_pid) {
				reaped_status = WEXITSTATUS(status);
			}
		}
	}
	errno = saved;
}

void set_sigchld(void)
{
	struct sigaction action = {.sa_flags = SA_RESTART};
	if (strcmp(want.sigchld, "ignore") == 0) {
		action.sa_handler = SIG_IGN;
	} else if (strcmp(want.sigchld, "reap") == 0 || strcmp(want.sigchld, "count") == 0) {
		action.sa_handler = on_sigchld;
	} else if (strcmp(want.sigchld, "blocked") == 0) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	sigaction(SIGCHLD, &action, NULL);
}

void start_own_child(void)
{
	signals_seen = 0;
	if (want.own_child < 0) {
		return;
	}
	/* Blocked until the handler can tell the child by its number. */
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	pid_t pid = fork();
	if (pid == 0) {
		usleep((useconds_t)want.own_child * 1000);
		_exit(7);
	}
	own_pid = pid;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int collect_own_child(void)
{
	int status = 0, found = -1;
	pid_t pid = 0;
	while (want.own_child >= 0 && (pid = waitpid(own_pid, &status, 0)) < 0 && errno == EINTR) {
	}
	if (pid == own_pid) {
		found = WEXITSTATUS(status);
	} else if (pid < 0) {
		/* It has ended, and the handler has its status if it was there first. */
		found = reaped_status;
	}
	if (strcmp(want.sigchld, "blocked") == 0) {
		const struct timespec none = {0, 0};
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		while (sigtimedwait(&set, NULL, &none) == SIGCHLD) {
			signals_seen++;
		}
	}
	return found;
}

int sigchld_count(void)
{
	return signals_seen;
}
