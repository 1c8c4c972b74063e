/* html_entities.h - the named character references of HTML 5. */
#ifndef HTML_ENTITIES_H
#define HTML_ENTITIES_H

#include "base/base.h"

enum { HTML_NAME = 32 }; /* longest name and a NUL */

struct html_entity {
    const char *name;       /* without '&' and ';' */
    uint32_t first, second; /* the code points; second 0: one only */
};

/* NULL if there is no `&name;`. */
const struct html_entity *html_entity_find(const char *name);

/* Does the standard know `&name` without the semicolon too? */
bool html_entity_is_bare(const char *name);

#endif /* HTML_ENTITIES_H */
