/*
 * What must be settled before the Go runtime starts. It starts in a
 * constructor of this library, so an earlier one is the last chance.
 */
#include <malloc.h>
#include <stddef.h>

/*
 * The core decides one login and ends. Each thread that the runtime starts for
 * work at the same time, and each thread's own arena for malloc, only makes
 * that longer; docs/performance.md has the figures.
 *
 * The runtime takes its environment from behind argv, where the front has left
 * nothing. Two empty places are needed: the second one ends the list.
 */
__attribute__((constructor(101))) static void one_at_a_time(int argc, char **argv)
{
	static char one_processor[] = "GOMAXPROCS=1";
	char **environment = argv + argc + 1;
	if (environment[0] == NULL && environment[1] == NULL) {
		environment[0] = one_processor;
	}
	(void)mallopt(M_ARENA_MAX, 1);
}
