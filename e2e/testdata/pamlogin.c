/*
 * pamlogin [-b] [-r RHOST] [-i] [-t] SERVICE USER: a PAM application that a
 * test leads. It writes one line for each message of the conversation and
 * reads one line for each that asks:
 *
 *   prompt STYLE HEX   → answer HEX | null | refuse, which "later MS" may
 *                        precede: the module's clock says that it took so long
 *   tell STYLE HEX
 *   verdict CODE       what pam_authenticate returned
 *   account CODE       what pam_acct_mgmt returned, after a success
 *
 * -b holds each answer back until descriptor 3 is at its end, so that many
 * can be let go at once. -i ignores SIGCHLD. -t runs with busy threads.
 *
 * At SIGUSR1 the module's clock says that an hour has passed, also while the module
 * waits for its engine. It needs ten seconds for each, as the machine may be busy.
 */
#define _GNU_SOURCE
#include "../../pam_module/front/test/pamclock.h"

#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool barrier;

static void say(const char *kind, int code, const char *text)
{
	printf("%s %d ", kind, code);
	for (; *text != '\0'; text++) {
		printf("%02x", (unsigned char)*text);
	}
	puts("");
	fflush(stdout);
}

static char *from_hex(const char *hex)
{
	size_t size = strlen(hex) / 2;
	char *text = calloc(1, size + 1);
	for (size_t i = 0; text != NULL && i < size; i++) {
		unsigned byte = 0;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
			abort();
		}
		text[i] = (char)byte;
	}
	return text;
}

static int answer(struct pam_response *response)
{
	static char line[64 << 10];
	char end;
	do {
		if (fgets(line, sizeof line, stdin) == NULL) {
			return PAM_CONV_ERR;
		}
		if (strncmp(line, "later ", 6) == 0) {
			clock_forward(atol(line + 6));
		}
	} while (strncmp(line, "later ", 6) == 0);
	line[strcspn(line, "\n")] = '\0';
	while (barrier && read(3, &end, 1) > 0) {
	}
	if (strcmp(line, "null") == 0) {
		return PAM_SUCCESS;
	}
	if (strncmp(line, "answer ", 7) != 0) {
		return PAM_CONV_ERR;
	}
	response->resp = from_hex(line + 7);
	return PAM_SUCCESS;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
	(void)data;
	*responses = calloc((size_t)count, sizeof **responses);
	for (int i = 0; i < count; i++) {
		int style = messages[i]->msg_style;
		bool asks = style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON;
		say(asks ? "prompt" : "tell", style, messages[i]->msg);
		if (asks && answer(&(*responses)[i]) != PAM_SUCCESS) {
			free(*responses);
			*responses = NULL;
			return PAM_CONV_ERR;
		}
	}
	return PAM_SUCCESS;
}

static void an_hour_later(int signal)
{
	(void)signal;
	clock_forward(3600 * 1000L);
}

/*
 * Threads that allocate hold malloc's locks at any moment, also at a fork. They use the
 * time that others leave: who waits for another login has not come for these.
 */
static void *churn(void *unused)
{
	(void)unused;
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), 19) != 0) {
		abort();
	}
	for (;;) {
		free(malloc(64 + (size_t)(random() % 4096)));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *rhost = NULL;
	pthread_t thread;
	for (int option; (option = getopt(argc, argv, "br:it")) != -1;) {
		switch (option) {
		case 'b':
			barrier = true;
			break;
		case 'r':
			rhost = optarg;
			break;
		case 'i':
			signal(SIGCHLD, SIG_IGN);
			break;
		case 't':
			for (int i = 0; i < 3; i++) {
				pthread_create(&thread, NULL, churn, NULL);
			}
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2) {
		return 2;
	}
	/* A read of an answer goes on, and poll(2) never does. */
	struct sigaction later = { .sa_handler = an_hour_later, .sa_flags = SA_RESTART };
	if (sigaction(SIGUSR1, &later, NULL) != 0) {
		return 2;
	}
	clock_slow(10);
	pam_handle_t *pamh = NULL;
	struct pam_conv conversation = { converse, NULL };
	int result = pam_start(argv[optind], argv[optind + 1], &conversation, &pamh);
	if (result != PAM_SUCCESS || (rhost != NULL && pam_set_item(pamh, PAM_RHOST, rhost) != PAM_SUCCESS)) {
		say("verdict", result == PAM_SUCCESS ? PAM_BUF_ERR : result, "");
		return 1;
	}
	result = pam_authenticate(pamh, 0);
	say("verdict", result, "");
	if (result == PAM_SUCCESS) {
		result = pam_acct_mgmt(pamh, 0);
		say("account", result, "");
	}
	pam_end(pamh, result);
	/* What the module left behind would be a child of this process. */
	say("children", waitpid(-1, NULL, WNOHANG) == -1 ? 0 : 1, "");
	return result == PAM_SUCCESS ? 0 : 1;
}
