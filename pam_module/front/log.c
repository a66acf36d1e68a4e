/*
 * The front's own log lines. The decisions are logged by the core.
 *
 * syslog() is left alone: the first call in a process leaves a descriptor
 * open in it and takes over its ident, and both are the host's business.
 */
#include "front.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1400
#define TEXT_BYTES 900

struct line {
	char bytes[LINE_BYTES];
	size_t size;
};

static void put(struct line *line, const char *text)
{
	size_t size = strnlen(text, LINE_BYTES - line->size);
	memcpy(line->bytes + line->size, text, size);
	line->size += size;
}

/* The form of the core's audit lines: in quotes unless plain, so that no value passes for a field. */
static void put_field(struct line *line, const char *key, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@+";
	const char *quote = value[0] == '\0' || value[strspn(value, plain)] != '\0' ? "\"" : "";
	put(line, key);
	put(line, quote);
	const unsigned char *at = (const unsigned char *)value;
	for (size_t left = strlen(value), step = 0; left > 0; at += step, left -= step) {
		char piece[8] = "?";
		step = text_char(at, left);
		if (step == 0) {
			step = 1;
		} else if (*at == '"' || *at == '\\') {
			piece[0] = '\\';
			piece[1] = (char)*at;
		} else {
			memcpy(piece, at, step);
		}
		put(line, piece);
	}
	put(line, quote);
}

static void put_header(struct line *line, int severity)
{
	/* strftime would name the month in the host's language. */
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
		"Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	char header[64] = "";
	struct tm tm = {.tm_mday = 1};
	time_t now = time(NULL);
	if (localtime_r(&now, &tm) == NULL || tm.tm_mon < 0 || tm.tm_mon > 11) {
		tm = (struct tm){.tm_mday = 1};
	}
	int size = snprintf(header, sizeof header, "<%d>%s %2d %02d:%02d:%02d otpgate[%ld]: ", LOG_AUTHPRIV | severity,
		months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid());
	if (size > 0 && (size_t)size < sizeof header) {
		put(line, header);
	}
}

/* False if nobody listens, or takes nothing. */
static bool post(const struct line *line)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = above_stdio(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	if (fd < 0) {
		return false;
	}
	/* A log that is busy is waited for, but not for long. */
	const struct timeval patience = {.tv_usec = 500000};
	bool taken = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
	             connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
	             send(fd, line->bytes, line->size, MSG_NOSIGNAL) >= 0;
	(void)close(fd);
	return taken;
}

/* In the file a line has an end, and no priority in front. */
static void keep(struct line *line)
{
	const char *end = line->bytes[0] == '<' ? memchr(line->bytes, '>', line->size) : NULL;
	size_t skip = end == NULL ? 0 : (size_t)(end - line->bytes) + 1;
	if (line->size == LINE_BYTES) {
		line->size--;
	}
	put(line, "\n");
	logfile_append(line->bytes + skip, line->size - skip);
}

__attribute__((format(printf, 4, 0))) static void write_line(const struct login *login, int severity,
	const char *before, const char *format, va_list values)
{
	char text[TEXT_BYTES];
	struct line line = {.size = 0};
	if (vsnprintf(text, sizeof text, format, values) < 0) {
		return;
	}
	put_header(&line, severity);
	put_field(&line, "user=", login->user);
	put_field(&line, " service=", login->service);
	put_field(&line, before, text);
	if (!post(&line)) {
		keep(&line);
	}
}

void log_fault(const struct login *login, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	write_line(login, LOG_ERR, " verdict=fault rule=front reason=", format, values);
	va_end(values);
}

/* For what an admin should mend and what does not decide this login. */
void log_warning(const struct login *login, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	write_line(login, LOG_WARNING, " warning=", format, values);
	va_end(values);
}

void log_debug(const struct login *login, const char *format, ...)
{
	if (!login->options.debug) {
		return;
	}
	va_list values;
	va_start(values, format);
	write_line(login, LOG_DEBUG, " debug=", format, values);
	va_end(values);
}
