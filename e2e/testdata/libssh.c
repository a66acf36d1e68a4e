/*
 * libssh ADDRESS PORT USER KEY PASSWORD CODE: a client of libssh, which comes
 * from ADDRESS to a server of this machine. It logs in with the private key in
 * the file KEY, with none if that is empty, and answers questions. Then it
 * makes a link with the name "link" to "two", says where the server says that
 * it leads to, and copies "sent" to "one" there, which becomes "two", and that
 * to "back" here.
 */
#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 15 };

static void fail(ssh_session session, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, ssh_get_error(session));
	exit(1);
}

static int answer(ssh_session session, const char *password, const char *code)
{
	int is;
	while ((is = ssh_userauth_kbdint(session, NULL, NULL)) == SSH_AUTH_INFO) {
		int prompts = ssh_userauth_kbdint_getnprompts(session);
		for (int i = 0; i < prompts; i++) {
			const char *prompt = ssh_userauth_kbdint_getprompt(session, (unsigned int)i, NULL);
			if (prompt == NULL) {
				return SSH_AUTH_ERROR;
			}
			if (ssh_userauth_kbdint_setanswer(session, (unsigned int)i, strstr(prompt, "assword") != NULL ? password : code) < 0) {
				return SSH_AUTH_ERROR;
			}
		}
	}
	return is;
}

static int with_key(ssh_session session, const char *path)
{
	ssh_key key = NULL;
	if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK) {
		return SSH_AUTH_ERROR;
	}
	int is = ssh_userauth_publickey(session, NULL, key);
	ssh_key_free(key);
	return is;
}

static void put(ssh_session session, sftp_session sftp)
{
	char piece[PIECE];
	FILE *from = fopen("sent", "rb");
	sftp_file to = sftp_open(sftp, "one", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (from == NULL || to == NULL) {
		fail(session, "open to put");
	}
	size_t count;
	while ((count = fread(piece, 1, sizeof piece, from)) > 0) {
		if (sftp_write(to, piece, count) != (ssize_t)count) {
			fail(session, "write");
		}
	}
	if (ferror(from) || fclose(from) != 0 || sftp_close(to) != SSH_OK) {
		fail(session, "put");
	}
}

static void get(ssh_session session, sftp_session sftp)
{
	char piece[PIECE];
	sftp_file from = sftp_open(sftp, "two", O_RDONLY, 0);
	FILE *to = fopen("back", "wb");
	if (from == NULL || to == NULL) {
		fail(session, "open to get");
	}
	ssize_t count;
	while ((count = sftp_read(from, piece, sizeof piece)) > 0) {
		if (fwrite(piece, 1, (size_t)count, to) != (size_t)count) {
			fail(session, "write what was got");
		}
	}
	if (count < 0 || fclose(to) != 0 || sftp_close(from) != SSH_OK) {
		fail(session, "get");
	}
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fputs("usage: libssh ADDRESS PORT USER KEY PASSWORD CODE\n", stderr);
		return 2;
	}
	const char *address = argv[1], *port = argv[2], *user = argv[3], *key = argv[4], *password = argv[5], *code = argv[6];
	ssh_session session = ssh_new();
	int no = 0;
	long patience = 180; /* seconds: its own 10 are too short for a busy machine */
	if (session == NULL || ssh_options_set(session, SSH_OPTIONS_HOST, "127.0.0.1") < 0 || ssh_options_set(session, SSH_OPTIONS_PORT_STR, port) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_USER, user) < 0 || ssh_options_set(session, SSH_OPTIONS_BINDADDR, address) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0 || ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &patience) < 0) {
		fputs("options\n", stderr);
		return 1;
	}
	if (ssh_connect(session) != SSH_OK) {
		fail(session, "connect");
	}
	int is = SSH_AUTH_PARTIAL;
	if (*key != '\0') {
		is = with_key(session, key);
	}
	if (is == SSH_AUTH_PARTIAL) {
		is = answer(session, password, code);
	}
	if (is != SSH_AUTH_SUCCESS) {
		fail(session, "log in");
	}
	sftp_session sftp = sftp_new(session);
	if (sftp == NULL || sftp_init(sftp) != SSH_OK) {
		fail(session, "sftp");
	}
	if (sftp_symlink(sftp, "two", "link") != SSH_OK) {
		fail(session, "symlink");
	}
	char *target = sftp_readlink(sftp, "link");
	if (target == NULL) {
		fail(session, "readlink");
	}
	printf("link: %s\n", target);
	ssh_string_free_char(target);
	put(session, sftp);
	if (sftp_rename(sftp, "one", "two") != SSH_OK) {
		fail(session, "rename");
	}
	get(session, sftp);
	sftp_free(sftp);
	ssh_disconnect(session);
	ssh_free(session);
	return 0;
}
