/* html.h - HTML character references undone. */
#ifndef HTML_H
#define HTML_H

#include "pipeline/text/clean/codepoints.h"

/* Every reference the HTML standard knows, also without its semicolon where the
 * standard lets it go; the longest name counts. Appends to out. */
void html_unescape(const struct codepoints *in, struct codepoints *out);

/* Only what cannot be meant otherwise: `&name;` and `&#number;` with their
 * semicolon; and a name that is all small letters also in capitals, for the
 * capital. Appends to out. */
void html_unescape_sure(const struct codepoints *in, struct codepoints *out);

#endif /* HTML_H */
