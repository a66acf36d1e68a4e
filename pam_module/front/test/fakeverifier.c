/*
 * fakeverifier SOCKET CORE: a resident verifier that lets the core, mostly
 * fakecore.c, answer each connection in a process of its own. It prints a line
 * once it listens, and ends when its standard input does.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../wire.h"

#define LIFE 60 /* seconds, for cores that hang */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		fprintf(stderr, "fakeverifier: %s is too long for a socket\n", path);
		exit(1);
	}
	strcpy(address.sun_path, path);
	umask(0111);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1000) != 0) {
		die(path);
	}
	return fd;
}

/* Only the socket stays open, as in a forked core. */
static void answer(int fd, int (*serve)(int))
{
	int null = open("/dev/null", O_RDWR);
	for (int to = 0; to < 3; to++) {
		dup2(null, to);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGCHLD, SIG_DFL);
	alarm(LIFE);
	_exit(serve(fd));
}

int main(int argc, char **argv)
{
	int (*serve)(int) = NULL;
	void *core = argc == 3 ? dlopen(argv[2], RTLD_NOW) : NULL;
	void *entry = core != NULL ? dlsym(core, "otpgate_core_serve") : NULL;
	if (entry == NULL) {
		fprintf(stderr, "usage: fakeverifier SOCKET CORE: %s\n", argc == 3 ? dlerror() : "two arguments");
		return 1;
	}
	memcpy(&serve, &entry, sizeof serve);
	signal(SIGCHLD, SIG_IGN);
	int listener = listen_at(argv[1]);
	puts("listening");
	fflush(stdout);
	struct pollfd events[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
	while (poll(events, 2, -1) > 0 && events[0].revents == 0) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0) {
			die("accept");
		}
		/* Before the fork, which takes its time on a busy machine. */
		static const unsigned char ready = WIRE_READY;
		if (send(fd, &ready, 1, MSG_NOSIGNAL) == 1 && fork() == 0) {
			close(listener);
			answer(fd, serve);
		}
		close(fd);
	}
	return 0;
}
