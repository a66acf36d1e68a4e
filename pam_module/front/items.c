/* What the host says about the login, and the start frame made of it. */
#include "front.h"

#include <stdio.h>
#include <string.h>

static bool copy_name(char *to, const char *name)
{
	size_t size = strnlen(name, WIRE_MAX_NAME + 1);
	if (size > WIRE_MAX_NAME) {
		return false;
	}
	memcpy(to, name, size);
	to[size] = '\0';
	return true;
}

/* Without a service the core would not know which policy holds. */
bool items_service(struct login *login)
{
	const void *service = NULL;
	int result = pam_get_item(login->pamh, PAM_SERVICE, &service);
	if (result == PAM_SUCCESS && service != NULL && copy_name(login->service, service) && login->service[0] != '\0') {
		return true;
	}
	log_fault(login, "libpam has no service name, or one longer than %d bytes: error %d", WIRE_MAX_NAME, result);
	return false;
}

/*
 * The user is copied: the core must be asked about, and the verdict must
 * hold for, one name, whatever the host does meanwhile.
 */
bool items_user(struct login *login)
{
	const char *user = NULL;
	int result = pam_get_user(login->pamh, &user, NULL);
	if (result != PAM_SUCCESS) {
		log_fault(login, "libpam has no user name: error %d", result);
		return false;
	}
	if (user == NULL || user[0] == '\0') {
		log_fault(login, "the user name is empty");
		return false;
	}
	if (!copy_name(login->user, user)) {
		log_fault(login, "the user name is longer than %d bytes", WIRE_MAX_NAME);
		return false;
	}
	if (!text_is_clean(user)) {
		log_fault(login, "the user name holds control characters or is not UTF-8");
		return false;
	}
	return true;
}

bool items_user_is(const struct login *login, const char *user)
{
	const void *now = NULL;
	return pam_get_item(login->pamh, PAM_USER, &now) == PAM_SUCCESS && now != NULL && strcmp(now, user) == 0;
}

/* A field that says all by being there. */
static bool put_flag(struct login *login, size_t *used, int tag, bool set)
{
	if (!set) {
		return true;
	}
	if (*used + 3 > WIRE_MAX_START) {
		log_fault(login, "there is no room for start field %d", tag);
		return false;
	}
	unsigned char *at = login->frame + WIRE_HEADER_SIZE + *used;
	at[0] = (unsigned char)tag;
	at[1] = at[2] = 0;
	*used += 3;
	return true;
}

/* A field that the frame leaves out when there is no value. */
static bool put(struct login *login, size_t *used, int tag, const char *value, size_t limit)
{
	size_t size = value == NULL ? 0 : strnlen(value, limit + 1);
	if (size > limit || *used + 3 + size > WIRE_MAX_START) {
		log_fault(login, "start field %d is longer than %zu bytes", tag, limit);
		return false;
	}
	if (size == 0) {
		return true;
	}
	unsigned char *at = login->frame + WIRE_HEADER_SIZE + *used;
	at[0] = (unsigned char)tag;
	at[1] = (unsigned char)(size >> 8);
	at[2] = (unsigned char)size;
	memcpy(at + 3, value, size);
	*used += 3 + size;
	return true;
}

static bool put_item(struct login *login, size_t *used, int tag, int item, size_t limit)
{
	const void *value = NULL;
	int result = pam_get_item(login->pamh, item, &value);
	if (result != PAM_SUCCESS) {
		log_fault(login, "libpam does not give item %d: error %d", item, result);
		return false;
	}
	return put(login, used, tag, value, limit);
}

/* Made once, so that verifier and core are asked the same. */
bool items_start_frame(struct login *login)
{
	char timeout[16] = "";
	int digits = snprintf(timeout, sizeof timeout, "%d", login->options.timeout);
	if (digits < 0 || (size_t)digits >= sizeof timeout) {
		return false;
	}
	size_t used = 0;
	unsigned char *frame = login->frame;
	frame[WIRE_HEADER_SIZE + used++] = WIRE_VERSION;
	if (!put(login, &used, WIRE_TAG_SERVICE, login->service, WIRE_MAX_NAME) ||
	    !put(login, &used, WIRE_TAG_USER, login->user, WIRE_MAX_NAME) ||
	    !put_item(login, &used, WIRE_TAG_REMOTE_HOST, PAM_RHOST, WIRE_MAX_HOST) ||
	    !put_item(login, &used, WIRE_TAG_REMOTE_USER, PAM_RUSER, WIRE_MAX_NAME) ||
	    !put_item(login, &used, WIRE_TAG_TTY, PAM_TTY, WIRE_MAX_NAME) ||
	    !put(login, &used, WIRE_TAG_PROTOCOL, login->options.protocol, WIRE_MAX_NAME) ||
	    !put(login, &used, WIRE_TAG_CONFIG, login->options.config, WIRE_MAX_CONFIG) ||
	    !put(login, &used, WIRE_TAG_TIMEOUT, timeout, sizeof timeout - 1) ||
	    !put_flag(login, &used, WIRE_TAG_DEBUG, login->options.debug) ||
	    !put_flag(login, &used, WIRE_TAG_SPLIT, login->options.split) ||
	    !put_flag(login, &used, WIRE_TAG_AFTER_SPLIT, login->after_split) ||
	    !put_flag(login, &used, WIRE_TAG_CODE_BEHIND, login->after_split && login->field.ready)) {
		return false;
	}
	frame[0] = WIRE_START;
	frame[1] = (unsigned char)(used >> 16);
	frame[2] = (unsigned char)(used >> 8);
	frame[3] = (unsigned char)used;
	login->start_size = WIRE_HEADER_SIZE + used;
	return true;
}
