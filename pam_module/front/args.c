/* The module's arguments in pam.d. Whatever is not understood denies. */
#include "front.h"

#include <string.h>

#define DEFAULT_TIMEOUT 120
#define PROTOCOL_BYTES 64
#define CONFIG_BYTES (PATH_MAX - 1)

/* The value if argument is name=value, else NULL. name ends in '='. */
static const char *value_of(const char *argument, const char *name)
{
	size_t size = strlen(name);
	return strncmp(argument, name, size) == 0 ? argument + size : NULL;
}

static bool parse_timeout(const char *digits, int *seconds)
{
	int sum = 0;
	for (const char *at = digits; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || at - digits >= 3) {
			return false;
		}
		sum = sum * 10 + (*at - '0');
	}
	*seconds = sum;
	return sum >= 1 && sum <= WIRE_MAX_TIMEOUT;
}

static const char *take_flag(bool *flag, const char *expected)
{
	bool again = *flag;
	*flag = true;
	return again ? expected : NULL;
}

/* NULL if the argument was taken, else what was expected instead. */
static const char *take(struct options *options, const char *argument)
{
	const char *value = value_of(argument, "config=");
	if (value != NULL) {
		if (options->config != NULL) {
			return "config= only once";
		}
		options->config = value;
		return value[0] == '/' && strlen(value) <= CONFIG_BYTES ? NULL : "an absolute path after config=";
	}
	value = value_of(argument, "protocol=");
	if (value != NULL) {
		if (options->protocol != NULL) {
			return "protocol= only once";
		}
		options->protocol = value;
		return value[0] != '\0' && strlen(value) <= PROTOCOL_BYTES && text_is_clean(value)
			? NULL : "a protocol's name of at most 64 bytes after protocol=";
	}
	value = value_of(argument, "timeout=");
	if (value != NULL) {
		if (options->timeout != 0) {
			return "timeout= only once";
		}
		return parse_timeout(value, &options->timeout) ? NULL : "whole seconds from 1 to 600 after timeout=";
	}
	value = value_of(argument, "verifier=");
	if (value != NULL) {
		if (options->verifier != NULL) {
			return "verifier= only once";
		}
		options->verifier = value;
		return strcmp(value, "off") == 0 || (value[0] == '/' && strlen(value) <= SOCKET_BYTES)
			? NULL : "off or an absolute path of at most 107 bytes after verifier=";
	}
	if (strcmp(argument, "debug") == 0) {
		return take_flag(&options->debug, "debug only once");
	}
	if (strcmp(argument, "split") == 0) {
		return take_flag(&options->split, "split only once");
	}
	return "one of split, config=PATH, protocol=NAME, timeout=SECONDS, verifier=off|PATH, debug";
}

bool args_parse(struct login *login, int argc, const char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *expected = take(&login->options, argv[i]);
		if (expected != NULL) {
			log_fault(login, "argument %d in pam.d is \"%.100s\", expected %s", i + 1, argv[i], expected);
			return false;
		}
	}
	if (login->options.timeout == 0) {
		login->options.timeout = DEFAULT_TIMEOUT;
	}
	return true;
}
