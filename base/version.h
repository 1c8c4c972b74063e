/* version.h - which program this is, and which processor it runs on; recorded in
 * every clip.json. */
#ifndef VERSION_H
#define VERSION_H

extern const char version_program[]; /* "rollmill 0.1.0" */
extern const char version_build[];   /* compiler and flags */

/* Of the source tree: hex digits, "-dirty" behind if changed; "unknown". */
extern const char version_commit[];

/* Model name of this machine's processor, "unknown" where the kernel does not say. */
enum { VERSION_CPU = 128 };
const char *version_cpu(char buf[VERSION_CPU]);

#endif /* VERSION_H */
