/*
 * A core that misbehaves on demand. It is built as pam_otpgate_core.so and put
 * beside a copy of the front; protocol= in pam.d, or else the user name, says
 * what it does: NAME or NAME:NUMBER out of the table at the end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakecore.h"

bool answered = true;

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
	{"share", tell_share, 0},
	{"flood", flood, 0},
	{"garbage", garbage, 0},
	{"noise", noise, 0},
	{"cut", only_header, 100},
	{"oversize", only_header, WIRE_MAX_PAYLOAD + 1},
	{"halfheader", half_header, 0},
	{"lie", nothing, 0},
	{"big", big, WIRE_MAX_PAYLOAD},
	{"controls", controls, 0},
	{"nul", nul, 0},
	{"empty", empty, 0},
	{"notext", no_text, 0},
	{"style", any_style, 0},
	{"type", any_type, 0},
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

/* The socket stays open, as the process waits on it for the front afterwards. */
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
			return answered ? 0 : 1;
		}
	}
	verdict(WIRE_FAULT);
	return 0;
}
