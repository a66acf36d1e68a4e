/*
 * A core that misbehaves on demand. It is built as pam_otpgate_core.so and put
 * beside a copy of the front; protocol= in pam.d, or else the user name, says
 * what it does: NAME or NAME:NUMBER out of the table at the end.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakecore.h"

extern char **environ;

static char **host_block;

__attribute__((constructor)) static void remember_host(int argc, char **argv)
{
	host_block = argv + argc + 1;
}

/* Each file crash.1 to crash.9 beside the core ends one child while it loads. */
__attribute__((constructor)) static void crash_while_loading(void)
{
	Dl_info info;
	if (dladdr(&host_block, &info) == 0) {
		return;
	}
	int directory = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
	for (int i = 1; i < 10; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%.*s/crash.%d", directory, info.dli_fname, i);
		if (unlink(path) == 0) {
			raise(SIGKILL);
		}
	}
}

static void ask_and_tell(int style)
{
	char answer[WIRE_MAX_ANSWER + 1];
	char line[WIRE_MAX_ANSWER + 64];
	int status = ask(style, "Verification code: ", answer);
	snprintf(line, sizeof line, "status=%d text=%s", status, answer);
	prompt(WIRE_INFO, line);
	verdict(status == WIRE_ANSWERED && strcmp(answer, "123456") == 0 ? WIRE_ACCEPT : WIRE_DENY);
}

static void tell_start(int unused)
{
	char value[WIRE_MAX_PAYLOAD];
	char line[WIRE_MAX_PAYLOAD];
	(void)unused;
	size_t used = (size_t)snprintf(line, sizeof line, "version=%d", start[0]);
	for (size_t at = 1; at + 3 <= start_size && used < sizeof line;) {
		int tag = start[at];
		size_t size = ((size_t)start[at + 1] << 8) | start[at + 2];
		used += (size_t)snprintf(line + used, sizeof line - used, "\n%d=%s", tag, field(tag, value, sizeof value));
		at += 3 + size;
	}
	prompt(WIRE_INFO, line);
	verdict(WIRE_ACCEPT);
}

static void tell_self(int unused)
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
	fprintf(out, "pdeathsig=%d dumpable=%d leader=%d alarm=%u\n", pdeathsig, prctl(PR_GET_DUMPABLE), getsid(0) == getpid(), alarm(0));
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

static void many(int count)
{
	char answer[WIRE_MAX_ANSWER + 1];
	for (int i = 0; i < count; i++) {
		(void)ask(WIRE_ECHO_OFF, "Again: ", answer);
	}
	verdict(WIRE_ACCEPT);
}

static void flood(int unused)
{
	(void)unused;
	for (;;) {
		prompt(WIRE_INFO, "and another thing");
	}
}

static void garbage(int unused)
{
	static const char text[] = "HTTP/1.0 200 OK\r\n\r\n";
	(void)unused;
	put(text, sizeof text);
	verdict(WIRE_ACCEPT);
}

static void noise(int seed)
{
	unsigned char bytes[4096];
	srandom((unsigned)seed);
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] = (unsigned char)random();
	}
	put(bytes, sizeof bytes);
}

static void only_header(int size)
{
	header(WIRE_PROMPT, (size_t)size);
	put("\003cut", 4);
}

static void half_header(int unused)
{
	(void)unused;
	put("\021\000\000", 3);
}

static void big(int size)
{
	unsigned char *payload = malloc((size_t)size);
	memset(payload, 'x', (size_t)size);
	payload[0] = WIRE_INFO;
	frame(WIRE_PROMPT, payload, (size_t)size);
	verdict(WIRE_ACCEPT);
}

static void raw_prompt(const char *payload, size_t size)
{
	frame(WIRE_PROMPT, payload, size);
	verdict(WIRE_ACCEPT);
}

static void controls(int unused)
{
	static const char text[] = "\003a\033[2J\tb\r\nc\177\302\233d\233e\xc3\xbc\xe2\x96\x88\xf0\x9f\x94\x91\xff\xc0\xaf\xed\xa0\x80";
	(void)unused;
	raw_prompt(text, sizeof text - 1);
}

static void nul(int unused)
{
	(void)unused;
	raw_prompt("\001a\0b", 4);
}

static void empty(int unused)
{
	(void)unused;
	raw_prompt("", 0);
}

static void no_text(int unused)
{
	(void)unused;
	raw_prompt("\003", 1);
}

static void style(int value)
{
	char payload[3] = {(char)value, 'h', 'i'};
	raw_prompt(payload, sizeof payload);
}

static void type(int value)
{
	frame(value, "\001", 1);
	verdict(WIRE_ACCEPT);
}

static void verdict_size(int size)
{
	static const unsigned char bytes[8] = {WIRE_ACCEPT, WIRE_ACCEPT};
	frame(WIRE_VERDICT, bytes, (size_t)size);
}

static void trailing(int delay)
{
	verdict(WIRE_ACCEPT);
	if (delay > 0) {
		usleep((useconds_t)delay * 1000);
	}
	verdict(WIRE_ACCEPT);
}

static void trailing_byte(int unused)
{
	(void)unused;
	verdict(WIRE_ACCEPT);
	put("", 1);
}

static void hang(int unused)
{
	(void)unused;
	for (;;) {
		pause();
	}
}

static void accept_and_hang(int unused)
{
	verdict(WIRE_ACCEPT);
	hang(unused);
}

static void slow(int delay)
{
	usleep((useconds_t)delay * 1000);
	verdict(WIRE_ACCEPT);
}

/* Slow without silence: each frame comes in time, the dialogue does not. */
static void drip(int delay)
{
	for (int i = 0; i < 60; i++) {
		usleep((useconds_t)delay * 1000);
		prompt(WIRE_INFO, "wait");
	}
	verdict(WIRE_ACCEPT);
}

static void crash(int number)
{
	raise(number);
	verdict(WIRE_ACCEPT);
}

static void leave(int status)
{
	_exit(status);
}

static void accept_and_leave(int status)
{
	verdict(WIRE_ACCEPT);
	_exit(status);
}

static void accept_and_crash(int number)
{
	verdict(WIRE_ACCEPT);
	raise(number);
}

static void grandchild(int unused)
{
	(void)unused;
	if (fork() == 0) {
		sleep(60);
		_exit(0);
	}
	verdict(WIRE_ACCEPT);
}

static void stdio(int unused)
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

static void unread_reply(int unused)
{
	(void)unused;
	prompt(WIRE_ECHO_OFF, "Code: ");
	usleep(100000);
	verdict(WIRE_ACCEPT);
}

static void ask_twice(int unused)
{
	char answer[WIRE_MAX_ANSWER + 1];
	char line[2 * WIRE_MAX_ANSWER + 64];
	(void)unused;
	int status = ask(WIRE_ECHO_OFF, "Verification code: ", answer);
	int used = snprintf(line, sizeof line, "status=%d text=%s", status, answer);
	prompt(WIRE_FAILURE, "That code is not right.");
	status = ask(WIRE_ECHO_OFF, "Verification code: ", answer);
	snprintf(line + used, sizeof line - (size_t)used, " status=%d text=%s", status, answer);
	prompt(WIRE_INFO, line);
	verdict(status == WIRE_ANSWERED && strcmp(answer, "123456") == 0 ? WIRE_ACCEPT : WIRE_DENY);
}

static void help_first(int unused)
{
	char answer[WIRE_MAX_ANSWER + 1];
	(void)unused;
	prompt(WIRE_INFO, "for your information");
	prompt(WIRE_FAILURE, "that was wrong");
	verdict(ask(WIRE_ECHO_ON, "Name: ", answer) == WIRE_ANSWERED ? WIRE_ACCEPT : WIRE_DENY);
}

static const struct {
	const char *name;
	void (*run)(int);
	int number;
} behaviours[] = {
	{"deny", verdict, WIRE_DENY},
	{"accept", verdict, WIRE_ACCEPT},
	{"ignore", verdict, WIRE_IGNORE},
	{"maxtries", verdict, WIRE_MAX_TRIES},
	{"fault", verdict, WIRE_FAULT},
	{"verdict", verdict, 0},
	{"ask", ask_and_tell, WIRE_ECHO_OFF},
	{"askon", ask_and_tell, WIRE_ECHO_ON},
	{"many", many, 64},
	{"messages", help_first, 0},
	{"start", tell_start, 0},
	{"self", tell_self, 0},
	{"flood", flood, 0},
	{"garbage", garbage, 0},
	{"noise", noise, 0},
	{"cut", only_header, 100},
	{"oversize", only_header, WIRE_MAX_PAYLOAD + 1},
	{"halfheader", half_header, 0},
	{"big", big, WIRE_MAX_PAYLOAD},
	{"controls", controls, 0},
	{"nul", nul, 0},
	{"empty", empty, 0},
	{"notext", no_text, 0},
	{"style", style, 0},
	{"type", type, 0},
	{"verdictsize", verdict_size, 0},
	{"trailing", trailing, 0},
	{"trailingbyte", trailing_byte, 0},
	{"hang", hang, 0},
	{"accepthang", accept_and_hang, 0},
	{"slow", slow, 0},
	{"drip", drip, 100},
	{"crash", crash, SIGSEGV},
	{"leave", leave, 0},
	{"acceptleave", accept_and_leave, 1},
	{"acceptcrash", accept_and_crash, SIGSEGV},
	{"grandchild", grandchild, 0},
	{"stdio", stdio, 0},
	{"unread", unread_reply, 0},
	{"asktwice", ask_twice, 0},
	{"split", split, 6},
	{"splitgroups", split_groups, 2},
	{"splitother", split_other, 5},
	{"splitblind", split_verdict, 6},
	{"splitlong", split_long, 0},
	{"tails", tails, 16},
	{"rawtail", raw_tail, 0},
};

__attribute__((visibility("default"))) int otpgate_core_serve(int fd)
{
	char wish[256];
	unsigned char head[4];
	peer = fd;
	get(head, sizeof head);
	start_size = ((size_t)head[1] << 16) | ((size_t)head[2] << 8) | head[3];
	if (head[0] != WIRE_START || start_size > sizeof start) {
		return 1;
	}
	get(start, start_size);
	if (*field(WIRE_TAG_PROTOCOL, wish, sizeof wish) == '\0') {
		(void)field(WIRE_TAG_USER, wish, sizeof wish);
	}
	char *number = strchr(wish, ':');
	if (number != NULL) {
		*number++ = '\0';
	}
	for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
		if (strcmp(wish, behaviours[i].name) == 0) {
			behaviours[i].run(number != NULL ? atoi(number) : behaviours[i].number);
			close(fd);
			return 0;
		}
	}
	verdict(WIRE_FAULT);
	close(fd);
	return 0;
}
