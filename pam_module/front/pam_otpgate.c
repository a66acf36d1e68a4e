/* Where libpam comes in. */
#include "front.h"

#include <stdlib.h>
#include <string.h>

#define VERIFIED "otpgate_verified"
#define LEAVE_MS 1000 /* for a core that has given its verdict or lost its peer */

/* Who passed, for the account stage. */
struct verified {
	int result;
	char user[WIRE_MAX_NAME + 1];
};

static void forget(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh;
	(void)status;
	free(data);
}

static bool remember(struct login *login, int result)
{
	struct verified *verified = calloc(1, sizeof *verified);
	if (verified == NULL) {
		return false;
	}
	verified->result = result;
	memcpy(verified->user, login->user, sizeof verified->user);
	if (pam_set_data(login->pamh, VERIFIED, verified, forget) != PAM_SUCCESS) {
		free(verified);
		return false;
	}
	return true;
}

/* What can still turn a verdict that lets someone on into a denial. */
static bool stands(const struct login *login)
{
	const char *doubt = NULL;
	if (clock_left(login->deadline) == 0) {
		doubt = "the dialogue took longer than timeout= allows";
	} else if (!items_user_is(login, login->user)) {
		doubt = "the host changed the user name during the dialogue";
	}
	if (doubt != NULL) {
		log_fault(login, "%s", doubt);
	}
	return doubt == NULL;
}

static int let_in(struct login *login, int result)
{
	if (!stands(login)) {
		return PAM_AUTH_ERR;
	}
	if (!remember(login, result)) {
		log_fault(login, "libpam cannot keep who was verified");
		return PAM_AUTH_ERR;
	}
	return result;
}

/* The only way to PAM_SUCCESS and PAM_IGNORE. */
static int conclude(struct login *login, unsigned char verdict)
{
	switch (verdict) {
	case WIRE_DENY:
		return PAM_AUTH_ERR;
	case WIRE_ACCEPT:
		return let_in(login, PAM_SUCCESS);
	case WIRE_IGNORE:
		return let_in(login, PAM_IGNORE);
	case WIRE_MAX_TRIES:
		return PAM_MAXTRIES;
	case WIRE_FAULT:
		return PAM_SYSTEM_ERR;
	default:
		log_fault(login, "there is no verdict %d", verdict);
		return PAM_SYSTEM_ERR;
	}
}

/* A line with split lets nobody in: it only leaves the login to the lines behind it. */
static int conclude_split(const struct login *login, unsigned char verdict, size_t code)
{
	switch (verdict) {
	case WIRE_DENY:
		return PAM_AUTH_ERR;
	case WIRE_IGNORE:
	case WIRE_SPLIT:
		return stands(login) && split_keep(login, code) ? PAM_IGNORE : PAM_AUTH_ERR;
	case WIRE_FAULT:
		return PAM_SYSTEM_ERR;
	default:
		log_fault(login, "there is no verdict %d for a line with split", verdict);
		return PAM_SYSTEM_ERR;
	}
}

static int authenticate(struct login *login, int argc, const char **argv)
{
	/* An earlier attempt on this handle no longer counts. */
	if (pam_set_data(login->pamh, VERIFIED, NULL, NULL) != PAM_SUCCESS) {
		log_fault(login, "libpam cannot forget an earlier attempt");
		return PAM_SYSTEM_ERR;
	}
	if (!items_service(login)) {
		return PAM_SYSTEM_ERR;
	}
	if (!args_parse(login, argc, argv)) {
		return PAM_SERVICE_ERR;
	}
	if (!items_user(login) || !(login->options.split ? split_begin(login) : split_resume(login))) {
		return PAM_AUTH_ERR;
	}
	int64_t now = clock_ms();
	if (now < 0) {
		log_fault(login, "there is no clock");
		return PAM_SYSTEM_ERR;
	}
	login->deadline = now + (int64_t)login->options.timeout * 1000;
	if (!items_start_frame(login)) {
		return PAM_SYSTEM_ERR;
	}
	unsigned char verdict = WIRE_FAULT;
	bool taken = resident_start(login) || (child_start(login) && relay_open(login));
	size_t code = 0;
	bool decided = taken && relay(login, &verdict, &code);
	child_end(login, LEAVE_MS);
	if (!decided) {
		return PAM_SYSTEM_ERR;
	}
	return login->options.split ? conclude_split(login, verdict, code) : conclude(login, verdict);
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct login *login = calloc(1, sizeof *login);
	if (login == NULL) {
		return PAM_SYSTEM_ERR;
	}
	login->pamh = pamh;
	login->flags = flags;
	login->child.socket = -1;
	login->child.pidfd = -1;
	int result = authenticate(login, argc, argv);
	explicit_bzero(login, sizeof *login);
	free(login);
	return result;
}

/* A module between the two stages may rename the user, so the account stage looks again. */
int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	(void)argc;
	(void)argv;
	const void *data = NULL;
	if (pam_get_data(pamh, VERIFIED, &data) != PAM_SUCCESS || data == NULL) {
		return PAM_IGNORE;
	}
	const struct verified *verified = data;
	const void *user = NULL;
	if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || user == NULL || strcmp(user, verified->user) != 0) {
		return PAM_PERM_DENIED;
	}
	return verified->result;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	(void)argc;
	(void)argv;
	split_unasked(pamh);
	return PAM_SUCCESS;
}

/* Present so that a line in the wrong stack is harmless and no fault of libpam's. */
static int nothing_to_do(void)
{
	return PAM_IGNORE;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return nothing_to_do();
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return nothing_to_do();
}

int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return nothing_to_do();
}
