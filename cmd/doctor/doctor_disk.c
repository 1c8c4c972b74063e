/* doctor_disk.c - file systems, and whether a clip can be committed on one: tried for real. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/doctor/doctor_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Magic numbers of statfs(2); `shared` ones are seen by other machines. */
static const struct {
    long magic;
    const char *name;
    bool shared, memory;
} systems[] = {
    { 0xEF53, "ext4", false, false },        { 0x58465342, "xfs", false, false },
    { 0x9123683E, "btrfs", false, false },   { 0x2FC12FC1, "zfs", false, false },
    { 0x794C7630, "overlay", false, false }, { 0x01021994, "tmpfs", false, true },
    { 0x6969, "nfs", true, false },          { 0x0BD00BD0, "lustre", true, false },
    { 0x47504653, "gpfs", true, false },     { 0x00C36400, "ceph", true, false },
    { 0x19830326, "beegfs", true, false },   { 0xFF534D42, "cifs", true, false },
    { 0xFE534D42, "smb2", true, false },     { 0x65735546, "fuse", true, false },
};

static void print_system(struct doctor *d, const char *what, const char *dir)
{
    const char *name = "an unknown file system", *remark = "";
    struct statfs s;
    struct statvfs v;

    if (statfs(dir, &s) || statvfs(dir, &v)) {
        doctor_print(d, DOCTOR_FAIL, what, "%s: %s; give a folder that is there", dir,
                     strerror(errno));
        return;
    }
    for (int i = 0; i < COUNT_OF(systems); i++) {
        if ((long)s.f_type != systems[i].magic) continue;
        name = systems[i].name;
        if (systems[i].memory) remark = ": what it holds is lost with the machine";
        if (systems[i].shared) remark = ", shared with other machines";
    }
    double const free_gib = bytes_gib((double)v.f_bavail * (double)v.f_frsize);
    doctor_print(d, free_gib < 1 ? DOCTOR_WARN : DOCTOR_OK, what, "%s: %s%s, %.1f GiB free%s", dir,
                 name, remark, free_gib, free_gib < 1 ? ": free some space" : "");
}

/* What the appearance of a clip rests on: files written through to the disk, a folder
 * renamed into place, and a second one refused. */
static status try_commit(const char *dir, double *seconds)
{
    char *const one = path_join(dir, "one"), *const two = path_join(dir, "two"),
                *const done = path_join(dir, "done"), *const in_one = path_join(dir, "one/file"),
                *const in_two = path_join(dir, "two/file");
    double const begin = clock_seconds();
    status st = ST_OK;

    if (!one || !two || !done || !in_one || !in_two) FAIL_OUT(ST_NOMEM, "no memory");
    TRY_OUT(dir_make(one));
    TRY_OUT(dir_make(two));
    TRY_OUT(file_write(in_one, "1", 1));
    TRY_OUT(file_write(in_two, "2", 1));
    if (rename(one, done)) FAIL_OUT(ST_IO, "a folder cannot be renamed: %s", strerror(errno));
    TRY_OUT(dir_sync(dir));
    if (!rename(two, done) || (errno != ENOTEMPTY && errno != EEXIST))
        st = fail(ST_IO, "a folder that is not empty can be renamed over");
    *seconds = clock_seconds() - begin;
out:
    free(one), free(two), free(done), free(in_one), free(in_two);
    return st;
}

void doctor_disk(struct doctor *d)
{
    const char *const temp = getenv("TMPDIR");
    char *const dir = str_format("%s/rollmill-doctor.XXXXXX", d->dir);
    double seconds = 0;

    print_system(d, "output", d->dir);
    print_system(d, "TMPDIR", temp && temp[0] ? temp : "/tmp");
    if (!dir || !mkdtemp(dir)) {
        doctor_print(d, DOCTOR_FAIL, "commit", "%s: %s; give a folder that can be written", d->dir,
                     strerror(errno));
        free(dir);
        return;
    }
    if (try_commit(dir, &seconds) != ST_OK)
        doctor_print(d, DOCTOR_FAIL, "commit", "%s; clips need another file system",
                     error_last()->msg);
    else doctor_print(d, DOCTOR_OK, "commit", "write, fsync, rename: %.1f ms", seconds * 1e3);
    if (dir_remove(dir) != ST_OK)
        doctor_print(d, DOCTOR_WARN, "commit", "%s; remove it by hand", error_last()->msg);
    free(dir);
}
