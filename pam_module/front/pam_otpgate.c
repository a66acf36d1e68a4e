/* Where libpam comes in. */
#include "front.h"

#include <stdlib.h>
#include <string.h>

#define VERIFIED "otpgate_verified"
#define LEAVE_MS 1000 /* for a core that has given its verdict or lost its peer */

/* Who passed, for the account stage. */
struct verified {
	int result;
	char user[NAME_BYTES + 1];
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

/* What can still turn a verdict that lets someone in into a denial. */
static bool stands(struct login *login, int result)
{
	const char *doubt = NULL;
	if (clock_left(login->deadline) == 0) {
		doubt = "the dialogue took longer than timeout= allows";
	} else if (!items_user_is(login, login->user)) {
		doubt = "the host changed the user name during the dialogue";
	} else if (!remember(login, result)) {
		doubt = "libpam cannot keep who was verified";
	}
	if (doubt != NULL) {
		log_fault(login, "%s", doubt);
	}
	return doubt == NULL;
}

/* The only way to PAM_SUCCESS and PAM_IGNORE. */
static int conclude(struct login *login, unsigned char verdict)
{
	switch (verdict) {
	case WIRE_DENY:
		return PAM_AUTH_ERR;
	case WIRE_ACCEPT:
		return stands(login, PAM_SUCCESS) ? PAM_SUCCESS : PAM_AUTH_ERR;
	case WIRE_IGNORE:
		return stands(login, PAM_IGNORE) ? PAM_IGNORE : PAM_AUTH_ERR;
	case WIRE_MAX_TRIES:
		return PAM_MAXTRIES;
	case WIRE_FAULT:
		return PAM_SYSTEM_ERR;
	default:
		log_fault(login, "there is no verdict %d", verdict);
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
	if (!items_user(login)) {
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
	bool decided = taken && relay(login, &verdict);
	child_end(login, LEAVE_MS);
	return decided ? conclude(login, verdict) : PAM_SYSTEM_ERR;
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
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
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
