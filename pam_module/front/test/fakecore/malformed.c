/* Messages that no core sends. */
#include "fakecore.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void garbage(int unused)
{
	static const char text[] = "HTTP/1.0 200 OK\r\n\r\n";
	(void)unused;
	put(text, sizeof text);
	verdict(WIRE_ACCEPT);
}

void noise(int seed)
{
	unsigned char bytes[4096];
	srandom((unsigned)seed);
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] = (unsigned char)random();
	}
	put(bytes, sizeof bytes);
}

void only_header(int size)
{
	header(WIRE_PROMPT, (size_t)size);
	put("\003cut", 4);
	answered = false;
}

void nothing(int unused)
{
	(void)unused;
}

void half_header(int unused)
{
	(void)unused;
	put("\021\000\000", 3);
	answered = false;
}

void big(int size)
{
	unsigned char *payload = malloc((size_t)size);
	memset(payload, 'x', (size_t)size);
	payload[0] = WIRE_INFO;
	frame(WIRE_PROMPT, payload, (size_t)size);
	verdict(WIRE_ACCEPT);
}

static void raw_prompt(const char *payload, size_t size)
{
	frame(WIRE_PROMPT, payload, size);
	verdict(WIRE_ACCEPT);
}

void controls(int unused)
{
	static const char text[] = "\003a\033[2J\tb\r\nc\177\302\233d\233e\xc3\xbc\xe2\x96\x88\xf0\x9f\x94\x91\xff\xc0\xaf\xed\xa0\x80";
	(void)unused;
	raw_prompt(text, sizeof text - 1);
}

void nul(int unused)
{
	(void)unused;
	raw_prompt("\001a\0b", 4);
}

void empty(int unused)
{
	(void)unused;
	raw_prompt("", 0);
}

void no_text(int unused)
{
	(void)unused;
	raw_prompt("\003", 1);
}

void any_style(int value)
{
	char payload[3] = {(char)value, 'h', 'i'};
	raw_prompt(payload, sizeof payload);
}

void any_type(int value)
{
	frame(value, "\001", 1);
	verdict(WIRE_ACCEPT);
}

void verdict_size(int size)
{
	static const unsigned char bytes[8] = {WIRE_ACCEPT, WIRE_ACCEPT};
	frame(WIRE_VERDICT, bytes, (size_t)size);
}

void trailing(int delay)
{
	verdict(WIRE_ACCEPT);
	if (delay > 0) {
		usleep((useconds_t)delay * 1000);
	}
	verdict(WIRE_ACCEPT);
}

void trailing_byte(int unused)
{
	(void)unused;
	verdict(WIRE_ACCEPT);
	put("", 1);
}
