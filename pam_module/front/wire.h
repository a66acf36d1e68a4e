/*
 * The frames between the front and the core, as numbers.
 *
 * internal/wire describes the frames and is the reference; a test compares
 * every number here with it.
 */
#ifndef OTPGATE_WIRE_H
#define OTPGATE_WIRE_H

#define WIRE_VERSION 1
#define WIRE_HEADER_SIZE 4
#define WIRE_MAX_PAYLOAD 16384
#define WIRE_MAX_ANSWER 512
#define WIRE_MAX_START 6441 /* of an opening frame's payload, by what its fields have */
#define WIRE_MAX_NAME 255 /* of a user or service name; LOGIN_NAME_MAX counts the NUL */
#define WIRE_MAX_HOST 1024
#define WIRE_MAX_CONFIG 4096
#define WIRE_MAX_TIMEOUT 600 /* seconds */
#define WIRE_MAX_TAIL 32

/* The byte that comes before all frames, from whoever takes the login. */
#define WIRE_READY 0x4c

/* Frame types. */
#define WIRE_START 0x01
#define WIRE_REPLY 0x02
#define WIRE_PROMPT 0x10
#define WIRE_VERDICT 0x11

/* Fields of a start frame: tag, two length bytes in network order, value. */
#define WIRE_TAG_USER 1
#define WIRE_TAG_SERVICE 2
#define WIRE_TAG_REMOTE_HOST 3
#define WIRE_TAG_REMOTE_USER 4
#define WIRE_TAG_TTY 5
#define WIRE_TAG_PROTOCOL 6
#define WIRE_TAG_CONFIG 7
#define WIRE_TAG_DEBUG 8
#define WIRE_TAG_TIMEOUT 9
#define WIRE_TAG_SPLIT 10
#define WIRE_TAG_AFTER_SPLIT 11
#define WIRE_TAG_CODE_BEHIND 12
#define WIRE_TAG_UNPROVEN 13 /* the SFTP server's front alone sends this one and the next */
#define WIRE_TAG_RULE 14

/* First byte of a prompt frame. */
#define WIRE_ECHO_OFF 1
#define WIRE_ECHO_ON 2
#define WIRE_INFO 3
#define WIRE_FAILURE 4
#define WIRE_TAIL 5 /* then two bytes: how many bytes, in groups of how many; then the characters */

/* First byte of a reply frame. */
#define WIRE_ANSWERED 1
#define WIRE_NO_ANSWER 2
#define WIRE_TOO_LONG 3
#define WIRE_IS_PASSWORD 4

/* The first byte of a verdict frame; there is another one after WIRE_SPLIT alone: how many bytes. */
#define WIRE_DENY 0
#define WIRE_ACCEPT 1
#define WIRE_IGNORE 2
#define WIRE_MAX_TRIES 3
#define WIRE_FAULT 4
#define WIRE_SPLIT 5

#endif
