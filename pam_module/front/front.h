/*
 * The front is the half of otpgate that lives inside other people's daemons:
 * it gathers the PAM items, starts the core in a child, passes its prompts on
 * and returns its verdict. It decides nothing itself except to deny.
 *
 * pam_otpgate.c is where libpam comes in; one login is one struct login.
 */
#ifndef OTPGATE_FRONT_H
#define OTPGATE_FRONT_H

#include <limits.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define SOCKET_BYTES 107 /* of a path in sun_path, see unix(7) */

struct options {
	const char *config;   /* NULL: the core's default */
	const char *protocol; /* NULL: the core goes by the service */
	const char *verifier; /* NULL: at the default path; "off": none */
	int timeout;          /* seconds for the whole dialogue */
	bool debug;
	bool split;           /* this line takes the code off the password */
};

/*
 * A password with a code behind it, as the client sent it: in the split line
 * to be taken apart, in the line that asks already taken apart.
 */
struct field {
	char whole[WIRE_MAX_ANSWER + 1]; /* empty: none, or too long to have a code behind it */
	size_t size;                     /* of whole */
	size_t rest;                     /* of the password in it, with the code behind */
	bool ready;                      /* the code is there and has not been given to the engine */
	uint64_t seen;                   /* a bit for each length of an end that the engine was given */
};

struct child {
	pid_t pid;  /* 0: none was started */
	int pidfd;  /* -1: the kernel has none */
	int socket; /* -1: closed */
};

struct sigchld {
	bool held;
	bool was_pending;
	sigset_t host_mask;
};

struct login {
	pam_handle_t *pamh;
	int flags;
	struct options options;
	char user[WIRE_MAX_NAME + 1];
	char service[WIRE_MAX_NAME + 1];
	int64_t deadline;
	unsigned prompts;
	bool after_split; /* a split line came before in this call of pam_authenticate */
	struct field field;
	struct child child;
	struct sigchld sigchld;
	size_t start_size;
	/* One frame, at first that of the start, and a NUL so that a prompt's text can be used in place. */
	unsigned char frame[WIRE_HEADER_SIZE + WIRE_MAX_PAYLOAD + 1];
};

/* args.c */
bool args_parse(struct login *login, int argc, const char **argv);

/* items.c: false when the login cannot be put to the core; it is logged then. */
bool items_service(struct login *login);
bool items_user(struct login *login);
bool items_user_is(const struct login *login, const char *user);
bool items_start_frame(struct login *login);

/* stream.c */
enum stream { STREAM_OK, STREAM_ENDED, STREAM_LATE, STREAM_BROKEN };
int64_t clock_ms(void); /* -1 when there is no clock */
int clock_left(int64_t deadline);
enum stream stream_send(int fd, int64_t deadline, const unsigned char *bytes, size_t size);
enum stream stream_recv(int fd, int64_t deadline, unsigned char *bytes, size_t size);

/* descriptor.c */
int above_stdio(int fd);

/* child.c, confine.c, cgroup.c */
bool child_start(struct login *login);
bool child_can_start(void); /* whether a core that may be used lies beside the front */
bool confine(const struct login *login, int *socket);
bool cgroups_leave(const struct login *login); /* those that somebody other than root was given */
_Noreturn void child_leave(int status); /* once the front is done with it */

/* reap.c */
bool sigchld_hold(struct sigchld *sigchld);
void sigchld_release(struct sigchld *sigchld, pid_t ours);
void child_end(struct login *login, int patience); /* milliseconds until it is killed */

/* resident.c: false when a core must be forked; nobody has been asked anything then. */
bool resident_start(struct login *login);

/* relay.c: false on any doubt; it is logged then. */
bool relay_open(const struct login *login);
bool relay(struct login *login, unsigned char *verdict, size_t *code); /* code: bytes, after WIRE_SPLIT */

/* split.c */
bool split_forget(pam_handle_t *pamh);
void split_unasked(pam_handle_t *pamh);
bool split_begin(struct login *login);
bool split_tail(struct login *login, const unsigned char *wish, size_t size, unsigned char *status, unsigned char *text, size_t *answered);
bool split_keep(const struct login *login, size_t code);
bool split_resume(struct login *login);
size_t split_code(struct login *login, unsigned char *text); /* 0: none */
bool split_is_password(const struct login *login, const char *answer);

/* text.c */
size_t text_char(const unsigned char *text, size_t left);
bool text_is_clean(const char *text);

/* log.c */
void log_fault(const struct login *login, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const struct login *login, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const struct login *login, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* logfile.c */
void logfile_append(const char *line, size_t size);

#endif
