/* What it does for lines with split. */
#include "fakecore.h"

#include <string.h>

static int ask_tail_in(int size, int group)
{
	char answer[WIRE_MAX_ANSWER + 1];
	unsigned char question[] = "???0123456789";
	question[0] = WIRE_TAIL;
	question[1] = (unsigned char)size;
	question[2] = (unsigned char)group;
	frame(WIRE_PROMPT, question, sizeof question - 1);
	return get_reply(answer) == WIRE_ANSWERED && strlen(answer) == (size_t)size && strspn(answer, "-0123456789") == (size_t)size;
}

static int ask_tail(int size)
{
	return ask_tail_in(size, 0);
}

void split_verdict(int size)
{
	const unsigned char bytes[2] = {WIRE_SPLIT, (unsigned char)size};
	frame(WIRE_VERDICT, bytes, sizeof bytes);
}

void split(int size)
{
	if (!has(WIRE_TAG_SPLIT) || has(WIRE_TAG_AFTER_SPLIT)) {
		verdict(WIRE_FAULT);
	} else if (ask_tail(size)) {
		split_verdict(size);
	} else {
		verdict(WIRE_IGNORE);
	}
}

/* Two groups with a dash between them. */
void split_groups(int group)
{
	if (ask_tail_in(2 * group + 1, group)) {
		split_verdict(2 * group + 1);
	} else {
		verdict(WIRE_IGNORE);
	}
}

void split_other(int size)
{
	(void)ask_tail(6);
	split_verdict(size);
}

void split_long(int unused)
{
	static const unsigned char bytes[3] = {WIRE_SPLIT, 6, 6};
	(void)unused;
	(void)ask_tail(6);
	frame(WIRE_VERDICT, bytes, sizeof bytes);
}

void tails(int count)
{
	int given = 0;
	for (int i = 0; i < count; i++) {
		given = ask_tail(6);
	}
	if (given) {
		split_verdict(6);
	} else {
		verdict(WIRE_IGNORE);
	}
}

void raw_tail(int which)
{
	static const struct {
		const char *text;
		size_t size;
	} questions[] = {{"", 0}, {"\006", 1}, {"\000\000" "0123", 6}, {"\041\000" "0123", 6}, {"\377\000" "0123", 6},
		{"\006\000" "012 ", 6}, {"\006\000" "012\377", 6}, {"\006\000" "012\000", 6}, {"\006\000" "012\177", 6}, {"\006\000", 2},
		{"\006\006" "0123", 6}, {"\006\377" "0123", 6}};
	unsigned char payload[8] = {WIRE_TAIL};
	memcpy(payload + 1, questions[which].text, questions[which].size);
	frame(WIRE_PROMPT, payload, questions[which].size + 1);
	/* Whatever is answered; a front that denies answers nothing. */
	get(payload, 5);
	verdict(WIRE_IGNORE);
}
