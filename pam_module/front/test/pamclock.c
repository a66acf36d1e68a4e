/* clock_gettime(2) with a CLOCK_MONOTONIC that tests drive. */
#include "pamclock.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

static _Atomic int64_t ahead;     /* nanoseconds */
static _Atomic int64_t slow_from; /* the machine's clock when it was slowed */
static atomic_int slow = 1;

static int64_t machine_clock(void)
{
	struct timespec now = {0};
	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

void clock_forward(long ms)
{
	ahead += (int64_t)ms * 1000000;
}

void clock_slow(int times)
{
	slow_from = machine_clock();
	slow = times;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	if (id != CLOCK_MONOTONIC) {
		return (int)syscall(SYS_clock_gettime, id, now);
	}
	int64_t at = slow_from + (machine_clock() - slow_from) / slow + ahead;
	now->tv_sec = at / SECOND;
	now->tv_nsec = at % SECOND;
	return 0;
}
