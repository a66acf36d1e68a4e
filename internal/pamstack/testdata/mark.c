/*
 * A PAM module that tells the application its arguments and returns what the
 * one of them says that begins with "ret=".
 */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int mark(pam_handle_t *pamh, int argc, const char **argv)
{
	char text[1024] = "";
	int result = PAM_SUCCESS;
	for (int i = 0; i < argc; i++) {
		strncat(text, argv[i], sizeof text - strlen(text) - 1);
		strncat(text, "|", sizeof text - strlen(text) - 1);
		if (strncmp(argv[i], "ret=", 4) == 0) {
			result = atoi(argv[i] + 4);
		}
	}
	pam_info(pamh, "%s", text);
	return result;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return mark(pamh, argc, argv);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return mark(pamh, argc, argv);
}
