/*
 * file_pledge.h - a file that is to stay the same one while its name is opened again and again.
 *
 * Two looks at a name do not show that another file had it in between: a link, or a folder on the
 * way, is turned and turned back without a trace in the file. What was opened tells, so whoever
 * opens files (file_open) says which file it was.
 */
#ifndef FILE_PLEDGE_H
#define FILE_PLEDGE_H

#include "base/file.h"

struct file_pledge {
    const char *path; /* the caller's; NULL: not begun */
    struct file_stamp stamp;
    bool known, broken;
    struct file_pledge *next;
};

/* From now on opens of this path are noted. It stays where it is until it is ended. */
void file_pledge_begin(struct file_pledge *p, const char *path);
void file_pledge_end(struct file_pledge *p); /* safe on a zeroed one; zeroes it */

/* Has every open since the begin found this very file? Later ones must, too. */
bool file_pledge_kept(struct file_pledge *p, const struct file_stamp *stamp);

/* The path has been opened, and this was the file. */
void file_pledge_note(const char *path, const struct file_stamp *stamp);

#endif /* FILE_PLEDGE_H */
