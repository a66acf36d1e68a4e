/* clock_gettime(2) with a CLOCK_MONOTONIC that tests drive. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include "pamclock.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

static _Atomic int64_t ahead;     /* nanoseconds */
static _Atomic int64_t slow_from; /* the machine's clock when it was slowed */
static atomic_int slow = 1;

/* Of each thread, as each has a front of its own. */
static _Thread_local int64_t stopped_at; /* 0 while the clock goes */
static _Thread_local int64_t stood;      /* how long it has stood still */

typedef long (*system_call)(long number, long a, long b, long c, long d, long e, long f);
static system_call real_syscall;

__attribute__((constructor)) static void find_syscall(void)
{
	*(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
	if (real_syscall == NULL) {
		abort();
	}
}

static int64_t machine_clock(void)
{
	struct timespec now = {0};
	(void)real_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
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

static int64_t test_clock(void)
{
	return slow_from + (machine_clock() - slow_from) / slow;
}

/* syscall(2), by which the front has its child's descriptor and kills it. */
long stop_at_kill(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");
long stop_at_kill(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_pidfd_send_signal && stopped_at == 0) {
		stopped_at = test_clock();
	} else if (number == SYS_pidfd_open && stopped_at != 0) {
		stood += test_clock() - stopped_at;
		stopped_at = 0;
	}
	return real_syscall(number, a, b, c, d, e, f);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	if (id != CLOCK_MONOTONIC) {
		return (int)real_syscall(SYS_clock_gettime, id, (long)now, 0, 0, 0, 0);
	}
	int64_t at = (stopped_at != 0 ? stopped_at : test_clock()) - stood + ahead;
	now->tv_sec = at / SECOND;
	now->tv_nsec = at % SECOND;
	return 0;
}
