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
 *   --churn N           N more threads call dlopen and dlclose all the while
 *   --ruid N            real user id N, as under su and sudo
 *   --uid N             become user N altogether
 *   --groups N          N supplementary groups
 *   --limit-as MB       the soft RLIMIT_AS, --limit-fsize BYTES the soft RLIMIT_FSIZE
 *   --dev DIR           a private mount namespace with DIR as /dev, for a /dev/log
 *
 * An ANSWER is given to each prompt that asks, in order, for each login anew.
 * Markers: @null (NULL text), @none (no response at all), @error
 * (PAM_CONV_ERR), @long:N (N letters), @sleep:MS:TEXT, @@TEXT (a text that
 * starts with @). When none are left the conversation fails.
 *
 * Otherwise prints one JSON object a login:
 *   {"result":"PAM_SUCCESS","acct":"...","prompts":[{"style":1,"text":"..."}],
 *    "changed":["-fact before","+fact after"],"sigchld":0,"own_child":7,
 *    "stdio":"","auth_ns":N,"total_ns":N}
 * own_child is the status collected, or -1. Exits 0 if every login could be
 * tried, whatever libpam returned.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static struct {
	const char *confdir, *service, *user, *rhost, *ruser, *tty, *acct_user, *rename, *sigchld, *dev;
	int flags, repeat, again, threads, churn, own_child;
	bool no_conv, acct, setcred, session, chauthtok, from_stdin, time, no_snapshot, close_stdio, pipe_stdio;
	char **answers;
	int answer_count;
} want = {.service = "test", .user = "alice", .repeat = 1, .again = 1, .threads = 1, .own_child = -1, .sigchld = "default"};

static FILE *out;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t input = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t together;
static atomic_int signals_seen;
static atomic_int reaped_status = -1;
static atomic_int own_pid;
static atomic_bool stop_churn;
static int stdio_pipe[2] = {-1, -1};

static void die(const char *what)
{
	fprintf(out != NULL ? out : stderr, "pamhost: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- one login ---- */

struct talk {
	pam_handle_t *pamh;
	char **answers;
	int left;
	bool renamed;
	char *json;
	size_t json_size;
	FILE *prompts;
};

static void put_json(FILE *to, const char *text)
{
	fputc('"', to);
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\') {
			fprintf(to, "\\%c", *at);
		} else if (*at < 0x20 || *at == 0x7F) {
			fprintf(to, "\\u%04x", *at);
		} else {
			fputc(*at, to);
		}
	}
	fputc('"', to);
}

static char *spell_answer(const char *marker)
{
	int number = 0;
	int skip = 0;
	if (strcmp(marker, "@null") == 0) {
		return NULL;
	}
	if (sscanf(marker, "@long:%d", &number) == 1) {
		char *text = malloc((size_t)number + 1);
		memset(text, 'a', (size_t)number);
		text[number] = '\0';
		return text;
	}
	if (sscanf(marker, "@sleep:%d:%n", &number, &skip) == 1 && skip > 0) {
		usleep((useconds_t)number * 1000);
		return strdup(marker + skip);
	}
	return strdup(strncmp(marker, "@@", 2) == 0 ? marker + 1 : marker);
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
	struct talk *talk = data;
	struct pam_response *made = calloc((size_t)count, sizeof *made);
	if (want.rename != NULL && !talk->renamed) {
		talk->renamed = true;
		pam_set_item(talk->pamh, PAM_USER, want.rename);
	}
	for (int i = 0; i < count; i++) {
		int style = messages[i]->msg_style;
		fprintf(talk->prompts, "%s{\"style\":%d,\"text\":", ftell(talk->prompts) > 0 ? "," : "", style);
		put_json(talk->prompts, messages[i]->msg);
		fputc('}', talk->prompts);
		if (style != PAM_PROMPT_ECHO_OFF && style != PAM_PROMPT_ECHO_ON) {
			continue;
		}
		const char *answer = talk->left > 0 ? *talk->answers : "@error";
		if (talk->left > 0) {
			talk->answers++;
			talk->left--;
		}
		if (strcmp(answer, "@error") == 0 || strcmp(answer, "@none") == 0) {
			free(made);
			*responses = NULL;
			return strcmp(answer, "@none") == 0 ? PAM_SUCCESS : PAM_CONV_ERR;
		}
		made[i].resp = spell_answer(answer);
	}
	*responses = made;
	return PAM_SUCCESS;
}

static const char *name_of(int result)
{
	static const char *const names[] = {"PAM_SUCCESS", "PAM_OPEN_ERR", "PAM_SYMBOL_ERR", "PAM_SERVICE_ERR", "PAM_SYSTEM_ERR",
		"PAM_BUF_ERR", "PAM_PERM_DENIED", "PAM_AUTH_ERR", "PAM_CRED_INSUFFICIENT", "PAM_AUTHINFO_UNAVAIL",
		"PAM_USER_UNKNOWN", "PAM_MAXTRIES", "PAM_NEW_AUTHTOK_REQD", "PAM_ACCT_EXPIRED", "PAM_SESSION_ERR",
		"PAM_CRED_UNAVAIL", "PAM_CRED_EXPIRED", "PAM_CRED_ERR", "PAM_NO_MODULE_DATA", "PAM_CONV_ERR",
		"PAM_AUTHTOK_ERR", "PAM_AUTHTOK_RECOVERY_ERR", "PAM_AUTHTOK_LOCK_BUSY", "PAM_AUTHTOK_DISABLE_AGING",
		"PAM_TRY_AGAIN", "PAM_IGNORE", "PAM_ABORT", "PAM_AUTHTOK_EXPIRED", "PAM_MODULE_UNKNOWN", "PAM_BAD_ITEM",
		"PAM_CONV_AGAIN", "PAM_INCOMPLETE"};
	return result >= 0 && (size_t)result < sizeof names / sizeof names[0] ? names[result] : "unknown";
}

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- what a login must leave alone: one fact a line ---- */

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

static void add_children(FILE *to)
{
	DIR *list = opendir("/proc/self/task");
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		char path[300], line[1024];
		snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
		FILE *children = fopen(path, "re");
		if (children != NULL && fgets(line, sizeof line, children) != NULL) {
			fprintf(to, "children %s\n", line);
		}
		if (children != NULL) {
			fclose(children);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
}

static char *snapshot(void)
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

/* ---- children and signals ---- */

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

static void set_sigchld(void)
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

static void start_own_child(void)
{
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

static int collect_own_child(void)
{
	int status = 0, found = -1;
	for (int i = 0; i < 2000 && want.own_child >= 0 && found < 0; i++) {
		if (waitpid(own_pid, &status, WNOHANG) == own_pid) {
			found = WEXITSTATUS(status);
		} else if (reaped_status >= 0) {
			found = reaped_status;
		} else {
			usleep(1000);
		}
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

/* ---- running ---- */

static void set_item(pam_handle_t *pamh, int item, const char *value)
{
	if (value != NULL && pam_set_item(pamh, item, value) != PAM_SUCCESS) {
		die("pam_set_item");
	}
}

static void put_stdio(FILE *to)
{
	char text[4096] = "";
	ssize_t size = stdio_pipe[0] >= 0 ? read(stdio_pipe[0], text, sizeof text - 1) : 0;
	text[size > 0 ? size : 0] = '\0';
	put_json(to, text);
}

static void login(const char *service, const char *user, char **answers, int answer_count)
{
	struct talk talk = {.answers = answers, .left = answer_count};
	struct pam_conv conv = {want.no_conv ? NULL : converse, &talk};
	talk.prompts = open_memstream(&talk.json, &talk.json_size);
	char *before = want.no_snapshot ? NULL : snapshot();
	signals_seen = 0;
	start_own_child();
	int64_t began = now_ns();
	pam_handle_t *pamh = NULL;
	int result = pam_start_confdir(service, *user != '\0' ? user : NULL, &conv, want.confdir, &pamh);
	if (result != PAM_SUCCESS) {
		fprintf(out, "pamhost: pam_start: %s\n", name_of(result));
		exit(2);
	}
	talk.pamh = pamh;
	set_item(pamh, PAM_RHOST, want.rhost);
	set_item(pamh, PAM_RUSER, want.ruser);
	set_item(pamh, PAM_TTY, want.tty);
	int64_t auth_began = now_ns();
	for (int i = 0; i < want.again; i++) {
		result = pam_authenticate(pamh, want.flags);
	}
	int64_t auth_ns = now_ns() - auth_began;
	int last = result, acct = -1, setcred = -1, session = -1, close_session = -1, chauthtok = -1;
	if (want.acct_user != NULL) {
		set_item(pamh, PAM_USER, want.acct_user);
	}
	if (want.acct) {
		last = acct = pam_acct_mgmt(pamh, want.flags);
	}
	if (want.setcred) {
		last = setcred = pam_setcred(pamh, PAM_ESTABLISH_CRED);
	}
	if (want.session) {
		session = pam_open_session(pamh, 0);
		last = close_session = pam_close_session(pamh, 0);
	}
	if (want.chauthtok) {
		last = chauthtok = pam_chauthtok(pamh, 0);
	}
	pam_end(pamh, last);
	int64_t total_ns = now_ns() - began;
	int own_status = collect_own_child();
	char *after = want.no_snapshot ? NULL : snapshot();
	fclose(talk.prompts);

	pthread_mutex_lock(&output);
	if (want.time) {
		fprintf(out, "%ld %ld %s\n", (long)total_ns, (long)auth_ns, name_of(result));
	} else {
		const struct {
			const char *name;
			int value;
		} others[] = {{"acct", acct}, {"setcred", setcred}, {"open_session", session}, {"close_session", close_session},
			{"chauthtok", chauthtok}};
		bool first = true;
		fprintf(out, "{\"result\":\"%s\"", name_of(result));
		for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
			if (others[i].value >= 0) {
				fprintf(out, ",\"%s\":\"%s\"", others[i].name, name_of(others[i].value));
			}
		}
		fprintf(out, ",\"prompts\":[%s],\"changed\":[", talk.json);
		if (before != NULL) {
			put_missing(out, "-", before, after, &first);
			put_missing(out, "+", after, before, &first);
		}
		fprintf(out, "],\"sigchld\":%d,\"own_child\":%d,\"stdio\":", signals_seen, own_status);
		put_stdio(out);
		fprintf(out, ",\"auth_ns\":%ld,\"total_ns\":%ld}\n", (long)auth_ns, (long)total_ns);
	}
	fflush(out);
	pthread_mutex_unlock(&output);
	free(talk.json);
	free(before);
	free(after);
}

static bool login_from_stdin(void)
{
	char *line = NULL;
	size_t room = 0;
	pthread_mutex_lock(&input);
	ssize_t size = getline(&line, &room, stdin);
	pthread_mutex_unlock(&input);
	if (size > 0) {
		line[strcspn(line, "\n")] = '\0';
		char *fields[3], *rest = line;
		int count = 0;
		while (count < 3 && (fields[count] = strsep(&rest, "\t")) != NULL) {
			count++;
		}
		login(count > 2 ? fields[0] : want.service, count > 1 ? fields[count - 2] : want.user, &fields[count - 1], 1);
	}
	free(line);
	return size > 0;
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
}

enum { USER = 256, SERVICE, CONFDIR, RHOST, RUSER, TTY, ACCT_USER, RENAME, REPEAT, AGAIN, THREADS, SIGCHLD_MODE, OWN_CHILD,
	CHURN, RUID, UID, GROUPS, LIMIT_AS, LIMIT_FSIZE, DEV, SILENT, DISALLOW_NULL, NO_CONV, ACCT, SETCRED, SESSION, CHAUTHTOK,
	STDIN, TIME, NO_SNAPSHOT, CLOSE_STDIO, PIPE_STDIO };

static const struct option options[] = {
	{"user", 1, NULL, USER}, {"service", 1, NULL, SERVICE}, {"confdir", 1, NULL, CONFDIR}, {"rhost", 1, NULL, RHOST},
	{"ruser", 1, NULL, RUSER}, {"tty", 1, NULL, TTY}, {"acct-user", 1, NULL, ACCT_USER}, {"rename", 1, NULL, RENAME},
	{"repeat", 1, NULL, REPEAT}, {"again", 1, NULL, AGAIN}, {"threads", 1, NULL, THREADS}, {"sigchld", 1, NULL, SIGCHLD_MODE},
	{"own-child", 1, NULL, OWN_CHILD}, {"churn", 1, NULL, CHURN}, {"ruid", 1, NULL, RUID}, {"uid", 1, NULL, UID},
	{"groups", 1, NULL, GROUPS}, {"limit-as", 1, NULL, LIMIT_AS}, {"limit-fsize", 1, NULL, LIMIT_FSIZE}, {"dev", 1, NULL, DEV},
	{"silent", 0, NULL, SILENT}, {"disallow-null", 0, NULL, DISALLOW_NULL}, {"no-conv", 0, NULL, NO_CONV},
	{"acct", 0, NULL, ACCT}, {"setcred", 0, NULL, SETCRED}, {"session", 0, NULL, SESSION}, {"chauthtok", 0, NULL, CHAUTHTOK},
	{"stdin", 0, NULL, STDIN}, {"time", 0, NULL, TIME}, {"no-snapshot", 0, NULL, NO_SNAPSHOT},
	{"close-stdio", 0, NULL, CLOSE_STDIO}, {"pipe-stdio", 0, NULL, PIPE_STDIO}, {NULL, 0, NULL, 0}};

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
	case LIMIT_AS: set_limit(RLIMIT_AS, value, 1UL << 20); break;
	case LIMIT_FSIZE: set_limit(RLIMIT_FSIZE, value, 1); break;
	case DEV: want.dev = value; break;
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
	default: exit(2);
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
	set_stdio();
	set_sigchld();

	int workers = want.threads + want.churn;
	pthread_t *threads = calloc((size_t)workers, sizeof *threads);
	pthread_barrier_init(&together, NULL, (unsigned)want.threads);
	if (workers == 1) {
		/* A host with one thread is what most daemons are, and the C library treats it differently. */
		run(NULL);
	} else {
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
	free(threads);
	return fclose(out) == 0 ? 0 : 2;
}
