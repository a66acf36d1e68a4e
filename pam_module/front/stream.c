/* Whole reads and writes on the socket, before a deadline. */
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

int64_t clock_ms(void)
{
	struct timespec now;
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
		return -1;
	}
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds until the deadline; 0 once it has passed, or without a clock. */
int clock_left(int64_t deadline)
{
	int64_t now = clock_ms();
	if (now < 0 || now >= deadline) {
		return 0;
	}
	return deadline - now > INT_MAX ? INT_MAX : (int)(deadline - now);
}

static enum stream wait_for(int fd, short event, int64_t deadline)
{
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = event};
		int left = clock_left(deadline);
		if (left == 0) {
			return STREAM_LATE;
		}
		int count = poll(&ready, 1, left);
		if (count > 0) {
			return STREAM_OK;
		}
		if (count < 0 && errno != EINTR) {
			return STREAM_BROKEN;
		}
	}
}

static bool try_again(void)
{
	return errno == EINTR || errno == EAGAIN;
}

enum stream stream_send(int fd, int64_t deadline, const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		if (clock_left(deadline) == 0) {
			return STREAM_LATE;
		}
		/* Without asking first, as there mostly is room: one system call less. */
		ssize_t sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EPIPE) {
			return STREAM_ENDED;
		}
		if (sent == 0 || !try_again()) {
			return STREAM_BROKEN;
		}
		enum stream state = wait_for(fd, POLLOUT, deadline);
		if (state != STREAM_OK) {
			return state;
		}
	}
	return STREAM_OK;
}

enum stream stream_recv(int fd, int64_t deadline, unsigned char *bytes, size_t size)
{
	while (size > 0) {
		if (clock_left(deadline) == 0) {
			return STREAM_LATE;
		}
		ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);
		if (got > 0) {
			bytes += got;
			size -= (size_t)got;
			continue;
		}
		if (got == 0) {
			return STREAM_ENDED;
		}
		if (!try_again()) {
			return STREAM_BROKEN;
		}
		enum stream state = wait_for(fd, POLLIN, deadline);
		if (state != STREAM_OK) {
			return state;
		}
	}
	return STREAM_OK;
}
