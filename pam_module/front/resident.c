/*
 * The resident verifier: preferred where it runs, since it is faster and works
 * in hosts that cannot fork a core. Until it says that it takes the login,
 * nothing is lost by forking instead; from then on its word is the last, so
 * that nobody is asked twice.
 */
#include "front.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/otpgate/verifier.sock"
#define PATIENCE_MS 2000 /* also for one that systemd starts first */

/*
 * Who may put a socket there must be root or who listens on it; anybody else
 * could stand in for the verifier and let himself in.
 */
static bool is_genuine(const struct login *login, int socket, const char *path)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof peer;
	char directory[sizeof ((struct sockaddr_un *)0)->sun_path];
	int length = (int)(strrchr(path, '/') - path);
	int printed = snprintf(directory, sizeof directory, "%.*s", length > 0 ? length : 1, path);
	struct stat info = {.st_uid = (uid_t)-1};
	if (printed < 0 || (size_t)printed >= sizeof directory ||
	    getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || lstat(directory, &info) != 0) {
		log_fault(login, "%s: cannot tell who listens there: %m", path);
		return false;
	}
	if (!S_ISDIR(info.st_mode) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
	    (info.st_uid != 0 && info.st_uid != peer.uid) || (peer.uid != 0 && peer.uid != info.st_uid)) {
		log_fault(login, "%s: expected a verifier of root's or of the directory's owner, found uid %u in a directory of mode %o of uid %u",
			path, (unsigned)peer.uid, (unsigned)info.st_mode, (unsigned)info.st_uid);
		return false;
	}
	return true;
}

static int connect_to(const struct login *login, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* Not blocking, since a queue that is full must not hold the login up. */
	int fd = above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0) {
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		log_debug(login, "no verifier at %s: %m", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Quietly, as whatever goes wrong here only means that a core is forked. */
static bool takes_it(struct login *login)
{
	size_t size = 0;
	unsigned char byte = 0;
	int64_t patience = clock_ms() + PATIENCE_MS;
	int64_t deadline = patience < login->deadline ? patience : login->deadline;
	return items_start_frame(login, &size) &&
	       stream_send(login->child.socket, deadline, login->frame, size) == STREAM_OK &&
	       stream_recv(login->child.socket, deadline, &byte, 1) == STREAM_OK && byte == WIRE_READY;
}

/* True once the verifier has taken the login; then only relay() may follow. */
bool resident_start(struct login *login)
{
	const char *path = login->options.verifier == NULL ? DEFAULT_SOCKET : login->options.verifier;
	if (strcmp(path, "off") == 0) {
		return false;
	}
	int fd = connect_to(login, path);
	if (fd < 0) {
		return false;
	}
	login->child.socket = fd;
	if (is_genuine(login, fd, path)) {
		if (takes_it(login)) {
			return true;
		}
		log_debug(login, "the verifier at %s does not take this login", path);
	}
	(void)close(fd);
	login->child.socket = -1;
	return false;
}
