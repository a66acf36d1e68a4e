/*
 * A PAM module that tells the application its arguments and returns what it was
 * told to: by the variable "#N", if it has the argument id=N, with a list of what
 * it returns from call to call; else by "NAME ARGUMENT", with its own file's name
 * and any argument, or "NAME"; else by the argument ret=. "account " stands before
 * those names for pam_acct_mgmt.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *lookup(const char *stage, const char *name, const char *argument)
{
	char variable[512];
	snprintf(variable, sizeof variable, "%s%s%s%s", stage, name, *argument != '\0' ? " " : "", argument);
	return getenv(variable);
}

/* next takes the first of several returns, of which each call gets one. */
static int next(const char *variable)
{
	char values[1024];
	snprintf(values, sizeof values, "%s", getenv(variable));
	char *rest = strchr(values, ',');
	if (rest != NULL) {
		setenv(variable, rest + 1, 1);
	}
	return atoi(values);
}

static int result(const char *stage, int argc, const char **argv)
{
	const char *own = NULL;
	int fallback = PAM_SUCCESS;
	Dl_info info;
	const char *name = dladdr((void *)(size_t)lookup, &info) != 0 ? info.dli_fname : "";
	const char *base = strrchr(name, '/');
	name = base != NULL ? base + 1 : name;
	for (int i = 0; i < argc; i++) {
		char variable[64];
		if (strncmp(argv[i], "id=", 3) == 0) {
			snprintf(variable, sizeof variable, "#%s", argv[i] + 3);
			if (getenv(variable) != NULL) {
				return next(variable);
			}
		}
		if (strncmp(argv[i], "ret=", 4) == 0) {
			fallback = atoi(argv[i] + 4);
		}
		own = own != NULL ? own : lookup(stage, name, argv[i]);
	}
	own = own != NULL ? own : lookup(stage, name, "");
	return own != NULL ? atoi(own) : fallback;
}

static int mark(pam_handle_t *pamh, const char *stage, int argc, const char **argv)
{
	char text[1024] = "";
	for (int i = 0; i < argc; i++) {
		strncat(text, argv[i], sizeof text - strlen(text) - 1);
		strncat(text, "|", sizeof text - strlen(text) - 1);
	}
	pam_info(pamh, "%s", text);
	return result(stage, argc, argv);
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return mark(pamh, "", argc, argv);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return mark(pamh, "account ", argc, argv);
}
