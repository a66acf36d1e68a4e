/* What the parts of pamhost share; main.c says what it does. */
#ifndef PAMHOST_H
#define PAMHOST_H

#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdio.h>

/* The options. */
struct want {
	const char *confdir, *service, *user, *rhost, *ruser, *tty, *acct_user, *rename, *sigchld, *dev, *var_log;
	int flags, repeat, again, threads, churn, own_child;
	long fault_from, fault_to;
	bool no_conv, acct, setcred, session, chauthtok, from_stdin, time, no_snapshot, close_stdio, pipe_stdio, together;
	char **answers;
	int answer_count;
};

/* main.c */
extern struct want want;
extern FILE *out;
_Noreturn void die(const char *what);

/* answers.c: the conversation */
struct conversation {
	pam_handle_t *pamh;
	char **answers;
	int left;
	bool renamed;
	char *json;
	size_t json_size;
	FILE *prompts;
};
int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data);
void put_json(FILE *to, const char *text);

/* snapshot.c: what a login must leave alone, one fact a line */
char *snapshot(void);
void put_changes(FILE *to, const char *before, const char *after);

/* children.c: children and signals */
void set_sigchld(void);
void start_own_child(void);
int collect_own_child(void);
int sigchld_count(void);

/* login.c: logins, timed and reported */
extern int stdio_pipe[2];
void login(const char *service, const char *user, char **answers, int answer_count);
bool login_from_stdin(void);

#endif
