/*
 * oracle DIR SERVICE... says what libpam makes of services in DIR, or in the
 * machine's own places if that is "-": a line with what pam_start returned, what
 * pam_authenticate and pam_acct_mgmt did, and after each what the modules told.
 */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static void run(const char *dir, const char *service)
{
	struct pam_conv conversation = {converse, NULL};
	pam_handle_t *pamh = NULL;
	int result = strcmp(dir, "-") == 0 ? pam_start(service, "somebody", &conversation, &pamh)
					   : pam_start_confdir(service, "somebody", &conversation, dir, &pamh);
	printf("start\t%d\n", result);
	if (result != PAM_SUCCESS) {
		return;
	}
	printf("auth");
	result = pam_authenticate(pamh, 0);
	printf("\t%d\n", result);
	printf("account");
	result = pam_acct_mgmt(pamh, 0);
	printf("\t%d\n", result);
	pam_end(pamh, result);
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		/* Some files crash libpam itself. */
		int status = 0;
		pid_t child = fork();
		if (child == 0) {
			run(argv[1], argv[i]);
			return 0;
		}
		if (child < 0 || waitpid(child, &status, 0) != child) {
			return 1;
		}
		if (status != 0) {
			printf("start\tcrash\n");
		}
		fflush(stdout);
	}
	return 0;
}
