/*
 * A PAM module that sets items as other modules of a stack would:
 * authtok=TEXT, user=NAME. Always PAM_SUCCESS in auth, PAM_IGNORE elsewhere.
 */
#include <security/pam_modules.h>
#include <string.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	for (int i = 0; i < argc; i++) {
		int result = PAM_SUCCESS;
		if (strncmp(argv[i], "authtok=", 8) == 0) {
			result = pam_set_item(pamh, PAM_AUTHTOK, argv[i] + 8);
		} else if (strncmp(argv[i], "user=", 5) == 0) {
			result = pam_set_item(pamh, PAM_USER, argv[i] + 5);
		}
		if (result != PAM_SUCCESS) {
			return PAM_SERVICE_ERR;
		}
	}
	return PAM_SUCCESS;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}
