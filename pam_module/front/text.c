/* What may be shown to a person or written to a log. */
#include "front.h"

static bool continues(const unsigned char *text, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if ((text[i] & 0xC0) != 0x80) {
			return false;
		}
	}
	return true;
}

/*
 * Bytes of the printable UTF-8 character at text, or 0 if there is none.
 * Stray bytes count as not printable because terminals in 8-bit mode read
 * 0x80 to 0x9F as controls, as they do their two-byte form.
 */
size_t text_char(const unsigned char *text, size_t left)
{
	if (left == 0) {
		return 0;
	}
	unsigned char first = text[0];
	if (first < 0x80) {
		return first >= 0x20 && first != 0x7F ? 1 : 0;
	}
	size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
	if (first < 0xC2 || first > 0xF4 || left < size || !continues(text, 1, size)) {
		return 0;
	}
	unsigned char second = text[1];
	if ((first == 0xC2 && second < 0xA0) ||  /* C1 controls */
	    (first == 0xE0 && second < 0xA0) ||  /* overlong */
	    (first == 0xED && second >= 0xA0) || /* surrogates */
	    (first == 0xF0 && second < 0x90) ||  /* overlong */
	    (first == 0xF4 && second >= 0x90)) { /* past the last code point */
		return 0;
	}
	return size;
}

bool text_is_clean(const char *text)
{
	const unsigned char *bytes = (const unsigned char *)text;
	for (size_t step = 0; *bytes != '\0'; bytes += step) {
		/* A sequence cut off by the NUL fails at that byte, before going past it. */
		step = text_char(bytes, 4);
		if (step == 0) {
			return false;
		}
	}
	return true;
}
