/* duration.c - spans as exact microseconds or pictures, never as floating point. */
#include "jobs/yaml/duration.h"

#include <stdio.h>
#include <string.h>

enum { MICROS = 1000000, MOST_PICTURES = DURATION_HOURS * 3600 * VALUE_RATE_MAX };

bool duration_parse(const char *s, struct duration *out)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 } };
    size_t const whole = strspn(s, "0123456789");
    size_t const part = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;
    const char *const unit = s + whole + (part ? part + 1 : 0);
    int64_t count = 0, micros = 0;

    if (!whole || whole > 9 || (whole > 1 && s[0] == '0') || part > 6) return false;
    for (size_t i = 0; i < whole; i++) count = count * 10 + (s[i] - '0');
    for (size_t i = 1; i <= 6; i++) micros = micros * 10 + (i <= part ? s[whole + i] - '0' : 0);
    if (!strcmp(unit, "f")) {
        if (part || count > MOST_PICTURES) return false;
        *out = (struct duration){ .pictures = count };
        return true;
    }
    for (int i = 0; i < COUNT_OF(units); i++) {
        if (strcmp(unit, units[i].name)) continue;
        int64_t const total = (count * MICROS + micros) * units[i].seconds;
        if (total > (int64_t)DURATION_HOURS * 3600 * MICROS) return false;
        *out = (struct duration){ .micros = total };
        return true;
    }
    return false;
}

status duration_read(const struct tree_node *n, void *to)
{
    if (n->kind != TREE_SCALAR || !duration_parse(n->text, to))
        return tree_refuse(n, DURATION_FORM);
    return ST_OK;
}

/* At most 24 h * 10^6 micros * 10^6 = 8.64e16 before the division. */
int64_t duration_nearest(struct duration d, struct value_rate rate)
{
    int64_t const den = rate.den * MICROS;

    return d.pictures + (d.micros * rate.num + den / 2) / den;
}

int64_t duration_up(struct duration d, struct value_rate rate)
{
    int64_t const den = rate.den * MICROS;

    return d.pictures + (d.micros * rate.num + den - 1) / den;
}

int64_t duration_down(struct duration d, struct value_rate rate)
{
    return d.pictures + d.micros * rate.num / (rate.den * MICROS);
}

bool duration_is_length(int64_t pictures, struct value_rate rate)
{
    return pictures >= 1 && pictures * rate.den <= rate.num * DURATION_HOURS * 3600;
}

const char *duration_text(struct duration d, char buf[DURATION_TEXT])
{
    int part = (int)(d.micros % MICROS), digits = 6;

    if (d.pictures) {
        snprintf(buf, DURATION_TEXT, "%lldf", (long long)d.pictures);
        return buf;
    }
    int const n = snprintf(buf, DURATION_TEXT, "%lld", (long long)(d.micros / MICROS));
    for (; digits && part % 10 == 0; digits--) part /= 10;
    if (digits) snprintf(buf + n, (size_t)(DURATION_TEXT - n), ".%0*ds", digits, part);
    else snprintf(buf + n, (size_t)(DURATION_TEXT - n), "s");
    return buf;
}

bool duration_is_zero(struct duration d) { return !d.micros && !d.pictures; }
