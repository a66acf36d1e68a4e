/*
 * The resident verifier: preferred where it runs, since it is faster and works
 * in hosts that cannot fork a core. Until it says that it takes the login,
 * nothing is lost by forking instead; from then on its word is the last, so
 * that nobody is asked twice.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/otpgate/verifier.sock"
#define PATIENCE_MS 2000 /* also for one that systemd starts first */

/* The directory that path is in, or with above the one that this is in. */
static bool stat_directory(const char *path, bool above, struct stat *info)
{
	char directory[SOCKET_BYTES + sizeof "/.."];
	int length = (int)(strrchr(path, '/') - path);
	int printed = snprintf(directory, sizeof directory, "%.*s%s", length > 0 ? length : 1, path, above ? "/.." : "");
	return printed >= 0 && (size_t)printed < sizeof directory && lstat(directory, info) == 0;
}

static bool only_owner_writes(const struct stat *info)
{
	return S_ISDIR(info->st_mode) && (info->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/*
 * Anybody else than root could stand in for the verifier and let himself in.
 * So the directory must be root's, or belong to whom root has put one there
 * for, and who listens must be one of the two.
 */
static bool is_genuine(const struct login *login, int socket, const char *path)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof peer;
	struct stat directory = {.st_uid = (uid_t)-1};
	struct stat above = {.st_uid = (uid_t)-1};
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer ||
	    !stat_directory(path, false, &directory) || !stat_directory(path, true, &above)) {
		log_warning(login, "%s: cannot tell who listens there: %m", path);
		return false;
	}
	bool by_root = above.st_uid == 0 && only_owner_writes(&above);
	if (!only_owner_writes(&directory) || (directory.st_uid != 0 && directory.st_uid != geteuid() && !by_root) ||
	    (peer.uid != 0 && peer.uid != directory.st_uid)) {
		log_warning(login, "%s: expected a verifier of root's or of the directory's owner, and a directory that root has made and others cannot write; "
			"found one of uid %u in a directory of mode %o of uid %u",
			path, (unsigned)peer.uid, (unsigned)directory.st_mode, (unsigned)directory.st_uid);
		return false;
	}
	return true;
}

/*
 * A full queue is no verifier that is not there: it takes thousands in a
 * second, and the kernel lets those who wait in as they came. Where a core
 * cannot be forked, not to wait is to deny. The socket stays blocking after
 * that; stream.c never waits in a read or a write.
 */
static bool wait_in_line(int fd, const struct sockaddr_un *address, int64_t deadline)
{
	while (errno == EAGAIN || errno == EINTR) {
		int left = clock_left(deadline);
		const struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000L};
		if (left == 0) {
			errno = EAGAIN;
			return false;
		}
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 || fcntl(fd, F_SETFL, 0) != 0) {
			return false;
		}
		if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
			return true;
		}
	}
	return false;
}

static int connect_to(const struct login *login, const char *path, int64_t deadline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* Not blocking, since a queue that is full must not hold the login up for longer than there is. */
	int fd = above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0) {
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 && !wait_in_line(fd, &address, deadline)) {
		log_debug(login, "no verifier at %s: %m", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/*
 * Until when the verifier may take the login. Half of the time is left for a core;
 * where there is none, to give up early is only to deny early.
 */
static int64_t decline_at(const struct login *login)
{
	if (!child_can_start()) {
		return login->deadline;
	}
	int patience = clock_left(login->deadline) / 2;
	return clock_ms() + (patience < PATIENCE_MS ? patience : PATIENCE_MS);
}

/*
 * No engine may believe that it has a login which another one decides. A byte
 * that came in time, or until now, counts, however late this process looks. Once the
 * side that reads is shut the verifier can send none, and knows that it has not
 * taken the login. One sent between the two looks makes it the verifier's, and
 * as nothing more can be read, denies it.
 */
static enum stream last_look(int socket, unsigned char *byte)
{
	ssize_t got = recv(socket, byte, 1, MSG_DONTWAIT);
	if (got < 0 && shutdown(socket, SHUT_RD) == 0) {
		got = recv(socket, byte, 1, MSG_DONTWAIT);
	}
	return got == 1 ? STREAM_OK : STREAM_LATE;
}

/* Quietly, as whatever goes wrong here only means that a core is forked. */
static bool takes_it(const struct login *login, int socket, int64_t deadline)
{
	unsigned char byte = 0;
	if (stream_send(socket, deadline, login->frame, login->start_size) != STREAM_OK) {
		return false;
	}
	enum stream state = stream_recv(socket, deadline, &byte, 1);
	if (state == STREAM_LATE) {
		state = last_look(socket, &byte);
	}
	return state == STREAM_OK && byte == WIRE_READY;
}

/* True once the verifier has taken the login; then only relay() may follow. */
bool resident_start(struct login *login)
{
	const char *path = login->options.verifier == NULL ? DEFAULT_SOCKET : login->options.verifier;
	if (strcmp(path, "off") == 0) {
		return false;
	}
	int64_t deadline = decline_at(login);
	int fd = connect_to(login, path, deadline);
	if (fd < 0) {
		return false;
	}
	if (is_genuine(login, fd, path)) {
		if (takes_it(login, fd, deadline)) {
			log_debug(login, "the verifier at %s takes this login", path);
			login->child.socket = fd;
			return true;
		}
		log_debug(login, "the verifier at %s does not take this login", path);
	}
	(void)close(fd);
	return false;
}
