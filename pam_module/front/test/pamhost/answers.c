/* The conversation: gives the answers in order and keeps the prompts. */
#include "pamhost.h"
#include "../pamclock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void put_json(FILE *to, const char *text)
{
	fputc('"', to);
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\') {
			fprintf(to, "\\%c", *at);
		} else if (*at < 0x20 || *at == 0x7F) {
			fprintf(to, "\\u%04x", *at);
		} else {
			fputc(*at, to);
		}
	}
	fputc('"', to);
}

/* A process that has what the host has, until somebody writes to the path; but not what the host's output is read from. */
static void leave_heir(const char *path)
{
	pid_t pid = fork();
	if (pid < 0) {
		abort();
	}
	if (pid > 0) {
		return;
	}
	for (int fd = 0; fd < 256; fd++) {
		struct stat info;
		if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode)) {
			(void)close(fd);
		}
	}
	(void)open(path, O_RDONLY);
	_exit(0);
}

static char *spell_answer(const char *marker)
{
	int number = 0;
	int skip = 0;
	if (strcmp(marker, "@null") == 0) {
		return NULL;
	}
	if (sscanf(marker, "@long:%d", &number) == 1) {
		char *text = malloc((size_t)number + 1);
		memset(text, 'a', (size_t)number);
		text[number] = '\0';
		return text;
	}
	if (sscanf(marker, "@sleep:%d:%n", &number, &skip) == 1 && skip > 0) {
		usleep((useconds_t)number * 1000);
		return strdup(marker + skip);
	}
	if (sscanf(marker, "@later:%d:%n", &number, &skip) == 1 && skip > 0) {
		clock_forward(number);
		return strdup(marker + skip);
	}
	char path[256];
	if (sscanf(marker, "@fork:%255[^:]:%n", path, &skip) == 1 && skip > 0) {
		leave_heir(path);
		return strdup(marker + skip);
	}
	if (sscanf(marker, "@die:%255[^:]:%n", path, &skip) == 1 && skip > 0) {
		leave_heir(path);
		(void)raise(SIGKILL);
	}
	return strdup(strncmp(marker, "@@", 2) == 0 ? marker + 1 : marker);
}

int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
	struct conversation *conversation = data;
	struct pam_response *made = calloc((size_t)count, sizeof *made);
	if (want.rename != NULL && !conversation->renamed) {
		conversation->renamed = true;
		pam_set_item(conversation->pamh, PAM_USER, want.rename);
	}
	for (int i = 0; i < count; i++) {
		int style = messages[i]->msg_style;
		fprintf(conversation->prompts, "%s{\"style\":%d,\"text\":", ftell(conversation->prompts) > 0 ? "," : "", style);
		put_json(conversation->prompts, messages[i]->msg);
		fputc('}', conversation->prompts);
		if (style != PAM_PROMPT_ECHO_OFF && style != PAM_PROMPT_ECHO_ON) {
			continue;
		}
		const char *answer = conversation->left > 0 ? *conversation->answers : "@error";
		if (conversation->left > 0) {
			conversation->answers++;
			conversation->left--;
		}
		if (strcmp(answer, "@error") == 0 || strcmp(answer, "@none") == 0) {
			free(made);
			*responses = NULL;
			return strcmp(answer, "@none") == 0 ? PAM_SUCCESS : PAM_CONV_ERR;
		}
		made[i].resp = spell_answer(answer);
	}
	*responses = made;
	return PAM_SUCCESS;
}
