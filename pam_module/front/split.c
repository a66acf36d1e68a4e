/*
 * A code behind the password, for hosts that cannot ask for one. The line with
 * split takes it off before the password modules come; the line without gives
 * it to the engine in answer to the first prompt. The engine sees those ends
 * of the password that have the form of a code, and nothing else of it.
 */
#include "front.h"

#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>

#define KEPT "otpgate_split"
#define MAX_TAILS 16

/* What the one line keeps for the other. */
struct kept {
	char user[WIRE_MAX_NAME + 1];
	struct field field;
};

static void wipe(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh;
	(void)status;
	explicit_bzero(data, sizeof(struct kept));
	free(data);
}

/* libpam wipes what it replaces. */
bool split_forget(pam_handle_t *pamh)
{
	return pam_set_data(pamh, KEPT, NULL, NULL) == PAM_SUCCESS;
}

/*
 * The host lets the user in, and no line has asked for what was taken off.
 * Whoever wrote such a stack believes that codes are asked for. The log is all
 * there is: libpam does not look at what setcred says of a line that it ignored.
 */
void split_unasked(pam_handle_t *pamh)
{
	const void *data = NULL;
	if (pam_get_data(pamh, KEPT, &data) != PAM_SUCCESS || data == NULL) {
		return;
	}
	const struct kept *kept = data;
	struct login *login = calloc(1, sizeof *login);
	if (login != NULL) {
		login->pamh = pamh;
		memcpy(login->user, kept->user, sizeof login->user);
		if (items_service(login)) {
			log_fault(login, "let in without a code: the line with split has no line without split behind the password modules, which would ask for it");
		}
		free(login);
	}
	(void)split_forget(pamh);
}

/* ---- the line with split ---- */

/* Nothing of an earlier call on this handle may be left, whatever comes now. */
bool split_begin(struct login *login)
{
	const char *password = NULL;
	struct field *field = &login->field;
	if (!split_forget(login->pamh)) {
		log_fault(login, "libpam cannot forget an earlier password");
		return false;
	}
	int result = pam_get_authtok(login->pamh, PAM_AUTHTOK, &password, NULL);
	if (result != PAM_SUCCESS || password == NULL) {
		log_debug(login, "libpam has no password: error %d", result);
		return false;
	}
	size_t size = strnlen(password, WIRE_MAX_ANSWER + 1);
	if (size <= WIRE_MAX_ANSWER) {
		memcpy(field->whole, password, size);
		field->size = size;
	}
	return true;
}

static bool is_alphabet(const unsigned char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] <= ' ' || text[i] > '~') {
			return false;
		}
	}
	return size > 0;
}

/* All of text is of the letters, but for a dash behind each group of them; 0: there are no groups. */
static bool fits(const char *text, size_t size, size_t group, const unsigned char *alphabet, size_t letters)
{
	for (size_t i = 0; i < size; i++) {
		bool dash = group > 0 && i % (group + 1) == group;
		if (dash ? text[i] != '-' : memchr(alphabet, (unsigned char)text[i], letters) == NULL) {
			return false;
		}
	}
	return true;
}

/* wish: the payload of a prompt; text: room for WIRE_MAX_TAIL bytes. */
bool split_tail(struct login *login, const unsigned char *wish, size_t size, unsigned char *status, unsigned char *text, size_t *answered)
{
	struct field *field = &login->field;
	size_t tail = size > 2 ? wish[1] : 0;
	size_t group = size > 2 ? wish[2] : 0;
	if (++login->prompts > MAX_TAILS) {
		log_fault(login, "more than %d ends of the password were asked for", MAX_TAILS);
		return false;
	}
	if (size < 4 || wish[0] != WIRE_TAIL || tail < 1 || tail > WIRE_MAX_TAIL || group >= tail || !is_alphabet(wish + 3, size - 3)) {
		log_fault(login, "a prompt came instead of a question for an end of the password");
		return false;
	}
	*status = WIRE_NO_ANSWER;
	*answered = 0;
	if (tail < field->size && fits(field->whole + field->size - tail, tail, group, wish + 3, size - 3)) {
		*status = WIRE_ANSWERED;
		*answered = tail;
		memcpy(text, field->whole + field->size - tail, tail);
		field->seen |= (uint64_t)1 << tail;
	}
	return true;
}

static bool set_password(const struct login *login, const struct field *field)
{
	char rest[WIRE_MAX_ANSWER + 1] = "";
	memcpy(rest, field->whole, field->rest);
	bool done = pam_set_item(login->pamh, PAM_AUTHTOK, rest) == PAM_SUCCESS;
	explicit_bzero(rest, sizeof rest);
	return done;
}

/* Takes so many bytes off the password and keeps them for the other line; 0 takes nothing off. */
bool split_keep(const struct login *login, size_t code)
{
	const struct field *field = &login->field;
	if (code > 0 && (code > WIRE_MAX_TAIL || code >= field->size || (field->seen >> code & 1) == 0)) {
		log_fault(login, "%zu bytes that the engine has not seen are not taken off a password", code);
		return false;
	}
	struct kept *kept = calloc(1, sizeof *kept);
	if (kept == NULL) {
		log_fault(login, "there is no memory to keep the code in");
		return false;
	}
	memcpy(kept->user, login->user, sizeof kept->user);
	if (code > 0) {
		kept->field = *field;
		kept->field.rest = field->size - code;
		kept->field.ready = true;
	}
	if (pam_set_data(login->pamh, KEPT, kept, wipe) != PAM_SUCCESS) {
		wipe(login->pamh, kept, 0);
		log_fault(login, "libpam cannot keep the code");
		return false;
	}
	if (code > 0 && !set_password(login, &kept->field)) {
		(void)split_forget(login->pamh);
		log_fault(login, "libpam cannot change the password");
		return false;
	}
	log_debug(login, "%zu bytes are taken off the password", code);
	return true;
}

/* ---- the line without ---- */

/*
 * A module between the two that has asked for the password itself got all of
 * the field again, and what counted there is not the rest.
 */
static bool is_rest(const struct field *field, const char *password)
{
	return password != NULL && strlen(password) == field->rest && memcmp(password, field->whole, field->rest) == 0;
}

/* False if the login must be denied. What was kept is kept no longer. */
bool split_resume(struct login *login)
{
	const void *data = NULL;
	const void *password = NULL;
	struct field *field = &login->field;
	int result = pam_get_data(login->pamh, KEPT, &data);
	if (result == PAM_NO_MODULE_DATA || (result == PAM_SUCCESS && data == NULL)) {
		return true;
	}
	if (result != PAM_SUCCESS) {
		log_fault(login, "libpam does not say whether a code was kept: error %d", result);
		return false;
	}
	const struct kept *kept = data;
	bool same = strcmp(kept->user, login->user) == 0;
	login->after_split = true;
	*field = kept->field;
	if (!split_forget(login->pamh)) {
		log_fault(login, "libpam cannot forget the code that was kept");
		return false;
	}
	if (!same) {
		log_fault(login, "the user name has changed since the line with split");
		return false;
	}
	if (field->ready && (pam_get_item(login->pamh, PAM_AUTHTOK, &password) != PAM_SUCCESS || !is_rest(field, password))) {
		field->ready = false;
		log_warning(login, "a module behind the line with split does not take the password from there, so the code counts for nothing; use_first_pass makes it");
	}
	return true;
}

/* text has room for WIRE_MAX_TAIL bytes. */
size_t split_code(struct login *login, unsigned char *text)
{
	struct field *field = &login->field;
	if (!field->ready) {
		return 0;
	}
	field->ready = false;
	memcpy(text, field->whole + field->rest, field->size - field->rest);
	return field->size - field->rest;
}

/* The host's own field again, with the code or without. */
bool split_is_password(const struct login *login, const char *answer)
{
	const struct field *field = &login->field;
	return field->size > 0 && (strcmp(answer, field->whole) == 0 || is_rest(field, answer));
}
