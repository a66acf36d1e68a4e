/*
 * A PAM module that plays the rest of a stack. In auth, one after the other:
 *
 *   authtok=TEXT, user=NAME    set the items as a password module would
 *   forget    PAM_AUTHTOK is none
 *   reprompt  asks for the password although there is one
 *   show      tells what PAM_AUTHTOK is
 *   expect=TEXT      PAM_AUTH_ERR unless PAM_AUTHTOK is TEXT
 *   once=NUMBER      what the first call on a handle returns
 *
 * return=NUMBER is what each function returns, else PAM_SUCCESS.
 */
#include <security/pam_ext.h>
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

static void show(pam_handle_t *pamh)
{
	const void *password = NULL;
	(void)pam_get_item(pamh, PAM_AUTHTOK, &password);
	pam_info(pamh, "authtok=%s", password != NULL ? (const char *)password : "none");
}

static int expect(pam_handle_t *pamh, const char *text)
{
	const void *password = NULL;
	(void)pam_get_item(pamh, PAM_AUTHTOK, &password);
	return password != NULL && strcmp(password, text) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static int reprompt(pam_handle_t *pamh)
{
	const char *password = NULL;
	int set = pam_set_item(pamh, PAM_AUTHTOK, NULL);
	return set == PAM_SUCCESS ? pam_get_authtok(pamh, PAM_AUTHTOK, &password, "Password again: ") : set;
}

static int once(pam_handle_t *pamh, int value)
{
	const void *before = NULL;
	if (pam_get_data(pamh, "items_once", &before) == PAM_SUCCESS) {
		return PAM_SUCCESS;
	}
	static char called;
	return pam_set_data(pamh, "items_once", &called, NULL) == PAM_SUCCESS ? value : PAM_SYSTEM_ERR;
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
		} else if (strcmp(argv[i], "forget") == 0) {
			set = pam_set_item(pamh, PAM_AUTHTOK, NULL);
		} else if (strcmp(argv[i], "reprompt") == 0) {
			set = reprompt(pamh);
		} else if (strcmp(argv[i], "show") == 0) {
			show(pamh);
		} else if (strncmp(argv[i], "expect=", 7) == 0) {
			set = expect(pamh, argv[i] + 7);
		} else if (strncmp(argv[i], "once=", 5) == 0) {
			set = once(pamh, atoi(argv[i] + 5));
		}
		if (set != PAM_SUCCESS) {
			return set;
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
