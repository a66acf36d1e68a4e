/* What the parts of the core that misbehaves share. */
#ifndef OTPGATE_FAKECORE_H
#define OTPGATE_FAKECORE_H

#include <stdbool.h>
#include <stddef.h>

#include "../../wire.h"

/* The other end, and the payload of its start frame. */
extern int peer;
extern unsigned char start[WIRE_MAX_PAYLOAD];
extern size_t start_size;
extern bool answered; /* whether the front is told that it was */

/* frames.c */
void put(const void *bytes, size_t size);
void get(void *bytes, size_t size);
void header(int type, size_t size);
void frame(int type, const void *payload, size_t size);
void prompt(int style, const char *text);
void verdict(int value);
int get_reply(char text[WIRE_MAX_ANSWER + 1]);
int ask(int style, const char *question, char text[WIRE_MAX_ANSWER + 1]);
const char *field(int tag, char *value, size_t room);
bool has(int tag);

/* malformed.c */
void garbage(int unused);
void noise(int seed);
void only_header(int size);
void half_header(int unused);
void nothing(int unused);
void big(int size);
void controls(int unused);
void nul(int unused);
void empty(int unused);
void no_text(int unused);
void any_style(int value);
void any_type(int value);
void verdict_size(int size);
void trailing(int delay);
void trailing_byte(int unused);

/* process.c */
void tell_self(int unused);
void tell_share(int unused);
void hang(int unused);
void accept_and_hang(int unused);
void slow(int delay);
void drip(int delay);
void crash(int number);
void leave(int status);
void accept_and_leave(int status);
void accept_and_crash(int number);
void grandchild(int unused);
void stdio(int unused);

/* split.c */
void split(int size);
void split_groups(int group);
void split_other(int size);
void split_verdict(int size);
void split_long(int unused);
void tails(int count);
void raw_tail(int which);

#endif
