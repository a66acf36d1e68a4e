/*
 * The end of the child, without the host noticing that there was one: hosts
 * ignore SIGCHLD, reap whatever they find, or count on the signal.
 */
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_MS 5000
#define STEP_MS 5

static bool only_sigchld(sigset_t *set)
{
	return sigemptyset(set) == 0 && sigaddset(set, SIGCHLD) == 0;
}

bool sigchld_hold(struct sigchld *sigchld)
{
	sigset_t set;
	sigset_t pending;
	if (!only_sigchld(&set) || sigpending(&pending) != 0 || pthread_sigmask(SIG_BLOCK, &set, &sigchld->host_mask) != 0) {
		return false;
	}
	sigchld->was_pending = sigismember(&pending, SIGCHLD) == 1;
	sigchld->held = true;
	return true;
}

/* Signals do not queue: one that came for our child may stand for another's too. */
static bool host_has_news(void)
{
	siginfo_t info = {.si_pid = 0};
	return waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* ours: the child whose end the host need not hear of, or 0. */
void sigchld_release(struct sigchld *sigchld, pid_t ours)
{
	if (!sigchld->held) {
		return;
	}
	sigset_t set;
	siginfo_t info = {.si_pid = 0};
	const struct timespec at_once = {0, 0};
	if (ours > 0 && !sigchld->was_pending && only_sigchld(&set) && sigtimedwait(&set, &info, &at_once) == SIGCHLD &&
	    (info.si_pid != ours || host_has_news())) {
		(void)kill(getpid(), SIGCHLD);
	}
	sigchld->held = pthread_sigmask(SIG_SETMASK, &sigchld->host_mask, NULL) != 0;
}

/* True once the child is gone, reaped by us or by the host. */
static bool reap(const struct child *child)
{
	siginfo_t info = {.si_pid = 0};
	/* By descriptor where there is one: the host may have reaped it and the pid be another's now. */
	int result = child->pidfd >= 0 ? waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) : -1;
	if (child->pidfd < 0 || (result != 0 && errno == EINVAL)) {
		result = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG);
	}
	return result == 0 ? info.si_pid != 0 : errno == ECHILD;
}

static bool wait_end(const struct child *child, int limit)
{
	int64_t deadline = clock_ms() + limit;
	for (int rounds = 0; rounds <= limit; rounds++) {
		if (reap(child)) {
			return true;
		}
		int left = clock_left(deadline);
		if (left == 0) {
			return false;
		}
		struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};
		if (poll(&ended, 1, child->pidfd >= 0 || left < STEP_MS ? left : STEP_MS) < 0 && errno != EINTR) {
			return false;
		}
	}
	return false;
}

/*
 * Only through the descriptor, which never means another process. A kernel
 * without one leaves the end to the closed socket and to the child's alarm.
 */
void child_end(struct login *login, int patience)
{
	struct child *child = &login->child;
	if (child->socket >= 0) {
		/* Closing alone ends nothing where the host has forked in its conversation. */
		(void)shutdown(child->socket, SHUT_RDWR);
		(void)close(child->socket);
		child->socket = -1;
	}
	if (child->pid > 0 && !wait_end(child, patience)) {
		log_debug(login, "core child %ld did not leave by itself", (long)child->pid);
		if (child->pidfd >= 0 && syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0) == 0) {
			(void)wait_end(child, KILL_MS);
		}
	}
	sigchld_release(&login->sigchld, child->pid);
	if (child->pidfd >= 0) {
		(void)close(child->pidfd);
		child->pidfd = -1;
	}
	child->pid = 0;
}
