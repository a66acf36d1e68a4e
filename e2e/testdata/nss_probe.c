/*
 * libnss_probe.so.2: a name service for tests, which does as it is told by the
 * files in /var/lib/nss-probe, read anew at each question:
 *
 *   passwd      NAME:UID:GID:HOME   a further line ALIAS=NAME is another spelling
 *   group       NAME:GID:MEMBER,MEMBER
 *   initgroups  NAME:GID,GID        what it says of a person's groups
 *   rules       FUNCTION NAME STATUS ERRNO, or FUNCTION NAME hang FIFO
 *
 * FUNCTION is passwd, uid, group, gid or initgroups, NAME or number as asked for,
 * STATUS is unavail, tryagain or notfound. A question that hangs opens FIFO for
 * reading: it goes on, to the right answer, once who opened it for writing has
 * closed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE "/var/lib/nss-probe/"
enum { LINE = 4096 };

/* find copies the line of a file that begins with the words, divided by mark. */
static int find(const char *path, char mark, const char *first, const char *second, char *line)
{
	char want[LINE];
	int n = second == NULL ? snprintf(want, sizeof want, "%s%c", first, mark) : snprintf(want, sizeof want, "%s%c%s%c", first, mark, second, mark);
	FILE *file = fopen(path, "re");

	if (n < 0 || n >= LINE || file == NULL) {
		if (file != NULL) {
			(void)fclose(file);
		}
		return 0;
	}
	int found = 0;
	while (!found && fgets(line, LINE, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, want, (size_t)n) == 0;
	}
	(void)fclose(file);
	return found;
}

/* rule does what the rules say of a question; SUCCESS is to go on. */
static enum nss_status rule(const char *function, const char *name, int *errnop)
{
	char line[LINE], status[64], detail[LINE];

	if (!find(PLACE "rules", ' ', function, name, line) || sscanf(line, "%*s %*s %63s %4095s", status, detail) != 2) {
		return NSS_STATUS_SUCCESS;
	}
	if (strcmp(status, "hang") == 0) {
		int fifo;
		do {
			fifo = open(detail, O_RDONLY | O_CLOEXEC);
		} while (fifo < 0 && errno == EINTR);
		if (fifo >= 0) {
			ssize_t n;
			do {
				n = read(fifo, detail, sizeof detail);
			} while (n > 0 || (n < 0 && errno == EINTR));
			(void)close(fifo);
		}
		return NSS_STATUS_SUCCESS;
	}
	*errnop = atoi(detail);
	if (strcmp(status, "unavail") == 0) {
		return NSS_STATUS_UNAVAIL;
	}
	return strcmp(status, "tryagain") == 0 ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
}

static enum nss_status unknown(int *errnop)
{
	*errnop = ENOENT;
	return NSS_STATUS_NOTFOUND;
}

/* keep copies text into the caller's buffer. */
static char *keep(const char *text, char **buffer, size_t *room)
{
	size_t n = strlen(text) + 1;
	char *place = *buffer;

	if (n > *room) {
		return NULL;
	}
	memcpy(place, text, n);
	*buffer += n;
	*room -= n;
	return place;
}

static enum nss_status fill_passwd(char *line, struct passwd *p, char *buffer, size_t room, int *errnop)
{
	char *place;
	char *name = strtok_r(line, ":", &place), *uid = strtok_r(NULL, ":", &place), *gid = strtok_r(NULL, ":", &place), *home = strtok_r(NULL, ":", &place);

	if (name == NULL || uid == NULL || gid == NULL || home == NULL) {
		return unknown(errnop);
	}
	p->pw_uid = (uid_t)strtoul(uid, NULL, 10);
	p->pw_gid = (gid_t)strtoul(gid, NULL, 10);
	p->pw_name = keep(name, &buffer, &room);
	p->pw_dir = keep(home, &buffer, &room);
	p->pw_passwd = keep("x", &buffer, &room);
	p->pw_gecos = keep("", &buffer, &room);
	p->pw_shell = keep("/bin/sh", &buffer, &room);
	if (p->pw_shell == NULL || p->pw_gecos == NULL || p->pw_passwd == NULL || p->pw_dir == NULL || p->pw_name == NULL) {
		*errnop = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_probe_getpwnam_r(const char *name, struct passwd *p, char *buffer, size_t room, int *errnop)
{
	char line[LINE], other[LINE];
	enum nss_status ruled = rule("passwd", name, errnop);

	if (ruled != NSS_STATUS_SUCCESS) {
		return ruled;
	}
	if (find(PLACE "passwd", '=', name, NULL, line)) {
		memcpy(other, line, sizeof line);
		name = strchr(other, '=') + 1;
	}
	return find(PLACE "passwd", ':', name, NULL, line) ? fill_passwd(line, p, buffer, room, errnop) : unknown(errnop);
}

enum nss_status _nss_probe_getpwuid_r(uid_t uid, struct passwd *p, char *buffer, size_t room, int *errnop)
{
	char text[32], line[LINE];
	(void)snprintf(text, sizeof text, "%u", uid);
	enum nss_status ruled = rule("uid", text, errnop);
	if (ruled != NSS_STATUS_SUCCESS) {
		return ruled;
	}
	FILE *file = fopen(PLACE "passwd", "re");
	if (file == NULL) {
		return unknown(errnop);
	}
	int found = 0;
	while (!found && fgets(line, sizeof line, file) != NULL) {
		const char *colon = strchr(line, ':');
		line[strcspn(line, "\n")] = '\0';
		found = colon != NULL && strtoul(colon + 1, NULL, 10) == uid;
	}
	(void)fclose(file);
	return found ? fill_passwd(line, p, buffer, room, errnop) : unknown(errnop);
}

static enum nss_status fill_group(char *line, struct group *g, char *buffer, size_t room, int *errnop)
{
	enum { MOST = 64 };
	char *place;
	char *name = strtok_r(line, ":", &place), *gid = strtok_r(NULL, ":", &place), *members = strtok_r(NULL, ":", &place);
	size_t list = (MOST + 1) * sizeof(char *), skew = (8 - (size_t)buffer % 8) % 8;

	if (name == NULL || gid == NULL) {
		return unknown(errnop);
	}
	if (room < list + skew) {
		*errnop = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	char **all = (char **)(void *)(buffer + skew);
	buffer += list + skew;
	room -= list + skew;
	int count = 0;
	int full = 0;
	for (char *one = members == NULL ? NULL : strtok_r(members, ",", &place); one != NULL && count < MOST; one = strtok_r(NULL, ",", &place)) {
		all[count] = keep(one, &buffer, &room);
		full = full || all[count] == NULL;
		count++;
	}
	all[count] = NULL;
	g->gr_gid = (gid_t)strtoul(gid, NULL, 10);
	g->gr_mem = all;
	g->gr_name = keep(name, &buffer, &room);
	g->gr_passwd = keep("x", &buffer, &room);
	if (full || g->gr_name == NULL || g->gr_passwd == NULL) {
		*errnop = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_probe_getgrnam_r(const char *name, struct group *g, char *buffer, size_t room, int *errnop)
{
	char line[LINE];
	enum nss_status ruled = rule("group", name, errnop);

	if (ruled != NSS_STATUS_SUCCESS) {
		return ruled;
	}
	return find(PLACE "group", ':', name, NULL, line) ? fill_group(line, g, buffer, room, errnop) : unknown(errnop);
}

enum nss_status _nss_probe_getgrgid_r(gid_t gid, struct group *g, char *buffer, size_t room, int *errnop)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%u", gid);
	enum nss_status ruled = rule("gid", text, errnop);
	(void)g, (void)buffer, (void)room;
	return ruled != NSS_STATUS_SUCCESS ? ruled : unknown(errnop);
}

enum nss_status _nss_probe_initgroups_dyn(const char *name, gid_t skip, long *start, long *size, gid_t **gids, long limit, int *errnop)
{
	char line[LINE];
	enum nss_status ruled = rule("initgroups", name, errnop);

	(void)limit;
	if (ruled != NSS_STATUS_SUCCESS) {
		return ruled;
	}
	if (!find(PLACE "initgroups", ':', name, NULL, line)) {
		return unknown(errnop);
	}
	char *place;
	(void)strtok_r(line, ":", &place);
	for (char *one = strtok_r(NULL, ",", &place); one != NULL; one = strtok_r(NULL, ",", &place)) {
		gid_t gid = (gid_t)strtoul(one, NULL, 10);
		if (gid == skip) {
			continue;
		}
		if (*start == *size) {
			gid_t *more = realloc(*gids, 2 * (size_t)*size * sizeof **gids);
			if (more == NULL) {
				*errnop = ENOMEM;
				return NSS_STATUS_TRYAGAIN;
			}
			*gids = more;
			*size *= 2;
		}
		(*gids)[(*start)++] = gid;
	}
	return NSS_STATUS_SUCCESS;
}
