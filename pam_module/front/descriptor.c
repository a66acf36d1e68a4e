/* Descriptors that the front opens in a host. */
#include "front.h"

#include <fcntl.h>
#include <unistd.h>

/* The host may have 0 to 2 closed; what lands there gets other people's output. */
int above_stdio(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO) {
		return fd;
	}
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	(void)close(fd);
	return moved;
}
