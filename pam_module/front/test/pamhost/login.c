/* Logins: what is called, how long it took and what came of it. */
#include "pamhost.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int stdio_pipe[2] = {-1, -1};
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t input = PTHREAD_MUTEX_INITIALIZER;

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

/* What came of one login; -1 stands for what was not called. */
struct outcome {
	int result, acct, setcred, session, close_session, chauthtok, own_child;
	int64_t auth_ns, total_ns;
};

static void call(pam_handle_t *pamh, struct outcome *o)
{
	set_item(pamh, PAM_RHOST, want.rhost);
	set_item(pamh, PAM_RUSER, want.ruser);
	set_item(pamh, PAM_TTY, want.tty);
	int64_t began = now_ns();
	for (int i = 0; i < want.again; i++) {
		o->result = pam_authenticate(pamh, want.flags);
	}
	o->auth_ns = now_ns() - began;
	int last = o->result;
	if (want.acct_user != NULL) {
		set_item(pamh, PAM_USER, want.acct_user);
	}
	if (want.acct) {
		last = o->acct = pam_acct_mgmt(pamh, want.flags);
	}
	if (want.setcred) {
		last = o->setcred = pam_setcred(pamh, PAM_ESTABLISH_CRED);
	}
	if (want.session) {
		o->session = pam_open_session(pamh, 0);
		last = o->close_session = pam_close_session(pamh, 0);
	}
	if (want.chauthtok) {
		last = o->chauthtok = pam_chauthtok(pamh, 0);
	}
	pam_end(pamh, last);
}

static void report(const struct outcome *o, const struct conversation *conversation, const char *before, const char *after)
{
	const struct {
		const char *name;
		int value;
	} others[] = {{"acct", o->acct}, {"setcred", o->setcred}, {"open_session", o->session},
		{"close_session", o->close_session}, {"chauthtok", o->chauthtok}};
	if (want.time) {
		fprintf(out, "%ld %ld %s\n", (long)o->total_ns, (long)o->auth_ns, name_of(o->result));
		return;
	}
	fprintf(out, "{\"result\":\"%s\"", name_of(o->result));
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (others[i].value >= 0) {
			fprintf(out, ",\"%s\":\"%s\"", others[i].name, name_of(others[i].value));
		}
	}
	fprintf(out, ",\"prompts\":[%s],\"changed\":[", conversation->json);
	if (before != NULL) {
		put_changes(out, before, after);
	}
	fprintf(out, "],\"sigchld\":%d,\"own_child\":%d,\"stdio\":", sigchld_count(), o->own_child);
	put_stdio(out);
	fprintf(out, ",\"auth_ns\":%ld,\"total_ns\":%ld}\n", (long)o->auth_ns, (long)o->total_ns);
}

void login(const char *service, const char *user, char **answers, int answer_count)
{
	struct conversation conversation = {.answers = answers, .left = answer_count};
	struct pam_conv conv = {want.no_conv ? NULL : converse, &conversation};
	struct outcome outcome = {.acct = -1, .setcred = -1, .session = -1, .close_session = -1, .chauthtok = -1};
	conversation.prompts = open_memstream(&conversation.json, &conversation.json_size);
	char *before = want.no_snapshot ? NULL : snapshot();
	start_own_child();
	int64_t began = now_ns();
	int result = pam_start_confdir(service, *user != '\0' ? user : NULL, &conv, want.confdir, &conversation.pamh);
	if (result != PAM_SUCCESS) {
		fprintf(out, "pamhost: pam_start: %s\n", name_of(result));
		exit(2);
	}
	call(conversation.pamh, &outcome);
	outcome.total_ns = now_ns() - began;
	outcome.own_child = collect_own_child();
	char *after = want.no_snapshot ? NULL : snapshot();
	fclose(conversation.prompts);
	pthread_mutex_lock(&output);
	report(&outcome, &conversation, before, after);
	fflush(out);
	pthread_mutex_unlock(&output);
	free(conversation.json);
	free(before);
	free(after);
}

bool login_from_stdin(void)
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
