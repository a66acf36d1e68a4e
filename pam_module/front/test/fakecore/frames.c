/* Frames, as a core sends and reads them. */
#include "fakecore.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int peer;
unsigned char start[WIRE_MAX_PAYLOAD];
size_t start_size;

void put(const void *bytes, size_t size)
{
	for (const char *at = bytes; size > 0;) {
		ssize_t sent = send(peer, at, size, MSG_NOSIGNAL);
		if (sent <= 0) {
			_exit(9);
		}
		at += sent;
		size -= (size_t)sent;
	}
}

void get(void *bytes, size_t size)
{
	for (char *at = bytes; size > 0;) {
		ssize_t got = recv(peer, at, size, 0);
		if (got <= 0) {
			_exit(8);
		}
		at += got;
		size -= (size_t)got;
	}
}

void header(int type, size_t size)
{
	unsigned char bytes[4] = {(unsigned char)type, (unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size};
	put(bytes, sizeof bytes);
}

void frame(int type, const void *payload, size_t size)
{
	header(type, size);
	put(payload, size);
}

void prompt(int style, const char *text)
{
	unsigned char payload[WIRE_MAX_PAYLOAD];
	size_t size = strnlen(text, sizeof payload - 1);
	payload[0] = (unsigned char)style;
	memcpy(payload + 1, text, size);
	frame(WIRE_PROMPT, payload, size + 1);
}

void verdict(int value)
{
	unsigned char byte = (unsigned char)value;
	frame(WIRE_VERDICT, &byte, 1);
}

/* Returns the status; text gets the answer. */
int get_reply(char text[WIRE_MAX_ANSWER + 1])
{
	unsigned char head[4];
	unsigned char payload[1 + WIRE_MAX_ANSWER];
	get(head, sizeof head);
	size_t size = ((size_t)head[1] << 16) | ((size_t)head[2] << 8) | head[3];
	if (head[0] != WIRE_REPLY || size < 1 || size > sizeof payload) {
		_exit(7);
	}
	get(payload, size);
	memcpy(text, payload + 1, size - 1);
	text[size - 1] = '\0';
	return payload[0];
}

int ask(int style, const char *question, char text[WIRE_MAX_ANSWER + 1])
{
	prompt(style, question);
	return get_reply(text);
}

const char *field(int tag, char *value, size_t room)
{
	value[0] = '\0';
	for (size_t at = 1; at + 3 <= start_size;) {
		size_t size = ((size_t)start[at + 1] << 8) | start[at + 2];
		if (start[at] == tag) {
			snprintf(value, room, "%.*s", (int)size, (const char *)start + at + 3);
		}
		at += 3 + size;
	}
	return value;
}

bool has(int tag)
{
	bool found = false;
	for (size_t at = 1; at + 3 <= start_size; at += 3 + (((size_t)start[at + 1] << 8) | start[at + 2])) {
		found = found || start[at] == tag;
	}
	return found;
}
