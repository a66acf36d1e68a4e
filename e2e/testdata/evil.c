/* A library that a user may try to have loaded: it leaves a mark. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

__attribute__((constructor)) static void mark(void)
{
	char path[64];
	snprintf(path, sizeof path, "/run/otpgate-machine/marks/%d-%d", (int)geteuid(), (int)getpid());
	int fd = open(path, O_CREAT | O_WRONLY, 0666);
	if (fd >= 0) {
		close(fd);
	}
}
