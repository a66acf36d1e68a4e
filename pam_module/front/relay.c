/*
 * The dialogue: prompts from the core to the host's conversation, answers
 * back, until the core's verdict.
 */
#include "front.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_PROMPTS 64
#define TRAILER_MS 1000

/* Whom the dialogue is with, for the log. */
static const char *other(const struct login *login)
{
	return login->child.pid > 0 ? "core" : "verifier";
}

/* What helps where a core cannot start, as under vsftpd's limits. */
static const char *instead(const struct login *login)
{
	return login->child.pid > 0 && login->prompts == 0
		? "; if it cannot start in this host, otpgate-verifierd must run, which answers in its place" : "";
}

static bool broken(const struct login *login, enum stream state)
{
	if (state == STREAM_LATE) {
		log_fault(login, "the dialogue took longer than timeout= allows");
	} else if (state == STREAM_ENDED) {
		log_fault(login, "the %s ended before its verdict%s", other(login), instead(login));
	} else {
		log_fault(login, "the socket to the %s failed%s", other(login), instead(login));
	}
	return false;
}

/* Controls become '?'; NUL cannot be shown at all. */
static bool make_presentable(unsigned char *text, size_t size)
{
	for (size_t i = 0, step = 0; i < size; i += step) {
		if (text[i] == '\0') {
			return false;
		}
		step = text_char(text + i, size - i);
		if (step == 0) {
			step = 1;
			if (text[i] != '\n') {
				text[i] = '?';
			}
		}
	}
	text[size] = '\0';
	return true;
}

static int converse(struct login *login, int style, const char *text, struct pam_response **response)
{
	const void *item = NULL;
	*response = NULL;
	if (pam_get_item(login->pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL) {
		return PAM_CONV_ERR;
	}
	const struct pam_conv *conv = item;
	if (conv->conv == NULL) {
		return PAM_CONV_ERR;
	}
	const struct pam_message message = {.msg_style = style, .msg = text};
	const struct pam_message *messages = &message;
	return conv->conv(1, &messages, response, conv->appdata_ptr);
}

static void wipe(struct pam_response *response)
{
	if (response == NULL) {
		return;
	}
	if (response->resp != NULL) {
		explicit_bzero(response->resp, strlen(response->resp));
		free(response->resp);
	}
	free(response);
}

/*
 * The login's password stays here: a host that gives it to every prompt would
 * otherwise have it passed around as a code.
 */
static bool read_answer(struct login *login, int result, const struct pam_response *response, unsigned char *status,
	unsigned char *text, size_t *size)
{
	const void *password = NULL;
	*size = 0;
	*status = WIRE_NO_ANSWER;
	if (result != PAM_SUCCESS || response == NULL || response->resp == NULL) {
		return true;
	}
	if (pam_get_item(login->pamh, PAM_AUTHTOK, &password) != PAM_SUCCESS) {
		log_fault(login, "libpam does not say whether there is a password");
		return false;
	}
	const char *answer = response->resp;
	size_t length = strnlen(answer, WIRE_MAX_ANSWER + 1);
	if (length > 0 && ((password != NULL && strcmp(answer, password) == 0) || split_is_password(login, answer))) {
		*status = WIRE_IS_PASSWORD;
	} else if (length > WIRE_MAX_ANSWER) {
		*status = WIRE_TOO_LONG;
	} else {
		*status = WIRE_ANSWERED;
		*size = length;
		memcpy(text, answer, length);
	}
	return true;
}

/* reply: room for the header, then the status and so many bytes of text. It is wiped. */
static bool send_reply(struct login *login, unsigned char *reply, size_t size)
{
	log_debug(login, "reply status %d", reply[WIRE_HEADER_SIZE]);
	reply[0] = WIRE_REPLY;
	reply[1] = 0;
	reply[2] = (unsigned char)((size + 1) >> 8);
	reply[3] = (unsigned char)(size + 1);
	enum stream state = stream_send(login->child.socket, login->deadline, reply, WIRE_HEADER_SIZE + 1 + size);
	explicit_bzero(reply, WIRE_HEADER_SIZE + 1 + size);
	return state == STREAM_OK || broken(login, state);
}

static bool ask(struct login *login, int style, const char *text)
{
	unsigned char reply[WIRE_HEADER_SIZE + 1 + WIRE_MAX_ANSWER];
	struct pam_response *response = NULL;
	size_t size = style == PAM_PROMPT_ECHO_OFF ? split_code(login, reply + WIRE_HEADER_SIZE + 1) : 0;
	if (size > 0) {
		reply[WIRE_HEADER_SIZE] = WIRE_ANSWERED;
		return send_reply(login, reply, size);
	}
	/* A person may take long and the core only waits, so the host gets its own signal mask back. */
	sigchld_release(&login->sigchld, 0);
	int result = converse(login, style, text, &response);
	if (login->child.pid > 0 && !sigchld_hold(&login->sigchld)) {
		log_debug(login, "cannot block SIGCHLD again");
	}
	bool known = read_answer(login, result, response, &reply[WIRE_HEADER_SIZE], reply + WIRE_HEADER_SIZE + 1, &size);
	wipe(response);
	log_debug(login, "conversation gave %d", result);
	return known && send_reply(login, reply, size);
}

static void tell(struct login *login, int style, const char *text)
{
	if ((login->flags & PAM_SILENT) != 0) {
		return;
	}
	struct pam_response *response = NULL;
	/* What a host cannot show changes no verdict. */
	int result = converse(login, style, text, &response);
	log_debug(login, "conversation gave %d to a message", result);
	wipe(response);
}

/* A question for an end of the password, which is the host's to answer. */
static bool answer_tail(struct login *login, const unsigned char *wish, size_t size)
{
	unsigned char reply[WIRE_HEADER_SIZE + 1 + WIRE_MAX_TAIL];
	size_t answered = 0;
	return split_tail(login, wish, size, &reply[WIRE_HEADER_SIZE], reply + WIRE_HEADER_SIZE + 1, &answered) && send_reply(login, reply, answered);
}

static bool prompt(struct login *login, unsigned char *payload, size_t size)
{
	if (login->options.split) {
		return answer_tail(login, payload, size);
	}
	if (++login->prompts > MAX_PROMPTS) {
		log_fault(login, "the %s sent more than %d prompts", other(login), MAX_PROMPTS);
		return false;
	}
	if (size < 1 || !make_presentable(payload + 1, size - 1)) {
		log_fault(login, "the %s sent a prompt that cannot be shown", other(login));
		return false;
	}
	const char *text = (const char *)payload + 1;
	switch (payload[0]) {
	case WIRE_ECHO_OFF:
		return ask(login, PAM_PROMPT_ECHO_OFF, text);
	case WIRE_ECHO_ON:
		return ask(login, PAM_PROMPT_ECHO_ON, text);
	case WIRE_INFO:
		tell(login, PAM_TEXT_INFO, text);
		return true;
	case WIRE_FAILURE:
		tell(login, PAM_ERROR_MSG, text);
		return true;
	default:
		log_fault(login, "the %s sent a prompt of unknown style %d", other(login), payload[0]);
		return false;
	}
}

/* A core that goes on talking after its verdict is not one to believe. */
static bool ends_here(const struct login *login)
{
	unsigned char more;
	int64_t deadline = clock_ms() + TRAILER_MS;
	if (shutdown(login->child.socket, SHUT_WR) != 0) {
		log_debug(login, "cannot shut the socket to the %s", other(login));
	}
	enum stream state = stream_recv(login->child.socket, deadline, &more, 1);
	if (state == STREAM_ENDED || state == STREAM_LATE) {
		return true;
	}
	log_fault(login, "the %s did not end with its verdict", other(login));
	return false;
}

/* One frame: its type, and its payload in login->frame. */
static bool receive(struct login *login, size_t *size)
{
	unsigned char *frame = login->frame;
	enum stream state = stream_recv(login->child.socket, login->deadline, frame, WIRE_HEADER_SIZE);
	if (state != STREAM_OK) {
		return broken(login, state);
	}
	*size = ((size_t)frame[1] << 16) | ((size_t)frame[2] << 8) | frame[3];
	if (*size > WIRE_MAX_PAYLOAD) {
		log_fault(login, "the %s sent a frame of %zu bytes, at most %d are allowed", other(login), *size, WIRE_MAX_PAYLOAD);
		return false;
	}
	state = stream_recv(login->child.socket, login->deadline, frame + WIRE_HEADER_SIZE, *size);
	return state == STREAM_OK || broken(login, state);
}

/* Says what the login is. */
bool relay_open(const struct login *login)
{
	enum stream state = stream_send(login->child.socket, login->deadline, login->frame, login->start_size);
	return state == STREAM_OK || broken(login, state);
}

/* Only WIRE_SPLIT, which is for lines with split, says how many bytes the code has. */
static bool take_verdict(const struct login *login, size_t size, unsigned char *verdict, size_t *code)
{
	const unsigned char *payload = login->frame + WIRE_HEADER_SIZE;
	bool split = size == 2 && payload[0] == WIRE_SPLIT && payload[1] > 0 && login->options.split;
	if (!split && (size != 1 || payload[0] == WIRE_SPLIT)) {
		log_fault(login, "the %s sent a verdict of %zu bytes", other(login), size);
		return false;
	}
	*verdict = payload[0];
	*code = split ? payload[1] : 0;
	return ends_here(login);
}

bool relay(struct login *login, unsigned char *verdict, size_t *code)
{
	size_t size = 0;
	unsigned char *payload = login->frame + WIRE_HEADER_SIZE;
	while (receive(login, &size)) {
		switch (login->frame[0]) {
		case WIRE_PROMPT:
			if (!prompt(login, payload, size)) {
				return false;
			}
			break;
		case WIRE_VERDICT:
			return take_verdict(login, size, verdict, code);
		default:
			log_fault(login, "the %s sent a frame of unknown type 0x%02x", other(login), login->frame[0]);
			return false;
		}
	}
	return false;
}
