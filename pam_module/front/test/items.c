/*
 * A PAM module that plays the rest of a stack: authtok=TEXT and user=NAME set
 * the items in auth as a password module would, return=NUMBER is what each
 * function returns, else PAM_SUCCESS.
 */
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>

static int result(int argc, const char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "return=", 7) == 0) {
			return atoi(argv[i] + 7);
		}
	}
	return PAM_SUCCESS;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	for (int i = 0; i < argc; i++) {
		int set = PAM_SUCCESS;
		if (strncmp(argv[i], "authtok=", 8) == 0) {
			set = pam_set_item(pamh, PAM_AUTHTOK, argv[i] + 8);
		} else if (strncmp(argv[i], "user=", 5) == 0) {
			set = pam_set_item(pamh, PAM_USER, argv[i] + 5);
		}
		if (set != PAM_SUCCESS) {
			return PAM_SERVICE_ERR;
		}
	}
	return result(argc, argv);
}

#define PLAY(name) \
	int name(pam_handle_t *pamh, int flags, int argc, const char **argv) \
	{ \
		(void)pamh; \
		(void)flags; \
		return result(argc, argv); \
	}

PLAY(pam_sm_setcred)
PLAY(pam_sm_acct_mgmt)
PLAY(pam_sm_open_session)
PLAY(pam_sm_close_session)
PLAY(pam_sm_chauthtok)
