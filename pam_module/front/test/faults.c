/*
 * Linked into a copy of the front with --wrap: makes calls fail on purpose.
 *
 *   OTPGATE_FAULT_SIDE   parent or child: whose calls count
 *   OTPGATE_FAULT_AT     the call that fails, counted from 1
 *   OTPGATE_FAULT_NAME   instead: every call of that name fails
 *   OTPGATE_FAULT_KIND   hard (EIO and its like), eintr, enosys, zero (claims
 *                        success and gives nothing), short (one byte)
 *   OTPGATE_FAULT_LOG    gets the name of each call that was made to fail
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static enum { HARD, INTERRUPTED, MISSING, ZERO, SHORT } kind;
static char name_wanted[64];
static char log_path[256];
static bool in_child_wanted;
static long at_wanted;
static long calls;
static pid_t host;

__attribute__((constructor)) static void configure(void)
{
	const char *value = getenv("OTPGATE_FAULT_KIND");
	static const char *const kinds[] = {"hard", "eintr", "enosys", "zero", "short"};
	for (unsigned i = 0; value != NULL && i < 5; i++) {
		if (strcmp(value, kinds[i]) == 0) {
			kind = i;
		}
	}
	value = getenv("OTPGATE_FAULT_SIDE");
	in_child_wanted = value != NULL && strcmp(value, "child") == 0;
	value = getenv("OTPGATE_FAULT_AT");
	at_wanted = value != NULL ? atol(value) : -1;
	/* Not snprintf, which is wrapped here too. */
	value = getenv("OTPGATE_FAULT_NAME");
	strncpy(name_wanted, value != NULL ? value : "", sizeof name_wanted - 1);
	value = getenv("OTPGATE_FAULT_LOG");
	strncpy(log_path, value != NULL ? value : "/dev/null", sizeof log_path - 1);
	host = getpid();
}

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);

static bool fails(const char *name)
{
	static const int numbers[] = {[HARD] = EIO, [INTERRUPTED] = EINTR, [MISSING] = ENOSYS, [ZERO] = EIO, [SHORT] = EIO};
	if ((getpid() != host) != in_child_wanted) {
		return false;
	}
	bool now = ++calls == at_wanted || strcmp(name, name_wanted) == 0;
	if (now) {
		int fd = __real_open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		dprintf(fd, "%s\n", name);
		__real_close(fd);
		errno = numbers[kind];
	}
	return now;
}

#define WRAP(type, name, params, args, failure) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		return fails(#name) ? (failure) : __real_##name args; \
	}

WRAP(void *, calloc, (size_t a, size_t b), (a, b), NULL)
WRAP(int, chdir, (const char *a), (a), -1)
WRAP(int, clock_gettime, (clockid_t a, struct timespec *b), (a, b), -1)
WRAP(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), -1)
WRAP(int, dladdr, (const void *a, Dl_info *b), (a, b), 0)
WRAP(void *, dlopen, (const char *a, int b), (a, b), NULL)
WRAP(void *, dlsym, (void *a, const char *b), (a, b), NULL)
WRAP(char *, dlerror, (void), (), NULL)
WRAP(int, dup2, (int a, int b), (a, b), -1)
WRAP(pid_t, fork, (void), (), -1)
WRAP(int, fstat, (int a, struct stat *b), (a, b), -1)
WRAP(int, getgroups, (int a, gid_t *b), (a, b), -1)
WRAP(int, getresgid, (gid_t *a, gid_t *b, gid_t *c), (a, b, c), -1)
WRAP(int, getresuid, (uid_t *a, uid_t *b, uid_t *c), (a, b, c), -1)
WRAP(int, getrlimit, (__rlimit_resource_t a, struct rlimit *b), (a, b), -1)
WRAP(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e), -1)
WRAP(int, kill, (pid_t a, int b), (a, b), -1)
WRAP(struct tm *, localtime_r, (const time_t *a, struct tm *b), (a, b), NULL)
WRAP(int, getpriority, (__priority_which_t a, id_t b), (a, b), -1)
WRAP(int, setpriority, (__priority_which_t a, id_t b, int c), (a, b, c), -1)
WRAP(int, sched_getscheduler, (pid_t a), (a), -1)
WRAP(int, sched_setscheduler, (pid_t a, int b, const struct sched_param *c), (a, b, c), -1)
WRAP(int, mkdir, (const char *a, mode_t b), (a, b), -1)
WRAP(int, stat, (const char *a, struct stat *b), (a, b), -1)
WRAP(int, lstat, (const char *a, struct stat *b), (a, b), -1)
WRAP(DIR *, opendir, (const char *a), (a), NULL)
WRAP(int, closedir, (DIR *a), (a), -1)
WRAP(struct dirent *, readdir, (DIR *a), (a), NULL)
WRAP(int, pthread_sigmask, (int a, const sigset_t *b, sigset_t *c), (a, b, c), EINVAL)
WRAP(int, setgroups, (size_t a, const gid_t *b), (a, b), -1)
WRAP(int, setresgid, (gid_t a, gid_t b, gid_t c), (a, b, c), -1)
WRAP(int, setresuid, (uid_t a, uid_t b, uid_t c), (a, b, c), -1)
WRAP(int, setrlimit, (__rlimit_resource_t a, const struct rlimit *b), (a, b), -1)
WRAP(pid_t, setsid, (void), (), -1)
WRAP(int, shutdown, (int a, int b), (a, b), -1)
WRAP(int, sigaction, (int a, const struct sigaction *b, struct sigaction *c), (a, b, c), -1)
WRAP(int, sigaddset, (sigset_t *a, int b), (a, b), -1)
WRAP(int, sigaltstack, (const stack_t *a, stack_t *b), (a, b), -1)
WRAP(int, sigemptyset, (sigset_t *a), (a), -1)
WRAP(int, sigfillset, (sigset_t *a), (a), -1)
WRAP(int, sigismember, (const sigset_t *a, int b), (a, b), -1)
WRAP(int, sigpending, (sigset_t *a), (a), -1)
WRAP(int, sigtimedwait, (const sigset_t *a, siginfo_t *b, const struct timespec *c), (a, b, c), -1)
WRAP(int, socket, (int a, int b, int c), (a, b, c), -1)
WRAP(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e), -1)
WRAP(int, socketpair, (int a, int b, int c, int *d), (a, b, c, d), -1)
WRAP(time_t, time, (time_t *a), (a), (time_t)-1)
WRAP(int, waitid, (idtype_t a, id_t b, siginfo_t *c, int d), (a, b, c, d), -1)
WRAP(int, pam_get_data, (const pam_handle_t *a, const char *b, const void **c), (a, b, c), PAM_SYSTEM_ERR)
WRAP(int, pam_set_data, (pam_handle_t *a, const char *b, void *c, void (*d)(pam_handle_t *, void *, int)), (a, b, c, d), PAM_BUF_ERR)
WRAP(int, pam_set_item, (pam_handle_t *a, int b, const void *c), (a, b, c), PAM_BUF_ERR)
WRAP(int, poll, (struct pollfd *a, nfds_t b, int c), (a, b, c), kind == ZERO ? 0 : -1)
WRAP(int, vsnprintf, (char *a, size_t b, const char *c, va_list d), (a, b, c, d), -1)

int __wrap_pam_get_item(const pam_handle_t *pamh, int item, const void **value);
int __real_pam_get_item(const pam_handle_t *pamh, int item, const void **value);
int __wrap_pam_get_item(const pam_handle_t *pamh, int item, const void **value)
{
	static const char *const names[] = {[PAM_SERVICE] = "PAM_SERVICE", [PAM_USER] = "PAM_USER", [PAM_TTY] = "PAM_TTY",
		[PAM_RHOST] = "PAM_RHOST", [PAM_CONV] = "PAM_CONV", [PAM_AUTHTOK] = "PAM_AUTHTOK", [PAM_RUSER] = "PAM_RUSER"};
	if (!fails(names[item])) {
		return __real_pam_get_item(pamh, item, value);
	}
	*value = NULL;
	return kind == ZERO ? PAM_SUCCESS : PAM_BUF_ERR;
}

int __wrap_pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt);
int __real_pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt);
int __wrap_pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt)
{
	if (!fails("pam_get_user")) {
		return __real_pam_get_user(pamh, user, prompt);
	}
	*user = NULL;
	return kind == ZERO ? PAM_SUCCESS : PAM_CONV_ERR;
}

int __wrap_pam_get_authtok(pam_handle_t *pamh, int item, const char **password, const char *prompt);
int __real_pam_get_authtok(pam_handle_t *pamh, int item, const char **password, const char *prompt);
int __wrap_pam_get_authtok(pam_handle_t *pamh, int item, const char **password, const char *prompt)
{
	if (!fails("pam_get_authtok")) {
		return __real_pam_get_authtok(pamh, item, password, prompt);
	}
	*password = NULL;
	return kind == ZERO ? PAM_SUCCESS : PAM_AUTHTOK_ERR;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
	bool failed = fails("recv");
	if (failed && kind != SHORT) {
		return kind == ZERO ? 0 : -1;
	}
	return __real_recv(fd, bytes, failed ? 1 : size, flags);
}

ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
	bool failed = fails("read");
	if (failed && kind != SHORT) {
		return kind == ZERO ? 0 : -1;
	}
	return __real_read(fd, bytes, failed ? 1 : size);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __real_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
	bool failed = fails("send");
	if (failed && kind != SHORT) {
		return kind == ZERO ? 0 : -1;
	}
	return __real_send(fd, bytes, failed ? 1 : size, flags);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
	bool failed = fails("write");
	if (failed && kind != SHORT) {
		return kind == ZERO ? 0 : -1;
	}
	return __real_write(fd, bytes, failed ? 1 : size);
}

/* Closes all the same, as the kernel does. */
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	bool failed = fails("close");
	int error = errno;
	int result = __real_close(fd);
	if (failed) {
		errno = error;
		return -1;
	}
	return result;
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	return fails("open") ? -1 : __real_open(path, flags);
}

int __wrap_fcntl(int fd, int command, ...);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list values;
	va_start(values, command);
	int value = va_arg(values, int);
	va_end(values);
	return fails("fcntl") ? -1 : __real_fcntl(fd, command, value);
}

int __wrap_prctl(int option, ...);
int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
	va_list values;
	va_start(values, option);
	unsigned long value = va_arg(values, unsigned long);
	va_end(values);
	return fails("prctl") ? -1 : __real_prctl(option, value);
}

int __wrap_snprintf(char *text, size_t size, const char *format, ...);
int __wrap_snprintf(char *text, size_t size, const char *format, ...)
{
	if (fails("snprintf")) {
		return -1;
	}
	va_list values;
	va_start(values, format);
	int result = __real_vsnprintf(text, size, format, values);
	va_end(values);
	return result;
}

long __wrap_syscall(long number, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	const char *name = number == SYS_pidfd_open ? "pidfd_open" : number == SYS_close_range ? "close_range" :
		number == SYS_timer_create ? "timer_create" : number == SYS_timer_settime ? "timer_settime" : "pidfd_send_signal";
	long a[4];
	va_list values;
	va_start(values, number);
	for (int i = 0; i < 4; i++) {
		a[i] = va_arg(values, long);
	}
	va_end(values);
	return fails(name) ? -1 : __real_syscall(number, a[0], a[1], a[2], a[3]);
}
