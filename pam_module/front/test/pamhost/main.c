/*
 * pamhost: a PAM application for tests and benchmarks. It loads the real
 * libpam with a private configuration directory, logs in with scripted
 * answers, and reports what libpam returned, what was prompted and what the
 * login changed in its process.
 *
 *   pamhost --confdir DIR [OPTION...] [ANSWER...]
 *
 *   --confdir DIR       directory with the service files (pam_start_confdir)
 *   --service NAME      default "test"
 *   --user NAME         default "alice"; "" leaves it to pam_get_user
 *   --rhost, --ruser, --tty TEXT    the items; default not set
 *   --silent            PAM_SILENT         --disallow-null  PAM_DISALLOW_NULL_AUTHTOK
 *   --no-conv           no conversation function
 *   --acct --setcred --session --chauthtok    also run these; their results are reported
 *   --acct-user NAME    set PAM_USER to NAME between authentication and --acct
 *   --rename NAME       the conversation sets PAM_USER to NAME at the first message
 *   --repeat N          N logins one after the other, each with its own handle
 *   --again N           N calls of pam_authenticate on each handle
 *   --threads N         N threads at once, each doing all of that
 *   --stdin             each login takes its answer from a line of standard input:
 *                       ANSWER, USER<TAB>ANSWER or SERVICE<TAB>USER<TAB>ANSWER;
 *                       ends at end of file
 *   --time              one line a login instead of JSON: nanoseconds from
 *                       pam_start to pam_end, of pam_authenticate alone, and the result
 *   --no-snapshot       do not look for changes (--time implies it)
 *   --sigchld MODE      default, ignore, reap (a handler that waits for any child),
 *                       count (a handler that only counts) or blocked
 *   --own-child MS      have a child that exits after MS milliseconds with status 7
 *   --close-stdio       close descriptors 0 to 2 first
 *   --pipe-stdio        0 to 2 are pipes; what arrives in them is reported
 *   --slow-clock N      the front's clock needs N seconds for each
 *   --churn N           N more threads call dlopen and dlclose all the while
 *   --ruid N            real user id N, as under su and sudo
 *   --uid N             become user N altogether
 *   --groups N          N supplementary groups
 *   --limit-as MB       the soft RLIMIT_AS, --limit-fsize BYTES the soft RLIMIT_FSIZE
 *   --dev DIR           a private mount namespace with DIR as /dev, for a /dev/log
 *   --var-log DIR       the same with DIR as /var/log, for a file in it; needs --dev
 *   --faults FROM:TO    a login for each number of these, one after the other, with
 *                       OTPGATE_FAULT_AT set to it, and OTPGATE_FAULT_LOG to DIR/NUMBER
 *                       where that is DIR; each in a process of its own
 *   --together          those in one process
 *
 * An ANSWER is given to each prompt that asks, in order, for each login anew.
 * Markers: @null (NULL text), @none (no response at all), @error
 * (PAM_CONV_ERR), @long:N (N letters), @sleep:MS:TEXT, @later:MS:TEXT (the
 * front's clock says that it took so long), @fork:FIFO:TEXT (after a fork, whose child
 * stays until somebody writes there), @die:FIFO: (the same, and the host is killed),
 * @@TEXT (a text that starts with @). When none are left the conversation fails.
 *
 * Otherwise prints one JSON object a login:
 *   {"result":"PAM_SUCCESS","acct":"...","prompts":[{"style":1,"text":"..."}],
 *    "changed":["-fact before","+fact after"],"sigchld":0,"own_child":7,
 *    "stdio":"","auth_ns":N,"total_ns":N}
 * own_child is the status collected, or -1. Exits 0 if every login could be
 * tried, whatever libpam returned.
 */
#include "pamhost.h"
#include "../pamclock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct want want = {.service = "test", .user = "alice", .repeat = 1, .again = 1, .threads = 1, .own_child = -1, .sigchld = "default"};
FILE *out;
static pthread_barrier_t together;
static atomic_bool stop_churn;

void die(const char *what)
{
	fprintf(out != NULL ? out : stderr, "pamhost: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *run(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&together);
	if (want.from_stdin) {
		while (login_from_stdin()) {
		}
		return NULL;
	}
	for (int i = 0; i < want.repeat; i++) {
		login(want.service, want.user, want.answers, want.answer_count);
	}
	return NULL;
}

static void *churn(void *unused)
{
	(void)unused;
	while (!stop_churn) {
		void *library = dlopen("libresolv.so.2", RTLD_NOW);
		if (library != NULL) {
			dlclose(library);
		}
	}
	return NULL;
}

static void set_limit(int which, const char *value, unsigned long unit)
{
	struct rlimit limit;
	if (getrlimit((__rlimit_resource_t)which, &limit) != 0) {
		die("getrlimit");
	}
	limit.rlim_cur = strtoul(value, NULL, 10) * unit;
	if (setrlimit((__rlimit_resource_t)which, &limit) != 0) {
		die("setrlimit");
	}
}

static void set_stdio(void)
{
	if (want.pipe_stdio) {
		if (pipe2(stdio_pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
			die("pipe");
		}
		stdio_pipe[0] = fcntl(stdio_pipe[0], F_DUPFD_CLOEXEC, 100);
		for (int fd = 0; fd < 3; fd++) {
			if (dup2(stdio_pipe[1], fd) < 0) {
				die("dup2");
			}
		}
	}
	for (int fd = 0; want.close_stdio && fd < 3; fd++) {
		close(fd);
	}
}

static void use_dev(void)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(want.dev, "/dev", NULL, MS_BIND, NULL) != 0) {
		die("--dev");
	}
	if (want.var_log != NULL && mount(want.var_log, "/var/log", NULL, MS_BIND, NULL) != 0) {
		die("--var-log");
	}
}

/* The front is loaded anew for each login, and reads its environment then. */
static void set_fault(long at)
{
	char number[32], log[4096];
	static const char *directory;
	if (directory == NULL) {
		const char *value = getenv("OTPGATE_FAULT_LOG");
		directory = value != NULL ? strdup(value) : "/nonexistent";
	}
	snprintf(number, sizeof number, "%ld", at);
	snprintf(log, sizeof log, "%s/%s", directory, number);
	if (setenv("OTPGATE_FAULT_AT", number, 1) != 0 || setenv("OTPGATE_FAULT_LOG", log, 1) != 0) {
		die("--faults");
	}
}

/* One process for all: the search for leaks at its end is what takes long. What a
 * failed call left of the signal mask is not the next login's. */
static void faults_together(void)
{
	sigset_t mask;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (long at = want.fault_from; at <= want.fault_to; at++) {
		set_fault(at);
		login(want.service, want.user, want.answers, want.answer_count);
		pthread_sigmask(SIG_SETMASK, &mask, NULL);
	}
}

/* A process for each, forked, which is cheaper than starting this program again. */
static bool faults_apart(void)
{
	for (long at = want.fault_from; at <= want.fault_to; at++) {
		if (fflush(out) != 0) {
			die("output");
		}
		pid_t child = fork();
		if (child < 0) {
			die("fork");
		}
		if (child == 0) {
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
				die("prctl");
			}
			set_fault(at);
			login(want.service, want.user, want.answers, want.answer_count);
			return true;
		}
		int status;
		while (waitpid(child, &status, 0) < 0) {
			if (errno != EINTR) {
				die("waitpid");
			}
		}
		if (status != 0) {
			fprintf(out, "pamhost: call %ld: status %d\n", at, status);
			return false;
		}
	}
	return true;
}

enum { USER = 256, SERVICE, CONFDIR, RHOST, RUSER, TTY, ACCT_USER, RENAME, REPEAT, AGAIN, THREADS, SIGCHLD_MODE, OWN_CHILD,
	CHURN, RUID, UID, GROUPS, SLOW_CLOCK, LIMIT_AS, LIMIT_FSIZE, DEV, VAR_LOG, SILENT, DISALLOW_NULL, NO_CONV, ACCT, SETCRED, SESSION, CHAUTHTOK,
	STDIN, TIME, NO_SNAPSHOT, CLOSE_STDIO, PIPE_STDIO, FAULTS, TOGETHER };

static const struct option options[] = {
	{"user", 1, NULL, USER}, {"service", 1, NULL, SERVICE}, {"confdir", 1, NULL, CONFDIR}, {"rhost", 1, NULL, RHOST},
	{"ruser", 1, NULL, RUSER}, {"tty", 1, NULL, TTY}, {"acct-user", 1, NULL, ACCT_USER}, {"rename", 1, NULL, RENAME},
	{"repeat", 1, NULL, REPEAT}, {"again", 1, NULL, AGAIN}, {"threads", 1, NULL, THREADS}, {"sigchld", 1, NULL, SIGCHLD_MODE},
	{"own-child", 1, NULL, OWN_CHILD}, {"churn", 1, NULL, CHURN}, {"ruid", 1, NULL, RUID}, {"uid", 1, NULL, UID},
	{"groups", 1, NULL, GROUPS}, {"slow-clock", 1, NULL, SLOW_CLOCK}, {"limit-as", 1, NULL, LIMIT_AS}, {"limit-fsize", 1, NULL, LIMIT_FSIZE}, {"dev", 1, NULL, DEV},
	{"var-log", 1, NULL, VAR_LOG},
	{"silent", 0, NULL, SILENT}, {"disallow-null", 0, NULL, DISALLOW_NULL}, {"no-conv", 0, NULL, NO_CONV},
	{"acct", 0, NULL, ACCT}, {"setcred", 0, NULL, SETCRED}, {"session", 0, NULL, SESSION}, {"chauthtok", 0, NULL, CHAUTHTOK},
	{"stdin", 0, NULL, STDIN}, {"time", 0, NULL, TIME}, {"no-snapshot", 0, NULL, NO_SNAPSHOT},
	{"close-stdio", 0, NULL, CLOSE_STDIO}, {"pipe-stdio", 0, NULL, PIPE_STDIO}, {"faults", 1, NULL, FAULTS},
	{"together", 0, NULL, TOGETHER}, {NULL, 0, NULL, 0}};

static void take_option(int option, const char *value, int *ruid, int *uid, int *groups)
{
	switch (option) {
	case USER: want.user = value; break;
	case SERVICE: want.service = value; break;
	case CONFDIR: want.confdir = value; break;
	case RHOST: want.rhost = value; break;
	case RUSER: want.ruser = value; break;
	case TTY: want.tty = value; break;
	case ACCT_USER: want.acct_user = value; break;
	case RENAME: want.rename = value; break;
	case REPEAT: want.repeat = atoi(value); break;
	case AGAIN: want.again = atoi(value); break;
	case THREADS: want.threads = atoi(value); break;
	case SIGCHLD_MODE: want.sigchld = value; break;
	case OWN_CHILD: want.own_child = atoi(value); break;
	case CHURN: want.churn = atoi(value); break;
	case RUID: *ruid = atoi(value); break;
	case UID: *uid = atoi(value); break;
	case GROUPS: *groups = atoi(value); break;
	case SLOW_CLOCK: clock_slow(atoi(value)); break;
	case LIMIT_AS: set_limit(RLIMIT_AS, value, 1UL << 20); break;
	case LIMIT_FSIZE: set_limit(RLIMIT_FSIZE, value, 1); break;
	case DEV: want.dev = value; break;
	case VAR_LOG: want.var_log = value; break;
	case SILENT: want.flags |= PAM_SILENT; break;
	case DISALLOW_NULL: want.flags |= PAM_DISALLOW_NULL_AUTHTOK; break;
	case NO_CONV: want.no_conv = true; break;
	case ACCT: want.acct = true; break;
	case SETCRED: want.setcred = true; break;
	case SESSION: want.session = true; break;
	case CHAUTHTOK: want.chauthtok = true; break;
	case STDIN: want.from_stdin = true; break;
	case TIME: want.time = want.no_snapshot = true; break;
	case NO_SNAPSHOT: want.no_snapshot = true; break;
	case CLOSE_STDIO: want.close_stdio = true; break;
	case PIPE_STDIO: want.pipe_stdio = true; break;
	case TOGETHER: want.together = true; break;
	case FAULTS:
		if (sscanf(value, "%ld:%ld", &want.fault_from, &want.fault_to) != 2) {
			die("--faults");
		}
		break;
	default: exit(2);
	}
}

/* Takes the ids that were asked for; -1 leaves one as it is. */
static void become(int ruid, int uid, int groups)
{
	if (groups >= 0) {
		gid_t list[64];
		for (int i = 0; i < groups && i < 64; i++) {
			list[i] = (gid_t)(5000 + i);
		}
		if (setgroups((size_t)groups, list) != 0) {
			die("setgroups");
		}
	}
	if ((ruid >= 0 && setresuid((uid_t)ruid, 0, 0) != 0) ||
	    (uid >= 0 && (setgroups(0, NULL) != 0 || setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) != 0 ||
			  setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0))) {
		die("setresuid");
	}
}

/* The threads that log in, and beside them those that load libraries until these are done. */
static void run_threads(pthread_t *threads, int workers)
{
	want.no_snapshot = true;
	for (int i = 0; i < workers; i++) {
		if (pthread_create(&threads[i], NULL, i < want.threads ? run : churn, NULL) != 0) {
			die("pthread_create");
		}
	}
	for (int i = 0; i < workers; i++) {
		stop_churn = stop_churn || i >= want.threads;
		pthread_join(threads[i], NULL);
	}
}

int main(int argc, char **argv)
{
	int ruid = -1, uid = -1, groups = -1;
	for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		take_option(option, optarg, &ruid, &uid, &groups);
	}
	if (want.confdir == NULL) {
		fprintf(stderr, "pamhost: --confdir is needed\n");
		return 2;
	}
	want.answers = argv + optind;
	want.answer_count = argc - optind;
	/* Kept off 0 to 2, which belong to the test. */
	out = fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 200), "w");
	if (out == NULL) {
		die("stdout");
	}
	if (want.dev != NULL) {
		use_dev();
	}
	become(ruid, uid, groups);
	set_stdio();
	set_sigchld();

	int workers = want.threads + want.churn;
	pthread_t *threads = calloc((size_t)workers, sizeof *threads);
	pthread_barrier_init(&together, NULL, (unsigned)want.threads);
	bool good = true;
	if (want.fault_to > 0 && want.together) {
		faults_together();
	} else if (want.fault_to > 0) {
		good = faults_apart();
	} else if (workers == 1) {
		/* A host with one thread is what most daemons are, and the C library treats it differently. */
		run(NULL);
	} else {
		run_threads(threads, workers);
	}
	free(threads);
	return fclose(out) == 0 && good ? 0 : 2;
}
