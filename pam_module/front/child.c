/* The forked core: from the file beside this one to a child that serves it. */
#include "front.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CORE_NAME "pam_otpgate_core.so"
#define CORE_ENTRY "otpgate_core_serve"

/* What the child says instead of WIRE_READY where another one would fail too. */
#define CORE_FAILED 0x66

/*
 * The core lies beside the front, wherever that was installed. Looked at
 * before the fork. The result is why the path is not known, or NULL.
 */
static const char *core_path(char *path, size_t size)
{
	static const char here;
	Dl_info info;
	if (dladdr(&here, &info) == 0 || info.dli_fname == NULL || info.dli_fname[0] != '/') {
		return "own path is unknown; name the module in pam.d by its file name or an absolute path";
	}
	int directory = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
	int length = snprintf(path, size, "%.*s/" CORE_NAME, directory, info.dli_fname);
	return length < 0 || (size_t)length >= size ? "own path is too long" : NULL;
}

static bool only_ours(const struct stat *core)
{
	return S_ISREG(core->st_mode) && (core->st_uid == 0 || core->st_uid == geteuid()) && (core->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool child_can_start(void)
{
	char path[PATH_MAX];
	struct stat core;
	return core_path(path, sizeof path) == NULL && lstat(path, &core) == 0 && only_ours(&core);
}

/* Where there is none, the log says what to mend. */
static bool find_core(const struct login *login, char *path, size_t size)
{
	struct stat core;
	const char *unknown = core_path(path, size);
	if (unknown != NULL) {
		log_fault(login, "%s", unknown);
		return false;
	}
	if (lstat(path, &core) != 0) {
		log_fault(login, "%s: expected the core there: %m; reinstall otpgate", path);
		return false;
	}
	if (!only_ours(&core)) {
		log_fault(login, "%s: expected a file of root's that others cannot write, found mode %o of uid %u; reinstall otpgate",
			path, (unsigned)core.st_mode, (unsigned)core.st_uid);
		return false;
	}
	return true;
}

/*
 * Nothing here may return or exit() into the host's code: the child carries a
 * copy of all of it.
 */
_Noreturn static void give_up(const struct login *login, int socket)
{
	const unsigned char failed = CORE_FAILED;
	(void)stream_send(socket, login->deadline, &failed, 1); /* without it another child tries */
	_exit(1);
}

_Noreturn static void run_core(const struct login *login, int socket, const char *path)
{
	if (!confine(login, &socket)) {
		give_up(login, socket);
	}
	void *core = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (core == NULL) {
		const char *reason = dlerror();
		log_fault(login, "the core cannot be loaded: %s", reason == NULL ? path : reason);
		give_up(login, socket);
	}
	int (*serve)(int) = NULL;
	void *entry = dlsym(core, CORE_ENTRY);
	if (entry == NULL) {
		log_fault(login, "%s: expected the function " CORE_ENTRY " in it; reinstall otpgate", path);
		give_up(login, socket);
	}
	memcpy((void *)&serve, (const void *)&entry, sizeof serve);
	const unsigned char loaded = WIRE_READY;
	if (stream_send(socket, login->deadline, &loaded, 1) != STREAM_OK) {
		_exit(1);
	}
	int status = serve(socket) == 0 ? 0 : 1;
	(void)alarm(0);
	child_leave(status);
}

static pid_t fork_core(struct login *login, int socket, const char *path)
{
	sigset_t all;
	sigset_t before;
	/* Blocked so that no handler of the host's runs in the child before they are reset. */
	if (sigfillset(&all) != 0 || pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		run_core(login, socket, path);
	}
	int error = errno;
	if (pthread_sigmask(SIG_SETMASK, &before, NULL) != 0) {
		log_fault(login, "cannot restore the signal mask");
	}
	errno = error;
	return pid;
}

static bool spawn(struct login *login, const char *path)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_fault(login, "cannot make a socket pair: %m");
		return false;
	}
	login->child.socket = above_stdio(pair[0]);
	int theirs = above_stdio(pair[1]);
	bool started = false;
	if (login->child.socket < 0 || theirs < 0) {
		log_fault(login, "cannot move the socket pair: %m");
	} else if (!sigchld_hold(&login->sigchld)) {
		log_fault(login, "cannot block SIGCHLD");
	} else {
		pid_t pid = fork_core(login, theirs, path);
		started = pid > 0;
		if (started) {
			login->child.pid = pid;
			login->child.pidfd = above_stdio((int)syscall(SYS_pidfd_open, pid, 0));
			log_debug(login, "core child %ld loads %s", (long)pid, path);
		} else {
			log_fault(login, "cannot fork: %m");
		}
	}
	if (theirs >= 0) {
		(void)close(theirs);
	}
	return started;
}

static enum stream await_loaded(const struct login *login, int patience)
{
	unsigned char byte = 0;
	int64_t deadline = clock_ms() + patience;
	deadline = deadline < login->deadline ? deadline : login->deadline;
	enum stream state = stream_recv(login->child.socket, deadline, &byte, 1);
	return state == STREAM_OK && byte != WIRE_READY ? STREAM_BROKEN : state;
}

/*
 * In a host with threads the fork may find the loader's lock held by another
 * thread, and then the child waits in dlopen for good, or its lists half
 * changed, and then the child crashes there. Seen in one login of a hundred
 * while other threads load libraries; a new child is the way out.
 */
bool child_start(struct login *login)
{
	static const int patience[] = {1000, 3000, 10000, 20000, 30000};
	bool late = true;
	char path[PATH_MAX];
	if (!find_core(login, path, sizeof path)) {
		return false;
	}
	for (size_t i = 0; i < sizeof patience / sizeof patience[0] && clock_left(login->deadline) > 0; i++) {
		if (!spawn(login, path)) {
			return false;
		}
		enum stream state = await_loaded(login, patience[i]);
		if (state == STREAM_OK) {
			return true;
		}
		if (state == STREAM_BROKEN) {
			log_fault(login, "the child could not load %s", path);
			return false;
		}
		late = state == STREAM_LATE;
		log_debug(login, late ? "core child %ld has not loaded in time" : "core child %ld ended before it had loaded", (long)login->child.pid);
		child_end(login, 0);
	}
	if (late) {
		log_fault(login, "no child could load %s in time", path);
	} else {
		log_fault(login, "each child ended before it had loaded %s", path);
	}
	return false;
}
