/*
 * The monotonic clock of a front under test. A program that is linked with
 * pamclock.c and -Wl,--export-dynamic-symbol= for clock_gettime and syscall stands
 * between the modules that it loads and the C library, so that a person can take a
 * minute that nobody waits for, and a busy machine has more time than it is told.
 * Once a front kills its child its clock stands still until it has another one: the
 * front waits until the first is gone, however long the machine takes.
 */
#ifndef PAMCLOCK_H
#define PAMCLOCK_H

/* From now on the clock is so many milliseconds further on. */
void clock_forward(long ms);

/* From now on the clock takes times as long for each second; once at most. */
void clock_slow(int times);

#endif
