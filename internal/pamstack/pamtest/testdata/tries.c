/*
 * tries reads lines "SERVICE\tVARIABLE=VALUE..." and says of each what libpam
 * makes of a login with those variables in the environment: a line with what the
 * modules of pam_authenticate told and what that returned, and, if it was
 * success, with the same of pam_acct_mgmt. What pam_start returned, if it failed,
 * stands alone.
 */
#include <grp.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
	(void)data;
	*responses = calloc((size_t)count, sizeof **responses);
	for (int i = 0; i < count; i++) {
		printf("\t%s", messages[i]->msg);
	}
	return PAM_SUCCESS;
}

static void run(pam_handle_t *pamh)
{
	printf("auth");
	int result = pam_authenticate(pamh, 0);
	printf("\t%d", result);
	if (result == PAM_SUCCESS) {
		printf("\taccount");
		printf("\t%d", pam_acct_mgmt(pamh, 0));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	static char line[1 << 16], last[1 << 10];
	struct pam_conv conversation = {converse, NULL};
	pam_handle_t *pamh = NULL;
	int started = -1;
	if (argc > 1) {
		uid_t host = (uid_t)atoi(argv[1]);
		if (setgroups(0, NULL) != 0 || setgid((gid_t)host) != 0 || setuid(host) != 0) {
			return 1;
		}
	}
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *service = strtok(line, "\t\n");
		clearenv();
		for (char *variable = strtok(NULL, "\t\n"); variable != NULL; variable = strtok(NULL, "\t\n")) {
			putenv(variable);
		}
		if (strcmp(service, last) != 0) {
			if (started == PAM_SUCCESS) {
				pam_end(pamh, PAM_SUCCESS);
			}
			snprintf(last, sizeof last, "%s", service);
			started = pam_start(service, "somebody", &conversation, &pamh);
		}
		if (started == PAM_SUCCESS) {
			run(pamh);
		} else {
			printf("start\t%d\n", started);
		}
		fflush(stdout);
	}
	return 0;
}
